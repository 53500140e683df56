/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cgroups of one workload: one folder, of the same name, in every hierarchy that this kernel
 * has mounted (v1, v2, or both). A process enters v1's by writing "0" to `tasks` itself, which
 * costs 0.06 ms; a pid written to cgroup.procs waits for an RCU period.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"

struct cgroup;
struct err;
struct isolation_stats;
struct isolation_top;
struct plan_limits;

/* A line for people about a limit that this host cannot hold; the work goes on. */
typedef void cgroup_warn(void *ctx, const char *line);

struct cgroup_config {
	const char *path; /* "hull/ID/workload", or what an OCI caller asks for ("/a/b") */
	const struct plan_limits *limits;
	pid_t holder; /* who may be in it already, though nobody else may; 0: nobody */
	bool all_devices;
	bool as_specified; /* the limits' device rules alone decide, after a denial of all, with the
			      nodes that the runtime-spec promises always allowed; and who has no
			      rights on the host does without the cgroups that he may not make */
	cgroup_warn *warn;
	void *ctx;
};

/*
 * Makes the folders and writes limits and device rules. On failure nothing is left that was not
 * there before. A service manager's own tree (v1's name=systemd, v2 without controllers) is entered
 * where the manager has made the folder. A cgroup that is frozen is refused, one that holds
 * processes warned of. A path may begin with a slash or not; one that climbs ("..") is refused, ""
 * stands for no cgroup at all. The caller frees with cgroup_free().
 */
int cgroup_new(struct cgroup **ret, const struct cgroup_config *config, struct err *err)
	HULL_MUST_CHECK;

/* What is there of `path`; folders that are missing, or that the caller may not put processes into
 * (somebody else's of that name), are passed over. */
int cgroup_open(struct cgroup **ret, const char *path, struct err *err) HULL_MUST_CHECK;

/* The same, for new limits of a workload that runs: where they need a hierarchy that it is not in
 * yet, its folder is made, and every process of the workload moved there. */
int cgroup_extend(struct cgroup **ret, const struct cgroup_config *config, struct err *err)
	HULL_MUST_CHECK;

/* Closes; the folders stay. NULL is fine. */
void cgroup_free(struct cgroup *cg);

/* Removes the folders with all that the workload made inside; of hull's own ("hull/ID/…") the then
 * empty parent too, of others' nothing more. No process may be left in them. */
int cgroup_remove(struct cgroup *cg, struct err *err);

/* The v2 folder for CLONE_INTO_CGROUP (borrowed), or -1 (for NULL too). */
int cgroup_clone_fd(const struct cgroup *cg);

/* Moves the calling, single-threaded process into every v1 folder; NULL: stays where it is. */
int cgroup_join(const struct cgroup *cg, struct err *err) HULL_MUST_CHECK;

/* Whether v2 is all there is (false for NULL). */
bool cgroup_is_v2(const struct cgroup *cg);

/* One hierarchy in use. Both strings are borrowed. */
struct cgroup_place {
	const char *name; /* what mounts it: "cpu,cpuacct", "name=systemd", "" for v2 */
	const char *folder; /* the workload's folder, as the host sees it */
};

/* Calls fn for each hierarchy in use. Ends with fn's first failure. */
typedef int cgroup_each_fn(void *ctx, const struct cgroup_place *place, struct err *err);
int cgroup_each(const struct cgroup *cg, cgroup_each_fn *fn, void *ctx, struct err *err)
	HULL_MUST_CHECK;

/* Writes those limits that are not zero. */
int cgroup_limit(const struct cgroup *cg, const struct cgroup_config *config, struct err *err)
	HULL_MUST_CHECK;

/* Starts to freeze or thaw; cgroup_frozen() tells when it is done. */
int cgroup_freeze(const struct cgroup *cg, bool freeze, struct err *err);
bool cgroup_frozen(const struct cgroup *cg);

/* How many processes of the workload the kernel killed for want of memory. */
uint64_t cgroup_oom_kills(const struct cgroup *cg);

/* Fills *ret with what the hierarchies count; what none counts stays 0. */
void cgroup_stats(const struct cgroup *cg, struct isolation_stats *ret);

/* Adds the processes to *ret (released with isolation_top_record). */
int cgroup_top(const struct cgroup *cg, struct isolation_top *ret, struct err *err) HULL_MUST_CHECK;

/* Sends sig to each process that is in the cgroup, through a pidfd taken while it was. Returns how
 * many there were. */
int cgroup_signal(const struct cgroup *cg, int sig, struct err *err) HULL_MUST_CHECK;

/* Ends every process and waits for them to be gone (at most 10 s). */
int cgroup_kill(const struct cgroup *cg, struct err *err) HULL_MUST_CHECK;

DEFINE_AUTO(struct cgroup, cgroup_free)
