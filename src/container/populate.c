/* SPDX-License-Identifier: Apache-2.0 */
#include "container/populate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/path.h"
#include "base/str.h"
#include "container/cgroup.h"
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

struct hierarchy_mount {
	int tmpfs; /* where v1's folders are; its attached form is the same mount */
	uint64_t attr;
};

static int make_hierarchy_folder(void *ctx, const char *name, struct err *err)
{
	const struct hierarchy_mount *m = ctx;

	if (*name && mkdirat(m->tmpfs, name, 0755) < 0)
		return err_sys(err, "make folder for cgroup '%s'", name);
	/* "cpu,cpuacct" is also known as cpu and cpuacct */
	if (!strchr(name, ','))
		return 0;
	AUTO_FREE char *copy = strdup(name);
	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	char *rest = copy;
	for (char *word; (word = strsep(&rest, ","));) {
		if (symlinkat(name, m->tmpfs, word) < 0)
			return err_sys(err, "make link for cgroup '%s'", word);
	}
	return 0;
}

static int mount_hierarchy(void *ctx, const char *name, struct err *err)
{
	const struct hierarchy_mount *m = ctx;
	AUTO_CLOSE int mount = *name ? fs_new("cgroup", name, m->attr, err) : -1;

	if (!*name)
		return 0;
	return mount < 0 ? mount : mount_attach_name(mount, m->tmpfs, name, err);
}

/* Seen through the workload's cgroup namespace: its own cgroup is the top. */
static int make_cgroup(const struct populate *p, struct err *err)
{
	struct hierarchy_mount m = {
		.tmpfs = -1,
		.attr = SAFE | (p->plan->privileged ? 0 : MOUNT_ATTR_RDONLY),
	};

	if (!(p->plan->namespaces & CLONE_NEWCGROUP))
		return 0;
	if (cgroup_clone_fd(p->cgroup) >= 0) {
		AUTO_CLOSE int v2 = fs_new("cgroup2", NULL, m.attr, err);
		return v2 < 0 ? v2 : attach_at(p, v2, "/sys/fs/cgroup", err);
	}
	AUTO_CLOSE int tmpfs = fs_new("tmpfs", "mode=755,size=64k", SAFE, err);
	if (tmpfs < 0)
		return tmpfs;
	m.tmpfs = tmpfs;
	int r = cgroup_each(p->cgroup, make_hierarchy_folder, &m, err);
	if (r == 0)
		r = attach_at(p, tmpfs, "/sys/fs/cgroup", err);
	if (r == 0)
		r = cgroup_each(p->cgroup, mount_hierarchy, &m, err);
	if (r == 0 && !p->plan->privileged)
		r = mount_change(tmpfs, &(struct mount_change){.set = MOUNT_ATTR_RDONLY},
				 "/sys/fs/cgroup", err);
	return r;
}

int populate_defaults(struct populate *p, struct err *err)
{
	int r = make_proc(p, err);

	if (r == 0)
		r = make_dev(p, err);
	if (r == 0)
		r = make_sys(p, err);
	if (r == 0)
		r = make_cgroup(p, err);
	return r;
}

