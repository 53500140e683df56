/* SPDX-License-Identifier: Apache-2.0 */
#include "container/populate.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/path.h"
#include "container/mnt.h"
#include "proto/plan.h"

enum { SAFE = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };

static int attach_at(const struct populate *p, int mount, const char *path, struct err *err)
{
	AUTO_CLOSE int at = path_mkdir_in(p->root, path, 0755, err);

	return at < 0 ? at : mount_attach(mount, at, path, err);
}

static int make_proc(struct populate *p, struct err *err)
{
	p->proc = fs_new("proc", NULL, SAFE, err);
	return p->proc < 0 ? p->proc : attach_at(p, p->proc, "/proc", err);
}

/* A file system on a folder `name` of the /dev that is already attached. */
static int mount_in_dev(const struct populate *p, const char *name, const char *type,
			const char *options, struct err *err)
{
	uint64_t attr = SAFE;

	if (strcmp(type, "devpts") == 0)
		attr &= ~(uint64_t)MOUNT_ATTR_NODEV; /* the kernel's own nodes live there */
	AUTO_CLOSE int mount = fs_new(type, options, attr, err);
	return mount < 0 ? mount : mount_attach_name(mount, p->dev, name, err);
}

static int make_dev(struct populate *p, struct err *err)
{
	char shm[64];
	uint64_t size = p->plan->shm_size ? p->plan->shm_size : 64 << 20;

	(void)snprintf(shm, sizeof(shm), "mode=1777,size=%ju", (uintmax_t)size);
	p->dev = fs_new("tmpfs", "mode=755,size=64m", MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME,
			err);
	if (p->dev < 0)
		return p->dev;
	int r = devices_usual(p->dev, err);
	if (r == 0 && p->plan->privileged)
		r = devices_host(p->dev, err);
	if (r == 0)
		r = attach_at(p, p->dev, "/dev", err);
	if (r == 0)
		r = mount_in_dev(p, "pts", "devpts", "newinstance,ptmxmode=0666,mode=0620,gid=5",
				 err);
	if (r == 0)
		r = mount_in_dev(p, "shm", "tmpfs", shm, err);
	if (r == 0 && p->plan->namespaces & CLONE_NEWIPC)
		r = mount_in_dev(p, "mqueue", "mqueue", NULL, err);
	return r;
}

static int make_sys(const struct populate *p, struct err *err)
{
	uint64_t attr = SAFE | (p->plan->privileged ? 0 : MOUNT_ATTR_RDONLY);
	AUTO_CLOSE int mount = fs_new("sysfs", NULL, attr, err);

	return mount < 0 ? mount : attach_at(p, mount, "/sys", err);
}

/* Seen through the workload's cgroup namespace: its own cgroup is the top. */
static int make_cgroup(const struct populate *p, struct err *err)
{
	uint64_t attr = SAFE | (p->plan->privileged ? 0 : MOUNT_ATTR_RDONLY);

	if (!(p->plan->namespaces & CLONE_NEWCGROUP))
		return 0;
	return populate_cgroup(p, "/sys/fs/cgroup", attr, err);
}

int populate_defaults(struct populate *p, struct err *err)
{
	if (p->plan->as_specified)
		return 0;
	int r = make_proc(p, err);
	if (r == 0)
		r = make_dev(p, err);
	if (r == 0)
		r = make_sys(p, err);
	if (r == 0)
		r = make_cgroup(p, err);
	return r;
}

int populate_files(const struct populate *p, int files, struct err *err)
{
	const struct plan_file *f = p->plan->files.items;

	for (size_t i = 0; i < p->plan->files.n; i++, f++) {
		char name[24];
		(void)snprintf(name, sizeof(name), "%zu", i);
		AUTO_CLOSE int fd = openat(files, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC,
					   0600);
		if (fd < 0)
			return err_sys(err, "make '%s'", f->path);
		int r = write_all(fd, f->content.data, f->content.len, f->path, err);
		if (r == 0 && fchmod(fd, (mode_t)f->mode & 07777) < 0)
			r = err_sys(err, "set mode of '%s'", f->path);
		AUTO_CLOSE int mount = r < 0 ? r : mount_clone(files, name, false, err);
		if (mount < 0)
			return mount;
		AUTO_CLOSE int at = target_open(p->root, f->path, TARGET_FILE, err);
		if (at < 0)
			return at;
		r = mount_attach(mount, at, f->path, err);
		if (r < 0)
			return r;
	}
	return 0;
}
