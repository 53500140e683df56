/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is mounted into a workload's root. Each target is resolved once, beneath the root's handle,
 * made there when missing, and mounted on by handle.
 */
#pragma once

#include <stdbool.h>

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
};

/* /proc, /dev and below, /sys, /sys/fs/cgroup. */
int populate_defaults(struct populate *p, struct err *err) HULL_MUST_CHECK;

/* The plan's mounts, in order. Their sources are paths of the caller's (old) root. */
int populate_mounts(const struct populate *p, struct err *err) HULL_MUST_CHECK;

/* The plan's small files. `files` is a tmpfs attached somewhere in the caller's namespace. */
int populate_files(const struct populate *p, int files, struct err *err) HULL_MUST_CHECK;

/* The nodes of /dev: in the detached mount `dev`, the usual ones; for a privileged workload all of
 * the host's; then, in the attached root, the plan's. */
int devices_usual(int dev, struct err *err) HULL_MUST_CHECK;
int devices_host(int dev, struct err *err) HULL_MUST_CHECK;
int devices_plan(const struct populate *p, struct err *err) HULL_MUST_CHECK;

/* Sysctls, through p->proc while nothing is mounted over it. */
int mask_sysctl(const struct populate *p, struct err *err) HULL_MUST_CHECK;

/* Hides and write-protects the plan's paths. */
int mask_paths(const struct populate *p, struct err *err) HULL_MUST_CHECK;

/* Copies what is in folder `from` into the folder `to`: contents, kinds, modes, owners, times. */
int copy_tree(int from, int to, struct err *err) HULL_MUST_CHECK;
