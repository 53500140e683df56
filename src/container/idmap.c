/* SPDX-License-Identifier: Apache-2.0 */
#include "container/idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/proc.h"
#include "base/str.h"
#include "proto/plan.h"
#include "proto/record.h"

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

int idmap_check(const struct list *maps, const char *what, struct err *err)
{
	enum { MAPS_MAX = 340 }; /* the kernel's own bound */
	const struct plan_idmap *m = maps->items;

	if (maps->n == 0 || maps->n > MAPS_MAX)
		return err_set(err, EINVAL, "%s: %zu mappings; 1 to %d are possible", what, maps->n,
			       MAPS_MAX);
	for (size_t i = 0; i < maps->n; i++) {
		if (m[i].size == 0)
			return err_set(err, EINVAL, "%s: a mapping of no ids", what);
		if ((uint64_t)m[i].inside + m[i].size > UINT32_MAX ||
		    (uint64_t)m[i].outside + m[i].size > UINT32_MAX)
			return err_set(err, EINVAL, "%s: a mapping beyond the last id", what);
		for (size_t k = 0; k < i; k++) {
			if (overlap(m[i].inside, m[i].size, m[k].inside, m[k].size) ||
			    overlap(m[i].outside, m[i].size, m[k].outside, m[k].size))
				return err_set(err, EINVAL, "%s: mappings overlap", what);
		}
	}
	return 0;
}

static void format(const struct list *maps, struct buf *to)
{
	const struct plan_idmap *m = maps->items;

	for (size_t i = 0; i < maps->n; i++)
		buf_printf(to, "%u %u %u\n", m[i].inside, m[i].outside, m[i].size);
}

static int put(int proc, pid_t pid, const char *file, const char *text, struct err *err)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "%d/%s", pid, file);
	return file_put(proc, path, text, err);
}

static int add_number(struct strv *to, uint32_t n, struct err *err)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%u", n);
	return strv_add(to, text, err);
}

/* Where a program that has the right to map is looked for; the caller's PATH is not asked. */
static const char *const program_folders[] = {"/usr/bin", "/bin", "/usr/local/bin", NULL};

static int find_program(const char *name, char path[static 64], struct err *err)
{
	for (size_t i = 0; program_folders[i]; i++) {
		(void)snprintf(path, 64, "%s/%s", program_folders[i], name);
		if (access(path, X_OK) == 0)
			return 0;
	}
	return err_set(err, ENOENT,
		       "only one's own id can be mapped without %s, and that is not installed "
		       "(package uidmap)",
		       name);
}

/* newuidmap PID INSIDE OUTSIDE SIZE … */
static int ask_program(const char *program, pid_t pid, const struct list *maps, struct err *err)
{
	AUTO_STRV struct strv args = {.n = 0};
	const struct plan_idmap *m = maps->items;
	char path[64];
	int r = find_program(program, path, err);

	if (r == 0)
		r = strv_add(&args, path, err);

	if (r == 0)
		r = add_number(&args, (uint32_t)pid, err);
	for (size_t i = 0; i < maps->n && r == 0; i++) {
		r = add_number(&args, m[i].inside, err);
		if (r == 0)
			r = add_number(&args, m[i].outside, err);
		if (r == 0)
			r = add_number(&args, m[i].size, err);
	}
	return r < 0 ? r : proc_run((const char *const *)args.v, NULL, NULL, err);
}

static bool maps_self(const struct list *maps, uint32_t id)
{
	const struct plan_idmap *m = maps->items;

	return maps->n == 1 && m->size == 1 && m->outside == id;
}

static int write_groups(int proc, pid_t pid, const struct list *gids, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct err direct = ERR_INIT;

	format(gids, &text);
	if (buf_check(&text, err) < 0)
		return -err->code;
	if (put(proc, pid, "gid_map", text.data, &direct) == 0)
		return 0;
	if (direct.code != EPERM)
		return err_set(err, direct.code, "%s", direct.msg);
	if (!maps_self(gids, (uint32_t)getegid()))
		return ask_program("newgidmap", pid, gids, err);
	/* one's own group alone: the kernel wants that no group can be dropped then */
	int r = put(proc, pid, "setgroups", "deny", err);
	return r < 0 ? r : put(proc, pid, "gid_map", text.data, err);
}

