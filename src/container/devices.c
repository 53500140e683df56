/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes, links and folders of a workload's /dev, made below handles only. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/str.h"
#include "container/mnt.h"
#include "container/populate.h"
#include "proto/plan.h"

static const struct {
	const char *name;
	unsigned major, minor;
} nodes[] = {
	{"null", 1, 3},   {"zero", 1, 5},    {"full", 1, 7},
	{"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
};

static const struct {
	const char *name, *to;
} links[] = {
	{"ptmx", "pts/ptmx"},          {"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"},
	{"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"}, {"core", "/proc/kcore"},
};

int devices_usual(int dev, struct err *err)
{
	static const char *const folders[] = {"pts", "shm", "mqueue"};
	mode_t old = umask(0);
	int r = 0;

	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]) && r == 0; i++) {
		if (mknodat(dev, nodes[i].name, S_IFCHR | 0666,
			    makedev(nodes[i].major, nodes[i].minor)) < 0)
			r = err_sys(err, "make device '%s'", nodes[i].name);
	}
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]) && r == 0; i++) {
		if (symlinkat(links[i].to, dev, links[i].name) < 0)
			r = err_sys(err, "make link '/dev/%s'", links[i].name);
	}
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]) && r == 0; i++) {
		if (mkdirat(dev, folders[i], 0755) < 0)
			r = err_sys(err, "make folder '/dev/%s'", folders[i]);
	}
	(void)umask(old);
	return r;
}

/* A device node to be made. */
struct node {
	const char *path; /* as the host and the workload call it */
	mode_t mode; /* with its kind */
	dev_t dev;
};

static int copy_nodes(int from, int to, const char *name, int depth, struct err *err);

static int copy_device(int to, const char *name, const struct stat *st, struct err *err)
{
	if (mknodat(to, name, st->st_mode, st->st_rdev) < 0)
		return errno == EEXIST ? 0 : err_sys(err, "make device '%s'", name);
	if (fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "set owner of device '%s'", name);
	return 0;
}