/* A handle of the file `path` inside the root, made empty when missing. */
static int target_file(int root, const char *path, struct err *err)
{
	char parent[PATH_MAX];
	struct err missing = ERR_INIT;
	int fd = path_open_in(root, path, O_PATH, 0, &missing);

	if (fd >= 0)
		return fd;
	if (missing.code != ENOENT)
		return err_set(err, missing.code, "%s", missing.msg);
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	int n = snprintf(parent, sizeof(parent), "/%.*s", slash ? (int)(slash - path) : 0, path);
	if (n < 0 || (size_t)n >= sizeof(parent) || !*name)
		return err_set(err, EINVAL, "'%s' cannot be mounted on", path);
	AUTO_CLOSE int folder = path_mkdir_in(root, parent, 0755, err);
	if (folder < 0)
		return folder;
	AUTO_CLOSE int made = openat(folder, name,
				     O_CREAT | O_EXCL | O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (made < 0 && errno != EEXIST)
		return err_sys(err, "make '%s' to mount on", path);
	return path_open_in(root, path, O_PATH, 0, err);
}

/* Under /proc only what is known to be looked at, not written through, may be covered. */
static int refuse_proc(int at, const char *target, struct err *err)
{
	static const char *const harmless[] = {
		"/proc/cpuinfo", "/proc/diskstats", "/proc/loadavg", "/proc/meminfo",
		"/proc/stat",    "/proc/swaps",     "/proc/uptime",  NULL,
	};
	struct statfs fs;

	if (fstatfs(at, &fs) < 0)
		return err_sys(err, "stat '%s'", target);
	if (fs.f_type == PROC_SUPER_MAGIC && !str_in(target, harmless))
		return err_set(err, EPERM, "'%s': nothing may be mounted inside /proc", target);
	return 0;
}

static int source_of(const struct plan_mount *m, struct err *err)
{
	if (!m->source || m->source[0] != '/')
		return err_set(err, EINVAL, "volume source '%s' is no absolute path",
			       m->source ? m->source : "");
	if (m->make_source && access(m->source, F_OK) < 0) {
		AUTO_CLOSE int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (root < 0)
			return err_sys(err, "open '/'");
		int r = path_mkdir_all(root, m->source + 1, 0755, err);
		if (r < 0)
			return r;
	}
	return mount_clone(AT_FDCWD, m->source, m->flags & MS_REC, err);
}

static int bind_one(const struct populate *p, const struct plan_mount *m, struct err *err)
{
	struct stat st;
	struct mount_change change = {
		.set = mount_attr_of(m->flags),
		.recursive = m->flags & MS_REC,
	};

	AUTO_CLOSE int mount = source_of(m, err);
	if (mount < 0)
		return mount;
	if (fstat(mount, &st) < 0)
		return err_sys(err, "stat '%s'", m->source);
	if (change.set & (MOUNT_ATTR_NOATIME | MOUNT_ATTR_STRICTATIME))
		change.clear = MOUNT_ATTR__ATIME;
	int r = change.set ? mount_change(mount, &change, m->source, err) : 0;
	if (r < 0)
		return r;
	AUTO_CLOSE int at = S_ISDIR(st.st_mode) ? path_mkdir_in(p->root, m->target, 0755, err)
						: target_file(p->root, m->target, err);
	if (at < 0)
		return at;
	r = refuse_proc(at, m->target, err);
	return r < 0 ? r : mount_attach(mount, at, m->target, err);
}

/* The plan's file system as a detached mount, filled from `from` when it starts with that. */
static int new_mount(const struct plan_mount *m, int from, struct err *err)
{
	uint64_t attr = mount_attr_of(m->flags);
	struct mount_change flags = {.set = attr};

	AUTO_CLOSE int fs = fs_open(m->type, err);
	if (fs < 0)
		return fs;
	int r = fs_set(fs, "source", m->source && *m->source ? m->source : m->type, err);
	if (r == 0)
		r = fs_set_all(fs, m->data, err);
	/* what is copied up has to be written first */
	AUTO_CLOSE int mount = r < 0 ? r : fs_mount(fs, m->type, m->copy_up ? 0 : attr, err);
	if (mount < 0)
		return mount;
	if (m->copy_up) {
		r = copy_tree(from, mount, err);
		if (r == 0)
			r = mount_change(mount, &flags, m->target, err);
	}
	return r < 0 ? r : TAKE_FD(mount);
}

static int mount_one(const struct populate *p, const struct plan_mount *m, struct err *err)
{
	AUTO_CLOSE int at = path_mkdir_in(p->root, m->target, 0755, err);
	if (at < 0)
		return at;
	int r = strcmp(m->type, "proc") == 0 ? 0 : refuse_proc(at, m->target, err);
	if (r < 0)
		return r;
	AUTO_CLOSE int mount = new_mount(m, at, err);
	return mount < 0 ? mount : mount_attach(mount, at, m->target, err);
}

int populate_mounts(const struct populate *p, struct err *err)
{
	const struct plan_mount *m = p->plan->mounts.items;

	for (size_t i = 0; i < p->plan->mounts.n; i++, m++) {
		bool bind = !m->type || strcmp(m->type, "bind") == 0;
		if (!m->target || m->target[0] != '/')
			return err_set(err, EINVAL, "mount target '%s' is no absolute path",
				       m->target ? m->target : "");
		int r = bind ? bind_one(p, m, err) : mount_one(p, m, err);
		if (r == 0 && m->propagation && m->propagation != MS_PRIVATE) {
			AUTO_CLOSE int at = path_open_in(p->root, m->target, O_PATH, 0, err);
			struct mount_change change = {
				.propagation = m->propagation & ~(uint64_t)MS_REC,
				.recursive = m->propagation & MS_REC,
			};
			r = at < 0 ? at : mount_change(at, &change, m->target, err);
		}
		if (r < 0)
			return err_wrap(err, "mount '%s'", m->target);
	}
	return 0;
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
		AUTO_CLOSE int at = target_file(p->root, f->path, err);
		if (at < 0)
			return at;
		r = mount_attach(mount, at, f->path, err);
		if (r < 0)
			return r;
	}
	return 0;
}
