/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes, links and folders of a workload's /dev, made below handles only. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/str.h"
#include "container/mnt.h"
#include "container/populate.h"
#include "proto/plan.h"

int devices_usual(int dev, struct err *err)
{
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
		{"ptmx", "pts/ptmx"},          {"fd", "/proc/self/fd"},
		{"stdin", "/proc/self/fd/0"},  {"stdout", "/proc/self/fd/1"},
		{"stderr", "/proc/self/fd/2"}, {"core", "/proc/kcore"},
	};
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

static int make_plan_node(const struct populate *p, const struct plan_device *d, struct err *err)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(d->path, '/');
	const char *name = slash ? slash + 1 : "";
	mode_t kind = d->type == 'b' ? S_IFBLK : S_IFCHR;

	if (d->path[0] != '/' || !*name || strlen(d->path) >= sizeof(parent))
		return err_set(err, EINVAL, "device path '%s'", d->path);
	(void)snprintf(parent, sizeof(parent), "/%.*s", (int)(slash - d->path), d->path);
	AUTO_CLOSE int folder = path_mkdir_in(p->root, parent, 0755, err);
	if (folder < 0)
		return folder;
	if (mknodat(folder, name, kind | ((mode_t)d->mode & 0777), makedev(d->major, d->minor)) < 0)
		return errno == EEXIST ? 0 : err_sys(err, "make device '%s'", d->path);
	if (fchmodat(folder, name, (mode_t)d->mode & 0777, 0) < 0 ||
	    fchownat(folder, name, d->uid, d->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "set owner of device '%s'", d->path);
	return 0;
}

int devices_plan(const struct populate *p, struct err *err)
{
	const struct plan_device *d = p->plan->limits.devices.items;

	for (size_t i = 0; i < p->plan->limits.devices.n; i++, d++) {
		int r = d->path ? make_plan_node(p, d, err) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}
