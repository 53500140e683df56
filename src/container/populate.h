/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is mounted into a workload's root. Each target is resolved once, beneath the root's handle,
 * made there when missing, and mounted on by handle.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct cgroup;
struct err;
struct plan;
struct plan_mount;

/* What the steps share. All descriptors are borrowed by them and closed by who made the struct. */
struct populate {
	const struct plan *plan;
	const struct cgroup *cgroup;
	int root; /* the root, attached in the caller's mount namespace */
	int proc; /* the root's procfs before anything was mounted over it; -1 until made */
	int dev; /* the root's own /dev before anything was mounted over it; -1 until made */
	const int *sources; /* one for each of the plan's mounts: what mount_source() made of it in
			       the parent, or -1; NULL: none */
};

/* /proc, /dev and below, /sys, /sys/fs/cgroup; nothing for a plan that is as specified. */
int populate_defaults(struct populate *p, struct err *err) HULL_MUST_CHECK;

/*
 * The plan's mounts, in order. Their sources are paths of the caller's (old) root. For a plan that
 * is as specified, p->proc and p->dev are set too: to the /proc and /dev that the plan mounts, else
 * proc to a procfs that is seen nowhere (of the workload's own pid namespace) or the host's.
 */
int populate_mounts(struct populate *p, struct err *err) HULL_MUST_CHECK;

/*
 * The source of a bind mount, detached, with its id map: for those mounts of a workload with a user
 * namespace that the workload itself may not make (id-mapped, or of a path it cannot reach). To be
 * called by the parent, with its rights; `userns` (borrowed) is the workload's user namespace,
 * whose map counts when the mount has none of its own. The caller closes what is returned and hands
 * it on in populate.sources.
 */
int mount_source(const struct plan_mount *m, int userns, struct err *err) HULL_MUST_CHECK;

/* The hierarchies of the workload's cgroups on `target`, with MOUNT_ATTR_* attr: as its cgroup
 * namespace shows them, or its own folders when it has no such namespace. */
int populate_cgroup(const struct populate *p, const char *target, uint64_t attr, struct err *err)
	HULL_MUST_CHECK;

enum target_kind {
	TARGET_FILE,
	TARGET_FOLDER,
	TARGET_NOFOLLOW = 2, /* with one of these: a link at the end is the target itself */
};

/* A handle of `path` inside the root, for a mount: a missing one is made, empty. */
int target_open(int root, const char *path, unsigned kind, struct err *err) HULL_MUST_CHECK;

/*
 * Mount propagation. In this order: propagation_begin() instead of making "/" private, before
 * `root` (the detached new root) is attached; propagation_leave() between pivot_root(2) and the
 * umount of the old root, of which `old` is a handle; propagation_end() once the root is "/", when
 * no mount will be made any more.
 */
int propagation_begin(const struct plan *plan, int root, struct err *err) HULL_MUST_CHECK;
int propagation_leave(const struct plan *plan, int old, struct err *err) HULL_MUST_CHECK;
int propagation_end(const struct plan *plan, int root, struct err *err) HULL_MUST_CHECK;

/* The plan's small files. `files` is a tmpfs attached somewhere in the caller's namespace. */
int populate_files(const struct populate *p, int files, struct err *err) HULL_MUST_CHECK;

/* The nodes of /dev: in the detached mount `dev`, the usual ones; for a privileged workload all of
 * the host's; then, in the attached root, the plan's. A plan that is as specified gets what the
 * runtime-spec promises there with these, unless its /dev is a bind mount. */
int devices_usual(int dev, struct err *err) HULL_MUST_CHECK;
int devices_host(int dev, struct err *err) HULL_MUST_CHECK;
int devices_plan(const struct populate *p, struct err *err) HULL_MUST_CHECK;

/* Sysctls, through p->proc while nothing is mounted over it. */
int mask_sysctl(const struct populate *p, struct err *err) HULL_MUST_CHECK;

/* Hides and write-protects the plan's paths. */
int mask_paths(const struct populate *p, struct err *err) HULL_MUST_CHECK;

/* Copies what is in folder `from` into the folder `to`: contents, kinds, modes, owners, times. */
int copy_tree(int from, int to, struct err *err) HULL_MUST_CHECK;
