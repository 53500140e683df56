/* SPDX-License-Identifier: Apache-2.0 */
#include "container/user.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/path.h"
#include "base/str.h"

enum { FILE_MAX = 4 << 20, ID_MAX = INT32_MAX };

/* Looked at through O_PATH before it is opened: opening a device may already do something. (No
 * way through /proc/self/fd: a joiner is not in the workload's /proc, and would not trust it.) */
static int read_file(int rootfd, const char *path, struct buf *to, struct err *err)
{
	struct stat st;
	struct err missing = ERR_INIT;
	AUTO_CLOSE int look = path_open_in(rootfd, path, O_PATH, 0, &missing);

	if (look < 0)
		return missing.code == ENOENT || missing.code == ENOTDIR
			       ? 0
			       : err_set(err, missing.code, "%s", missing.msg);
	if (fstat(look, &st) < 0)
		return err_sys(err, "stat '%s'", path);
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
		return err_set(err, EINVAL, "the workload's %s is no regular file of at most 4 MiB",
			       path);
	AUTO_CLOSE int fd = path_open_in(rootfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err);
	if (fd < 0)
		return fd;
	char *at = buf_reserve(to, (size_t)st.st_size);
	if (!at)
		return buf_check(to, err);
	ssize_t n = read_upto(fd, at, (size_t)st.st_size, path, err);
	if (n < 0)
		return (int)n;
	to->len = (size_t)n;
	to->data[to->len] = '\0';
	return 0;
}

static bool to_id(const char *text, uint32_t *ret)
{
	char *end;

	if (!text || *text < '0' || *text > '9')
		return false;
	errno = 0;
	unsigned long v = strtoul(text, &end, 10);
	if (*end || errno || v > ID_MAX)
		return false;
	*ret = (uint32_t)v;
	return true;
}

/* Splits a line of either file at its colons; false for one with too few. */
static bool split(char *line, char *fields[], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		fields[i] = strsep(&line, ":");
		if (!fields[i])
			return false;
	}
	return true;
}

/* Takes the entry of `name` (a name, or a number, which is right without an entry too) from passwd.
 * Returns whether there was one. */
static bool find_passwd(char *text, const char *name, struct user *u)
{
	uint32_t number = 0;
	bool numeric = to_id(name, &number);

	for (char *line; (line = strsep(&text, "\n"));) {
		char *f[6]; /* name, password, uid, gid, gecos, home */
		uint32_t uid;
		uint32_t gid;
		if (!split(line, f, 6) || !to_id(f[2], &uid) || !to_id(f[3], &gid))
			continue;
		if (strcmp(f[0], name) != 0 && !(numeric && uid == number))
			continue;
		u->uid = uid;
		u->gid = gid;
		if (f[5][0] == '/')
			(void)snprintf(u->home, sizeof(u->home), "%s", f[5]);
		return true;
	}
	return false;
}

/* The name in passwd of u->uid, for group's member lists; "" when there is none. */
static void find_name(char *text, uid_t uid, char *name, size_t size)
{
	name[0] = '\0';
	for (char *line; (line = strsep(&text, "\n"));) {
		char *f[3];
		uint32_t id;
		if (split(line, f, 3) && to_id(f[2], &id) && id == uid) {
			(void)snprintf(name, size, "%s", f[0]);
			return;
		}
	}
}

static bool find_group(char *text, const char *name, gid_t *ret)
{
	uint32_t number = 0;

	for (char *line; (line = strsep(&text, "\n"));) {
		char *f[3];
		uint32_t gid;
		if (split(line, f, 3) && to_id(f[2], &gid) && strcmp(f[0], name) == 0) {
			*ret = gid;
			return true;
		}
	}
	if (!to_id(name, &number))
		return false;
	*ret = number;
	return true;
}

static void add_group(struct user *u, gid_t gid)
{
	for (size_t i = 0; i < u->n_groups; i++) {
		if (u->groups[i] == gid)
			return;
	}
	if (u->n_groups < USER_GROUPS_MAX)
		u->groups[u->n_groups++] = gid;
}

