/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User namespaces: their maps are written by a parent, who has the rights for them or asks the
 * programs newuidmap and newgidmap (which look into /etc/subuid and /etc/subgid).
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/attr.h"

struct err;
struct list;

/* Refuses maps (struct plan_idmap) that the kernel would not take or that mean nothing: none, empty
 * or overlapping ones, ids beyond 2^32-2. `what` names them in the error ("uidMappings"). */
int idmap_check(const struct list *maps, const char *what, struct err *err) HULL_MUST_CHECK;

/*
 * Writes the maps of the process `pid`, which is in a new user namespace that has none yet, through
 * `proc`, a procfs that shows it under that number. Without the rights to map others than oneself,
 * newuidmap and newgidmap do it; where only one's own group may be mapped, setgroups is denied.
 */
int idmap_write(int proc, pid_t pid, const struct list *uids, const struct list *gids,
		struct err *err) HULL_MUST_CHECK;

/*
 * A user namespace without a process, with these maps (for id-mapped mounts): a descriptor that the
 * caller closes. The caller's "/proc" must be one that shows the caller. `root`: a handle of what
 * is mounted over the caller's "/", or -1 when nothing is (the kernel makes none for who is below).
 */
int idmap_userns(const struct list *uids, const struct list *gids, int root, struct err *err)
	HULL_MUST_CHECK;

/* Whether the calling process is in another user namespace than the host's first one; there device
 * nodes, device rules and raised limits are not to be had. */
bool idmap_inside(void);
