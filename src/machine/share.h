/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host folders that a machine sees: one process on a folder tree made of binds, in a mount
 * namespace of its own. With hull's own monitor it is hull-share, which gets messages and never
 * sees the machine's memory; with qemu it is virtiofsd.
 */
#pragma once

#include <stdbool.h>
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
	int connection; /* to hull-share: SOCK_SEQPACKET; to virtiofsd: connected vhost-user socket
			 */
};

/* What a share is made of; all borrowed. */
struct share_spec {
	const struct strv *shares; /* host paths, that appear as entries 0, 1, … */
	const struct list *mounts; /* struct plan_mount; the shares belong to the binds among them,
				      in this order: read-only, or to be made? */
	const char *at; /* an empty folder that only the process sees filled */
	int run_fd; /* for virtiofsd's socket, which is gone when this returns */
	const struct hostgroup *group;
	bool own; /* hull-share */
	int state; /* what another one, of a machine that was written down, has written, from which
		    * hull-share goes on; -1: it begins anew */
};

/* Starts it. */
int share_start(const struct share_spec *spec, struct share *ret, struct err *err) HULL_MUST_CHECK;
