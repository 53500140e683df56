/* SPDX-License-Identifier: Apache-2.0 */
/* Interfaces of the host that a workload gets (runtime-spec linux.netDevices): moved into its
 * network namespace under another name, with their addresses, and set up there. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"

struct err;
struct list;

struct netdevs {
	const struct list *devices; /* struct plan_text_pair; borrowed */
	int netns; /* where they are; -1: nowhere */
	uint32_t moved; /* how many of them, from the first */
};

/* Moves all into the network namespace of process `pid`. Those of a failure are back where they
 * were. The caller ends it with netdev_keep() or netdev_return(). */
int netdev_move(struct netdevs *n, const struct list *devices, pid_t pid, struct err *err)
	HULL_MUST_CHECK;

/* They stay there. */
void netdev_keep(struct netdevs *n);

/* They come back, with names and addresses, whatever became of the process. */
void netdev_return(struct netdevs *n);
