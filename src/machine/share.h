/* SPDX-License-Identifier: Apache-2.0 */
/* The host folders that a machine sees: one virtiofsd on a folder tree made of binds, in a mount
 * namespace of its own. */
#pragma once

#include <sys/types.h>

#include "base/attr.h"

struct err;
struct hostgroup;
struct list;
struct strv;

/* One that runs; all is its owner's. */
struct share {
	pid_t pid; /* 0: none */
	int pidfd;
	int connection; /* connected vhost-user socket */
};

/*
 * Starts it on `shares`, host paths that appear as entries 0, 1, … and belong, in this order, to
 * the bind mounts among `mounts` (struct plan_mount, for whether they are read-only or to be made).
 * `at` is an empty folder that only the process sees filled; run_fd a folder for its socket, which
 * is gone when this returns.
 */
int share_start(const struct strv *shares, const struct list *mounts, const char *at, int run_fd,
		const struct hostgroup *group, struct share *ret, struct err *err) HULL_MUST_CHECK;
