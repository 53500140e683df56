/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/hostgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <mntent.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/path.h"
#include "base/str.h"

enum { PROCS_MAX = 1 << 20, REMOVE_MS = 2000 };

struct hierarchy {
	char *mount; /* owned */
	bool v2, memory;
};

struct hierarchies {
	struct hierarchy v[HOSTGROUP_MAX];
	size_t n;
};

static void hierarchies_done(struct hierarchies *all)
{
	for (size_t i = 0; i < all->n; i++)
		free(all->v[i].mount);
	all->n = 0;
}

static bool wanted(const struct mntent *m, struct hierarchy *h)
{
	static const char *const controllers[] = {"memory", "pids", "freezer", "cpuacct"};

	h->v2 = strcmp(m->mnt_type, "cgroup2") == 0;
	h->memory = h->v2 || hasmntopt(m, "memory");
	if (h->v2)
		return true;
	if (strcmp(m->mnt_type, "cgroup") != 0)
		return false;
	for (size_t i = 0; i < sizeof(controllers) / sizeof(controllers[0]); i++) {
		if (hasmntopt(m, controllers[i]))
			return true;
	}
	return false;
}

static int find_hierarchies(struct hierarchies *all, struct err *err)
{
	char line[PATH_MAX + 512];
	struct mntent m;
	FILE *f = setmntent("/proc/self/mounts", "re");

	if (!f)
		return err_sys(err, "read /proc/self/mounts");
	while (all->n < HOSTGROUP_MAX && getmntent_r(f, &m, line, sizeof(line))) {
		struct hierarchy h = {0};
		if (!wanted(&m, &h))
			continue;
		h.mount = strdup(m.mnt_dir);
		if (!h.mount)
			break;
		all->v[all->n++] = h;
	}
	(void)endmntent(f);
	return 0;
}

/* What is lacking here is lacking on purpose (no delegation, no such controller): the limit inside
 * the machine holds all the same. */
static void try_put(int dir, const char *file, const char *text)
{
	struct err ignored = ERR_INIT;

	if (file_put(dir, file, text, &ignored) < 0)
		return;
}

static void limit_memory(int dir, bool v2, uint64_t bytes)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, bytes);
	try_put(dir, v2 ? "memory.max" : "memory.limit_in_bytes", text);
}