static int copy_node(int from, int to, const char *name, int depth, struct err *err)
{
	enum { DEPTH_MAX = 8 };
	/* the workload has its own, or none */
	static const char *const own[] = {"pts", "shm", "mqueue", "console", "ptmx", NULL};
	struct stat st;

	if (name[0] == '.' || (depth == 0 && str_in(name, own)) ||
	    fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
		return copy_device(to, name, &st, err);
	if (!S_ISDIR(st.st_mode) || depth == DEPTH_MAX)
		return 0;
	if (mkdirat(to, name, 0755) < 0 && errno != EEXIST)
		return err_sys(err, "make folder '%s'", name);
	int below = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (below < 0)
		return err_sys(err, "open folder '%s'", name);
	return copy_nodes(below, to, name, depth + 1, err);
}

/* Takes from; into the folder `name` of `to`. */
static int copy_nodes(int from, int to, const char *name, int depth, struct err *err)
{
	AUTO_CLOSE int target = openat(to, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = target < 0 ? NULL : fdopendir(from);
	int r = 0;

	if (!dir) {
		auto_close(&from);
		return err_sys(err, "list devices");
	}
	for (struct dirent *e; r == 0 && (e = readdir(dir));)
		r = copy_node(dirfd(dir), target, e->d_name, depth, err);
	(void)closedir(dir);
	return r;
}

int devices_host(int dev, struct err *err)
{
	mode_t old = umask(0);
	int from = open("/dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = from < 0 ? err_sys(err, "open '/dev'") : copy_nodes(from, dev, ".", 0, err);

	(void)umask(old);
	return r;
}

/*
 * In a user namespace no node can be made: the host's is bound there instead, once it is seen to be
 * that device.
 */
static int bind_host_node(int folder, const char *name, const struct node *node, struct err *err)
{
	struct stat st;
	AUTO_CLOSE int mount = mount_clone_nofollow(node->path, false, err);
	if (mount < 0)
		return mount;
	if (fstat(mount, &st) < 0)
		return err_sys(err, "stat '%s'", node->path);
	if ((st.st_mode & S_IFMT) != (node->mode & S_IFMT) || st.st_rdev != node->dev)
		return err_set(err, ENODEV, "the host's '%s' is another device", node->path);
	AUTO_CLOSE int made = openat(folder, name,
				     O_CREAT | O_EXCL | O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (made < 0)
		return err_sys(err, "make '%s'", node->path);
	return mount_attach_name(mount, folder, name, err);
}

/* 1 when it was made, 0 when something is there, or was bound there, already. */
static int make_node(int folder, const char *name, const struct node *node, struct err *err)
{
	if (mknodat(folder, name, node->mode, node->dev) == 0)
		return 1;
	if (errno == EEXIST)
		return 0;
	if (errno != EPERM || S_ISFIFO(node->mode))
		return err_sys(err, "make device '%s'", node->path);
	return bind_host_node(folder, name, node, err);
}

static int make_plan_node(const struct populate *p, const struct plan_device *d, struct err *err)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(d->path, '/');
	const char *name = slash ? slash + 1 : "";
	struct node node = {
		.path = d->path,
		.mode = ((mode_t)d->mode & 0777) | (d->type == 'b'   ? S_IFBLK
						    : d->type == 'p' ? S_IFIFO
								     : S_IFCHR),
		.dev = d->type == 'p' ? 0 : makedev(d->major, d->minor),
	};

	if (d->path[0] != '/' || !*name || strcmp(name, "..") == 0 ||
	    strlen(d->path) >= sizeof(parent))
		return err_set(err, EINVAL, "device path '%s'", d->path);
	(void)snprintf(parent, sizeof(parent), "/%.*s", (int)(slash - d->path), d->path);
	AUTO_CLOSE int folder = path_mkdir_in(p->root, parent, 0755, err);
	if (folder < 0)
		return folder;
	int r = make_node(folder, name, &node, err);
	if (r <= 0)
		return r;
	if (fchmodat(folder, name, (mode_t)d->mode & 0777, 0) < 0 ||
	    fchownat(folder, name, d->uid, d->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "set owner of device '%s'", d->path);
	return 0;
}

static int make_plan_nodes(const struct populate *p, struct err *err)
{
	const struct plan_device *d = p->plan->limits.devices.items;

	for (size_t i = 0; i < p->plan->limits.devices.n; i++, d++) {
		int r = d->path ? make_plan_node(p, d, err) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

static int fill_nodes(int dev, struct err *err)
{
	char path[32];
	struct stat st;
	int r = 0;

	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]) && r >= 0; i++) {
		struct node node = {path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)};
		(void)snprintf(path, sizeof(path), "/dev/%s", nodes[i].name);
		if (fstatat(dev, nodes[i].name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			r = make_node(dev, nodes[i].name, &node, err);
	}
	return r < 0 ? r : 0;
}

static int fill_links(int dev, struct err *err)
{
	struct stat st;

	/* an own instance of devpts is reached by the link only */
	if (fstatat(dev, "ptmx", &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISLNK(st.st_mode))
		(void)unlinkat(dev, "ptmx", 0);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		if (symlinkat(links[i].to, dev, links[i].name) < 0 && errno != EEXIST)
			return err_sys(err, "make link '/dev/%s'", links[i].name);
	}
	return 0;
}

/* What the runtime-spec promises ("Default Devices"), where it is missing. */
static int fill_dev(int dev, bool tty, struct err *err)
{
	int r = fill_nodes(dev, err);

	if (r == 0)
		r = fill_links(dev, err);
	if (r < 0 || !tty)
		return r;
	/* the terminal comes to lie on it, when /dev may be read-only already */
	AUTO_CLOSE int made = openat(dev, "console",
				     O_CREAT | O_EXCL | O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
	return made < 0 && errno != EEXIST ? err_sys(err, "make '/dev/console'") : 0;
}

/* The root's /dev: a folder of the root or a mount on it, never a link. */
static int open_dev(const struct populate *p, struct err *err)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};

	if (mkdirat(p->root, "dev", 0755) < 0 && errno != EEXIST && errno != EROFS)
		return err_sys(err, "make folder '/dev'");
	int fd = (int)syscall(SYS_openat2, p->root, "dev", &how, sizeof(how));
	if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
		return err_set(err, errno, "the root's /dev is a link, or no folder: refused");
	return fd < 0 ? err_sys(err, "open '/dev'") : fd;
}

/* The last of the plan's mounts on /dev, or NULL. */
static const struct plan_mount *dev_mount(const struct plan *plan)
{
	const struct plan_mount *m = plan->mounts.items;

	for (size_t i = plan->mounts.n; i-- > 0;) {
		if (strcmp(m[i].target, "/dev") == 0 || strcmp(m[i].target, "/dev/") == 0)
			return &m[i];
	}
	return NULL;
}

static int devices_specified(const struct populate *p, struct err *err)
{
	const struct plan_mount *m = dev_mount(p->plan);
	mode_t old = umask(0);
	AUTO_CLOSE int dev = open_dev(p, err);
	int r = dev < 0 ? dev : 0;

	/* a bound /dev is the host's business: it has its nodes, and gets none of ours */
	bool bound = m && (!m->type || strcmp(m->type, "bind") == 0 || m->flags & MS_BIND);
	if (r == 0 && !bound)
		r = make_plan_nodes(p, err);
	if (r == 0 && !bound)
		r = fill_dev(dev, p->plan->process.tty, err);
	if (r == 0 && !bound && m && m->flags & MS_RDONLY)
		r = mount_change(dev, &(struct mount_change){.set = MOUNT_ATTR_RDONLY}, "/dev",
				 err);
	(void)umask(old);
	return r;
}

int devices_plan(const struct populate *p, struct err *err)
{
	return p->plan->as_specified ? devices_specified(p, err) : make_plan_nodes(p, err);
}