static void add_memberships(char *text, const char *name, struct user *u)
{
	for (char *line; (line = strsep(&text, "\n"));) {
		char *f[4];
		uint32_t gid;
		if (!split(line, f, 4) || !to_id(f[2], &gid))
			continue;
		for (char *member; (member = strsep(&f[3], ","));) {
			if (*member && strcmp(member, name) == 0)
				add_group(u, gid);
		}
	}
}

/* A copy to be cut up; "" for an empty file. */
static char *copy_of(const struct buf *b)
{
	return strdup(b->data ? b->data : "");
}

static int find_groups(const struct buf *passwd, const struct buf *group, const struct strv *more,
		       struct user *u, bool memberships, struct err *err)
{
	char name[256];
	AUTO_FREE char *users = copy_of(passwd);
	AUTO_FREE char *members = copy_of(group);

	if (!users || !members)
		return err_set(err, ENOMEM, "out of memory");
	add_group(u, u->gid);
	find_name(users, u->uid, name, sizeof(name));
	if (memberships && name[0])
		add_memberships(members, name, u);
	for (size_t i = 0; i < more->n; i++) {
		gid_t gid;
		AUTO_FREE char *text = copy_of(group);
		if (!text)
			return err_set(err, ENOMEM, "out of memory");
		if (!find_group(text, more->v[i], &gid))
			return err_set(err, EINVAL, "no such group: '%s'", more->v[i]);
		add_group(u, gid);
	}
	return 0;
}

int user_find(int rootfd, const char *text, const struct strv *groups, struct user *ret,
	      struct err *err)
{
	AUTO_BUF struct buf passwd = BUF_INIT;
	AUTO_BUF struct buf group = BUF_INIT;
	struct user u = {.home = "/"};
	AUTO_FREE char *name = strdup(text && *text ? text : "0");
	uint32_t number;

	if (!name)
		return err_set(err, ENOMEM, "out of memory");
	char *colon = strchr(name, ':');
	if (colon)
		*colon = '\0';
	int r = read_file(rootfd, "/etc/passwd", &passwd, err);
	if (r == 0)
		r = read_file(rootfd, "/etc/group", &group, err);
	if (r < 0)
		return r;

	AUTO_FREE char *users = copy_of(&passwd);
	AUTO_FREE char *lines = copy_of(&group);
	if (!users || !lines)
		return err_set(err, ENOMEM, "out of memory");
	if (*name && !find_passwd(users, name, &u)) {
		if (!to_id(name, &number))
			return err_set(err, EINVAL, "no such user: '%s'", name);
		u.uid = number;
	}
	if (colon && !find_group(lines, colon + 1, &u.gid))
		return err_set(err, EINVAL, "no such group: '%s'", colon + 1);
	r = find_groups(&passwd, &group, groups, &u, !colon, err);
	if (r == 0)
		*ret = u;
	return r;
}

static int add_exact(struct user *u, const char *text, struct err *err)
{
	int64_t id;
	int r = parse_int(text, 0, UINT32_MAX - 1, "additional group", &id, err);

	if (r < 0)
		return r;
	if (u->n_groups == USER_GROUPS_MAX)
		return err_set(err, E2BIG, "more than %d additional groups", USER_GROUPS_MAX);
	add_group(u, (gid_t)id);
	return 0;
}

int user_exact(int rootfd, uint32_t uid, uint32_t gid, const struct strv *groups, struct user *ret,
	       struct err *err)
{
	AUTO_BUF struct buf passwd = BUF_INIT;
	struct err ignored = ERR_INIT; /* without a passwd that can be read, home is "/" */
	struct user u = {.home = "/"};
	char text[16];

	if (uid == UINT32_MAX || gid == UINT32_MAX)
		return err_set(err, EINVAL, "user %u:%u: 2^32-1 is no id", uid, gid);
	(void)snprintf(text, sizeof(text), "%u", uid);
	if (read_file(rootfd, "/etc/passwd", &passwd, &ignored) == 0 && passwd.data)
		(void)find_passwd(passwd.data, text, &u);
	u.uid = uid;
	u.gid = gid;
	for (size_t i = 0; i < groups->n; i++) {
		int r = add_exact(&u, groups->v[i], err);
		if (r < 0)
			return r;
	}
	*ret = u;
	return 0;
}