/* Hands version 2's controllers down to the children of each folder on the way. */
static void delegate(int root, const char *path)
{
	char part[PATH_MAX] = ".";
	size_t n = strlen(path);

	for (size_t i = 0; i <= n && i < sizeof(part) - 1; i++) {
		if (i > 0 && path[i] == '\0')
			return;
		if (i == 0 || path[i] == '/') {
			int dir = openat(root, i == 0 ? "." : part,
					 O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			if (dir >= 0) {
				try_put(dir, "cgroup.subtree_control", "+memory");
				try_put(dir, "cgroup.subtree_control", "+pids");
			}
			auto_close(&dir);
		}
		part[i] = path[i];
		part[i + 1] = '\0';
	}
}

static int make_one(const struct hierarchy *h, const char *path, uint64_t memory, int *tasks,
		    struct err *err)
{
	AUTO_CLOSE int root = open(h->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_sys(err, "open '%s'", h->mount);
	int r = path_mkdir_all(root, path, 0755, err);
	if (r < 0)
		return err_wrap(err, "in '%s'", h->mount);
	if (h->v2)
		delegate(root, path);
	AUTO_CLOSE int dir = openat(root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(err, "open cgroup '%s'", path);
	if (h->memory)
		limit_memory(dir, h->v2, memory);
	*tasks = openat(dir, h->v2 ? "cgroup.procs" : "tasks", O_WRONLY | O_CLOEXEC);
	return *tasks < 0 ? err_sys(err, "open cgroup '%s'", path) : 0;
}

int hostgroup_make(const char *path, uint64_t memory, struct hostgroup *ret, struct err *err)
{
	AUTO(hierarchies_done) struct hierarchies all = {.n = 0};

	*ret = (struct hostgroup){.n = 0};
	if (!path_is_clean(path, true))
		return err_set(err, EINVAL, "'%.100s' is no cgroup's path", path);
	int r = find_hierarchies(&all, err);
	for (size_t i = 0; i < all.n && r == 0; i++) {
		r = make_one(&all.v[i], path, memory, &ret->tasks[ret->n], err);
		ret->n += r == 0;
	}
	if (r < 0) {
		struct err ignored = ERR_INIT; /* the first failure is the one to tell */
		hostgroup_done(ret);
		if (hostgroup_remove(path, &ignored) < 0)
			return r;
	}
	return r;
}

void hostgroup_limit(const char *path, uint64_t memory)
{
	AUTO(hierarchies_done) struct hierarchies all = {.n = 0};
	struct err ignored = ERR_INIT; /* where there is no such cgroup, nothing bounds */

	if (!path_is_clean(path, true) || find_hierarchies(&all, &ignored) < 0)
		return;
	for (size_t i = 0; i < all.n; i++) {
		AUTO_CLOSE int root = open(all.v[i].mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		AUTO_CLOSE int dir = root < 0 ? -1
					      : openat(root, path,
						       O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir >= 0 && all.v[i].memory)
			limit_memory(dir, all.v[i].v2, memory);
	}
}

int hostgroup_join(const struct hostgroup *group)
{
	for (size_t i = 0; i < group->n; i++) {
		if (write(group->tasks[i], "0", 1) != 1)
			return -errno;
	}
	return 0;
}

void hostgroup_done(struct hostgroup *group)
{
	for (size_t i = 0; i < group->n; i++)
		auto_close(&group->tasks[i]);
	group->n = 0;
}

static bool lists(int dir, pid_t pid)
{
	AUTO_BUF struct buf procs = BUF_INIT;
	struct err gone = ERR_INIT;

	if (file_read(dir, "cgroup.procs", PROCS_MAX, &procs, &gone) < 0)
		return false;
	for (const char *p = procs.data; p && *p;
	     p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		if (strtol(p, NULL, 10) == pid)
			return true;
	}
	return false;
}

/* Only through a pidfd taken while the cgroup still listed it: never a stranger. */
static void kill_member(int dir, pid_t pid)
{
	AUTO_CLOSE int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

	if (fd >= 0 && lists(dir, pid))
		(void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
}

static void kill_members(int dir)
{
	AUTO_BUF struct buf procs = BUF_INIT;
	struct err gone = ERR_INIT;

	if (file_read(dir, "cgroup.procs", PROCS_MAX, &procs, &gone) < 0)
		return;
	for (const char *p = procs.data; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		kill_member(dir, (pid_t)strtol(p, NULL, 10));
}

static int remove_one(const char *mount, const char *path, struct err *err)
{
	char parent[PATH_MAX];
	int waited = 0;

	AUTO_CLOSE int root = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_CLOSE int dir = root < 0 ? -1 : openat(root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? 0 : err_sys(err, "open cgroup '%s/%s'", mount, path);
	while (unlinkat(root, path, AT_REMOVEDIR) < 0 && errno != ENOENT) {
		if (errno != EBUSY || waited >= REMOVE_MS)
			return err_sys(err, "remove cgroup '%s/%s'", mount, path);
		kill_members(dir);
		(void)poll(NULL, 0, 5);
		waited += 5;
	}
	(void)snprintf(parent, sizeof(parent), "%s", path);
	char *slash = strrchr(parent, '/');
	if (slash) { /* "hull/ID": goes with the last of its two children */
		*slash = '\0';
		if (strchr(parent, '/'))
			(void)unlinkat(root, parent, AT_REMOVEDIR);
	}
	return 0;
}

int hostgroup_remove(const char *path, struct err *err)
{
	AUTO(hierarchies_done) struct hierarchies all = {.n = 0};

	int r = find_hierarchies(&all, err);
	for (size_t i = 0; i < all.n && r >= 0; i++) {
		int one = remove_one(all.v[i].mount, path, err);
		r = r < 0 ? r : one;
	}
	return r;
}
