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
	CTL_NET_CLS, /* this and the following: only where a limit asks for them */
	CTL_NET_PRIO,
	CTL_HUGETLB,
	CTL_RDMA,
	CTL_MAX
};

enum { HIERARCHY_MAX = 16 };

struct hierarchy {
	char *mount; /* "/sys/fs/cgroup/cpu,cpuacct" */
	char *name; /* what mounts it: "cpu,cpuacct"; "" for v2 */
	uint32_t controllers; /* bit per enum controller */
	bool v2;
	bool existed; /* the folder was there before */
	int fd; /* the workload's folder, or -1 */
};

struct cgroup {
	char *path; /* without slashes at either end */
	uint32_t wanted; /* controllers that are looked for, bit per enum controller */
	struct hierarchy h[HIERARCHY_MAX];
	size_t n;
};

/* Adds the mounted hierarchies that hold a wanted controller of cg, and a service manager's own
 * tree where the workload's folder is there already; with `systemd` that tree alone. */
int cgroup_find(struct cgroup *cg, bool systemd, struct err *err) HULL_MUST_CHECK;

/* Where this process is in the tree that a service manager rules, v2's or v1's systemd tree: NULL
 * when there is neither. The caller frees. */
char *cgroup_own_path(void);

/* Whether this process has no rights on the host, and has to do with the cgroups that it may make:
 * none, as a rule. */
bool cgroup_may_lack(void);

/* The hierarchy that holds a controller and has the workload's folder, or NULL. */
const struct hierarchy *cgroup_with(const struct cgroup *cg, enum controller c);

/* Allows the usual nodes and what the limits say, denies the rest. */
int cgroup_devices(const struct cgroup *cg, const struct cgroup_config *config, struct err *err)
	HULL_MUST_CHECK;

/* The hierarchy of a controller that the limit called `field` cannot do without. */
int hierarchy_need(const struct cgroup *cg, enum controller c, const char *field,
		   const struct hierarchy **ret, struct err *err) HULL_MUST_CHECK;

/* Writes a number to a file of h; UINT64_MAX as the word for "no limit". */
int hierarchy_put(const struct hierarchy *h, const char *file, uint64_t value, struct err *err)
	HULL_MUST_CHECK;

/* Writes the number to the first of the NULL-terminated files that h (NULL: none) has; when none
 * takes it, config's warning names the field. */
void hierarchy_put_any(const struct cgroup_config *config, const struct hierarchy *h,
		       const char *const *files, uint64_t value, const char *field);

/* Parts of cgroup_limit(): block I/O; network, huge pages, RDMA and v2's files by name. */
int cgroup_limit_io(const struct cgroup *cg, const struct cgroup_config *config, struct err *err)
	HULL_MUST_CHECK;
int cgroup_limit_more(const struct cgroup *cg, const struct cgroup_config *config, struct err *err)
	HULL_MUST_CHECK;

/* Bits of those controllers that only limits ask for. */
uint32_t cgroup_wanted(const struct plan_limits *limits);

/* Reads file `name` of h whole as text into *to (emptied first); false when it cannot be read. */
bool hierarchy_read(const struct hierarchy *h, const char *name, struct buf *to);

/* The number in file `name` of h; 0 when there is none, UINT64_MAX for "max". */
uint64_t hierarchy_number(const struct hierarchy *h, const char *name);

/* The number behind `key` and one space at the start of a line of file `name` ("oom_kill 3"). */
uint64_t hierarchy_key(const struct hierarchy *h, const char *name, const char *key);
