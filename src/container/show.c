/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child enters the mount namespace, and with it the container's root: there the target is
 * resolved, as any process of the container would, so that no link in it leads out. The child may
 * have a thread beside it (TSan's), which must not share the root that is left: setns(2), EINVAL.
 */
#include "container/show.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/proc.h"
#include "container/mnt.h"

/* What is to be done inside. */
struct change {
	int pidfd; /* of the workload */
	int mount; /* a detached one; -1: what is at target goes */
	const char *target;
};

static int attach(const struct change *c, struct err *err)
{
	AUTO_CLOSE int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return err_sys(err, "open the workload's root");
	AUTO_CLOSE int at = path_mkdir_in(root, c->target, 0755, err);
	return at < 0 ? at : mount_attach(c->mount, at, c->target, err);
}

static int detach(const struct change *c, struct err *err)
{
	if (umount2(c->target, UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
		return err_sys(err, "unmount '%s'", c->target);
	return 0;
}

static int change_inside(void *ctx, struct err *err)
{
	const struct change *c = ctx;

	if (unshare(CLONE_FS) < 0 || setns(c->pidfd, CLONE_NEWNS) < 0)
		return err_sys(err, "enter the workload");
	return c->mount >= 0 ? attach(c, err) : detach(c, err);
}

static int carry_out(struct change *c, struct err *err)
{
	struct err word = ERR_INIT;

	int r = proc_call(change_inside, c, &word, err);
	if (r < 0)
		return r;
	if (r == 0)
		return err_set(err, EIO, "the process that mounts in the workload was killed");
	return word.code ? err_set(err, word.code, "%s", word.msg) : 0;
}

int show_mount(int pidfd, const char *source, const char *target, struct err *err)
{
	AUTO_CLOSE int mount = mount_clone(AT_FDCWD, source, false, err);

	return mount < 0 ? mount : carry_out(&(struct change){pidfd, mount, target}, err);
}

int show_no_more(int pidfd, const char *target, struct err *err)
{
	return carry_out(&(struct change){pidfd, -1, target}, err);
}
