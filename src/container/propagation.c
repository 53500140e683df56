/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which mounts are seen on both sides. Until the root is the workload's, nothing that is mounted in
 * it may reach the host: a root folder is as a rule part of a mount that the host shares. What the
 * plan wants seen is set at the end, when all mounts are made.
 */
#include <sched.h>
#include <sys/mount.h>

#include "base/err.h"
#include "container/mnt.h"
#include "container/populate.h"
#include "proto/plan.h"

/* How the host's tree is to be seen while mounts are taken from it. */
static uint64_t wanted(const struct plan *plan)
{
	if (plan->root_propagation & MS_SHARED)
		return MS_SHARED;
	/* what is bound from here may then be a slave of the host's; the rest is made private */
	if (plan->as_specified && !(plan->root_propagation & MS_PRIVATE))
		return MS_SLAVE;
	return MS_PRIVATE;
}

int propagation_begin(const struct plan *plan, int root, struct err *err)
{
	uint64_t how = wanted(plan);
	bool follows = plan->root_propagation & (MS_SHARED | MS_SLAVE);
	struct mount_change change = {
		.propagation = follows ? MS_SLAVE : MS_PRIVATE,
		.recursive = true,
	};

	if (mount(NULL, "/", NULL, MS_REC | how, NULL) < 0)
		return err_sys(err, "set the propagation of mounts");
	/* the new root is going to be attached to this one */
	if (how != MS_PRIVATE && mount(NULL, "/", NULL, MS_PRIVATE, NULL) < 0)
		return err_sys(err, "make the old root private");
	return mount_change(root, &change, "/", err);
}

int propagation_leave(const struct plan *plan, int old, struct err *err)
{
	struct mount_change change = {.propagation = MS_SLAVE, .recursive = true};

	/* else the host would see its own mounts go */
	return wanted(plan) == MS_SHARED ? mount_change(old, &change, "the old root", err) : 0;
}

int propagation_end(const struct plan *plan, int root, struct err *err)
{
	uint64_t kind = plan->root_propagation & (MS_SHARED | MS_SLAVE | MS_UNBINDABLE);
	struct mount_change change = {
		.propagation = kind,
		.recursive = plan->root_propagation & MS_REC,
	};

	return kind ? mount_change(root, &change, "/", err) : 0;
}
