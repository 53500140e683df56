/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's cgroups of a machine: they hold its monitor and share, bound what these may take, and
 * are how repair finds what a dead keeper left. The workload's own limits are held inside.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct err;

enum { HOSTGROUP_MAX = 8 };

/* Handles on one cgroup in each hierarchy that matters: version 1's memory, pids, freezer and cpu
 * accounting, and version 2. {0} with n 0 is closed. */
struct hostgroup {
	int tasks[HOSTGROUP_MAX]; /* written "0" to by a process that joins */
	size_t n;
};

/*
 * Makes the cgroup `path` ("hull/ID/workload") in each hierarchy and bounds its memory to `memory`
 * bytes where the host can. Release with hostgroup_done(), remove with hostgroup_remove(). Without
 * any cgroup hierarchy it succeeds, empty.
 */
int hostgroup_make(const char *path, uint64_t memory, struct hostgroup *ret, struct err *err)
	HULL_MUST_CHECK;

/* Changes that bound, where the host can. */
void hostgroup_limit(const char *path, uint64_t memory);

/* Moves the calling process in; for a child before execve. -errno. */
int hostgroup_join(const struct hostgroup *group) HULL_MUST_CHECK;

/* Closes the handles; the cgroups stay. */
void hostgroup_done(struct hostgroup *group);

/*
 * Kills what still runs in the cgroup `path`, waits for its end (at most two seconds) and removes
 * it and its parent, when that is empty. Absent is fine.
 */
int hostgroup_remove(const char *path, struct err *err) HULL_MUST_CHECK;
