/* SPDX-License-Identifier: Apache-2.0 */
/* What the host tells: of itself, of a workload's processes, of folders. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"

struct comparison;
struct err;

/* Memory by who has it, in bytes of PSS. */
struct memory {
	uint64_t keeper, monitor, guest, share, workload;
};

/* Fills in the host's CPU, kernel and number of CPUs. */
int host_describe(struct comparison *c, struct err *err) HULL_MUST_CHECK;

/* The memory of a keeper and all its descendants, in one figure and quickly. Processes that end
 * meanwhile count nothing. */
uint64_t host_memory(pid_t keeper);

/* The same told apart; slower. */
void host_memory_apart(pid_t keeper, struct memory *ret);

/* Bytes on disk of all below the folder `path` of dirfd, in *ret. */
int host_disk(int dirfd, const char *path, uint64_t *ret, struct err *err) HULL_MUST_CHECK;

/* CLOCK_REALTIME in nanoseconds, the clock of the records. */
uint64_t host_now_ns(void);
