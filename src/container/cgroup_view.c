/* SPDX-License-Identifier: Apache-2.0 */
/* The cgroups that a workload sees: v2's tree, or a tmpfs with a folder for each of v1's. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "container/cgroup.h"
#include "container/mnt.h"
#include "container/populate.h"
#include "proto/plan.h"

enum { SAFE = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };

struct view {
	int tmpfs; /* where v1's folders are; its attached form is the same mount */
	uint64_t attr;
	bool own; /* seen through a cgroup namespace */
};

/* v1's systemd tree is called "systemd" where it is mounted. */
static const char *folder_of(const char *name)
{
	return strncmp(name, "name=", 5) == 0 ? name + 5 : name;
}

static int make_folder(void *ctx, const struct cgroup_place *place, struct err *err)
{
	const struct view *v = ctx;
	const char *name = place->name;

	if (*name && mkdirat(v->tmpfs, folder_of(name), 0755) < 0)
		return err_sys(err, "make folder for cgroup '%s'", name);
	/* "cpu,cpuacct" is also known as cpu and cpuacct */
	if (!strchr(name, ','))
		return 0;
	AUTO_FREE char *copy = strdup(name);
	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	char *rest = copy;
	for (char *word; (word = strsep(&rest, ","));) {
		if (symlinkat(name, v->tmpfs, word) < 0)
			return err_sys(err, "make link for cgroup '%s'", word);
	}
	return 0;
}

static int bind_folder(const char *path, uint64_t attr, struct err *err)
{
	struct mount_change change = {
		.set = attr,
		.propagation = MS_PRIVATE,
		.recursive = true,
	};
	AUTO_CLOSE int mount = mount_clone(AT_FDCWD, path, true, err);
	int r = mount < 0 ? mount : mount_change(mount, &change, path, err);

	return r < 0 ? r : TAKE_FD(mount);
}

static int mount_hierarchy(void *ctx, const struct cgroup_place *place, struct err *err)
{
	const struct view *v = ctx;

	if (!*place->name) /* a v2 tree beside v1's has nothing to show */
		return 0;
	AUTO_CLOSE int mount = v->own ? fs_new("cgroup", place->name, v->attr, err)
				      : bind_folder(place->folder, v->attr, err);
	return mount < 0 ? mount : mount_attach_name(mount, v->tmpfs, folder_of(place->name), err);
}

static int attach(const struct populate *p, int mount, const char *target, struct err *err)
{
	AUTO_CLOSE int at = target_open(p->root, target, TARGET_FOLDER, err);

	return at < 0 ? at : mount_attach(mount, at, target, err);
}

struct own_folder {
	uint64_t attr;
	int mount; /* -1 */
};

static int bind_own(void *ctx, const struct cgroup_place *place, struct err *err)
{
	struct own_folder *own = ctx;

	if (own->mount < 0)
		own->mount = bind_folder(place->folder, own->attr, err);
	return own->mount < 0 ? own->mount : 0;
}

/* A tree that may not be mounted anew (in a user namespace without a cgroup namespace): the
 * workload's own folder of it is bound. */
static int view_v2(const struct populate *p, const char *target, uint64_t attr, struct err *err)
{
	struct err first = ERR_INIT;
	AUTO_CLOSE int mount = fs_new("cgroup2", NULL, attr, &first);

	if (mount < 0 && first.code != EPERM && first.code != EBUSY)
		return err_set(err, first.code, "%s", first.msg);
	struct own_folder own = {attr, -1};
	int r = mount < 0 ? cgroup_each(p->cgroup, bind_own, &own, err) : 0;
	if (r == 0 && mount < 0)
		mount = own.mount;
	return r < 0 ? r : attach(p, mount, target, err);
}

int populate_cgroup(const struct populate *p, const char *target, uint64_t attr, struct err *err)
{
	struct view v = {
		.tmpfs = -1,
		.attr = attr,
		.own = p->plan->namespaces & CLONE_NEWCGROUP,
	};

	if (cgroup_is_v2(p->cgroup))
		return view_v2(p, target, attr, err);
	if (!p->cgroup) { /* the workload has none of its own: it sees the host's */
		AUTO_CLOSE int host = bind_folder("/sys/fs/cgroup", attr, err);
		return host < 0 ? host : attach(p, host, target, err);
	}
	AUTO_CLOSE int tmpfs = fs_new("tmpfs", "mode=755,size=64k",
				      SAFE | (attr & ~(uint64_t)MOUNT_ATTR_RDONLY), err);
	if (tmpfs < 0)
		return tmpfs;
	v.tmpfs = tmpfs;
	int r = cgroup_each(p->cgroup, make_folder, &v, err);
	if (r == 0)
		r = attach(p, tmpfs, target, err);
	if (r == 0)
		r = cgroup_each(p->cgroup, mount_hierarchy, &v, err);
	if (r == 0 && attr & MOUNT_ATTR_RDONLY)
		r = mount_change(tmpfs, &(struct mount_change){.set = MOUNT_ATTR_RDONLY}, target,
				 err);
	return r;
}