static int write_users(int proc, pid_t pid, const struct list *uids, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct err direct = ERR_INIT;

	format(uids, &text);
	if (buf_check(&text, err) < 0)
		return -err->code;
	if (put(proc, pid, "uid_map", text.data, &direct) == 0)
		return 0;
	if (direct.code != EPERM)
		return err_set(err, direct.code, "%s", direct.msg);
	return ask_program("newuidmap", pid, uids, err);
}

int idmap_write(int proc, pid_t pid, const struct list *uids, const struct list *gids,
		struct err *err)
{
	int r = idmap_check(uids, "uidMappings", err);

	if (r == 0)
		r = idmap_check(gids, "gidMappings", err);
	if (r == 0)
		r = write_groups(proc, pid, gids, err);
	if (r == 0)
		r = write_users(proc, pid, uids, err);
	return r < 0 ? err_wrap(err, "user namespace") : 0;
}

/* The helper's life: it says by which number "/proc" knows it, once it is in its namespace, and
 * waits until the other end of its socket is gone: with its parent, however that ends. (A parent
 * death signal would not do: the kernel forgets it when a namespace gives new capabilities.) */
static _Noreturn void hold(int sock, int root)
{
	char number[16] = "";
	bool known = readlink("/proc/self", number, sizeof(number) - 1) > 0;
	bool on_top = root < 0 || (fchdir(root) == 0 && chroot(".") == 0);

	if (!known || !on_top || unshare(CLONE_NEWUSER) < 0)
		(void)snprintf(number, sizeof(number), "-%d", errno);
	if (send(sock, number, sizeof(number), MSG_NOSIGNAL) < 0)
		_exit(1);
	while (read(sock, number, 1) < 0 && errno == EINTR)
		continue;
	_exit(0);
}

static int map_holder(int sock, const struct list *uids, const struct list *gids, struct err *err)
{
	char text[17] = "";
	char path[32];
	AUTO_CLOSE int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		return err_sys(err, "open '/proc'");
	ssize_t n;
	do {
		n = recv(sock, text, sizeof(text) - 1, 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, "hear from the holder of a user namespace");
	int pid = (int)strtol(text, NULL, 10);
	if (pid <= 0)
		return err_set(err, pid ? -pid : ECHILD, "make a user namespace: %s",
			       strerrordesc_np(pid ? -pid : ECHILD));
	int r = idmap_write(proc, pid, uids, gids, err);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "%d/ns/user", pid);
	int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "open the user namespace") : fd;
}

int idmap_userns(const struct list *uids, const struct list *gids, int root, struct err *err)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(err, "create socket pair");
	AUTO_CLOSE int ours = ends[0];
	AUTO_CLOSE int theirs = ends[1];
	pid_t pid = fork();
	if (pid == 0) {
		auto_close(&ours);
		hold(theirs, root);
	}
	if (pid < 0)
		return err_sys(err, "start the holder of a user namespace");
	auto_close(&theirs);
	int fd = map_holder(ours, uids, gids, err);
	auto_close(&ours);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	return fd;
}

bool idmap_inside(void)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct err ignored = ERR_INIT; /* a kernel without user namespaces */
	unsigned inside;
	unsigned outside;
	unsigned size;

	if (file_read(AT_FDCWD, "/proc/self/uid_map", 65536, &text, &ignored) < 0 || !text.data)
		return false;
	char *end = text.data;
	inside = (unsigned)strtoul(end, &end, 10);
	outside = (unsigned)strtoul(end, &end, 10);
	size = (unsigned)strtoul(end, &end, 10);
	return inside != 0 || outside != 0 || size != UINT32_MAX;
}
