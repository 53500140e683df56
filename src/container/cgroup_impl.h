/* SPDX-License-Identifier: Apache-2.0 */
/* What the cgroup_*.c files share: where each controller is. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "container/cgroup.h"

struct buf;

enum controller {
	CTL_CPU,
	CTL_CPUACCT,
	CTL_CPUSET,
	CTL_MEMORY,
	CTL_DEVICES,
	CTL_FREEZER,
	CTL_BLKIO,
	CTL_PIDS,
	CTL_MAX
};

enum { HIERARCHY_MAX = 16 };

struct hierarchy {
	char *mount; /* "/sys/fs/cgroup/cpu,cpuacct" */
	char *name; /* what mounts it: "cpu,cpuacct"; "" for v2 */
	uint32_t controllers; /* bit per enum controller */
	bool v2;
	int fd; /* the workload's folder, or -1 */
};

struct cgroup {
	char *path;
	struct hierarchy h[HIERARCHY_MAX];
	size_t n;
};

/* The hierarchy that holds a controller and has the workload's folder, or NULL. */
const struct hierarchy *cgroup_with(const struct cgroup *cg, enum controller c);

/* Allows the usual nodes and what the limits say, denies the rest. */
int cgroup_devices(const struct cgroup *cg, const struct cgroup_config *config, struct err *err)
	HULL_MUST_CHECK;

/* Reads file `name` of h whole as text into *to (emptied first); false when it cannot be read. */
bool hierarchy_read(const struct hierarchy *h, const char *name, struct buf *to);

/* The number in file `name` of h; 0 when there is none, UINT64_MAX for "max". */
uint64_t hierarchy_number(const struct hierarchy *h, const char *name);

/* The number behind `key` and one space at the start of a line of file `name` ("oom_kill 3"). */
uint64_t hierarchy_key(const struct hierarchy *h, const char *name, const char *key);
