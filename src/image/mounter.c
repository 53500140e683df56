/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A question is a packet: a letter and a path, with a descriptor beside it or without; so is the
 * answer, a struct said. Both ends are one program, and questions come one at a time.
 */
#include "image/mounter.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/str.h"
#include "image/below.h"
#include "image/xattr.h"

enum question {
	BEGIN = 'b', /* path: the importer's folder */
	PUSH = 'p', /* descriptor: a layer file */
	OPEN = 'o', /* path: in what is mounted; the answer brings a descriptor */
	HIDDEN = 'x', /* descriptor: one of those; the answer has its attributes */
};

enum { PATH_ROOM = PATH_MAX + 1, HIDDEN_MAX = 48 << 10, VALUE_MAX = 64 << 10 };

struct asked {
	char what;
	char path[PATH_ROOM]; /* whoever asks sends no more than there is of it */
};

struct said {
	int result; /* as the function in below.h answered; err is set when it is negative */
	struct err err;
	uint32_t n; /* bytes that follow: name, NUL, length (uint32_t), value; and so on */
	char bytes[HIDDEN_MAX];
};

struct mounter {
	int socket;
	pid_t pid;
	struct said said;
};

/* A packet with a descriptor (-1: none). */
static int send_packet(int socket, const void *bytes, size_t n, int fd)
{
	return fd_send(socket, bytes, n, &fd, fd >= 0, 0) < 0 ? -errno : 0;
}

/* Its length; 0 when the other side has ended. *ret_fd is the caller's to close. */
static ssize_t take_packet(int socket, void *bytes, size_t room, int *ret_fd)
{
	size_t n_fds = 1;

	ssize_t n = fd_receive(socket, bytes, room, ret_fd, &n_fds);
	return n < 0 ? -errno : n;
}

/* --- the child --- */

struct served {
	const char *root;
	struct below *below; /* NULL: not begun */
};

static int begin(struct served *s, const char *path, struct err *err)
{
	const char *rest = NULL, *name = NULL;

	if (!str_prefix(path, s->root, &rest) || !str_prefix(rest, "/tmp/import.", &name) ||
	    strchr(name, '/'))
		return err_set(err, EINVAL, "'%.200s' is no importer's folder", path);
	below_free(TAKE_PTR(s->below));
	return below_new(path, &s->below, err);
}

static int open_in(struct served *s, const char *path, int *ret_fd, struct err *err)
{
	struct layer_lower lower;

	int r = below_view(s->below, &lower, err);
	return r < 0 ? r : lower.open(lower.ctx, path, ret_fd, err);
}

static int add_bytes(struct said *said, const void *bytes, size_t n, struct err *err)
{
	if (n > sizeof(said->bytes) - said->n)
		return err_set(err, E2BIG, "attributes take more than %d bytes", HIDDEN_MAX);
	memcpy(said->bytes + said->n, bytes, n);
	said->n += (uint32_t)n;
	return 0;
}

/* Attributes that only this process sees; overlayfs' own are nobody's. */
static int tell_hidden(int fd, struct said *said, struct err *err)
{
	AUTO_FREE char *room = malloc(VALUE_MAX);
	AUTO_FREE char *value = malloc(VALUE_MAX);
	int r = 0;

	if (!room || !value)
		return err_set(err, ENOMEM, "out of memory");
	ssize_t n = flistxattr(fd, room, VALUE_MAX);
	if (n < 0)
		return errno == EOPNOTSUPP ? 0 : err_sys(err, "list attributes");
	for (const char *name = room; r == 0 && name < room + n; name += strlen(name) + 1) {
		if (!str_prefix(name, "trusted.", NULL) ||
		    str_prefix(name, "trusted.overlay.", NULL))
			continue;
		ssize_t got = fgetxattr(fd, name, value, VALUE_MAX);
		if (got < 0)
			return err_sys(err, "read an attribute");
		uint32_t len = (uint32_t)got;
		r = add_bytes(said, name, strlen(name) + 1, err);
		if (r == 0)
			r = add_bytes(said, &len, sizeof(len), err);
		if (r == 0)
			r = add_bytes(said, value, len, err);
	}
	return r;
}

static int answer(struct served *s, const struct asked *asked, int fd, struct said *said,
		  int *ret_fd)
{
	struct err *err = &said->err;

	if (asked->what == BEGIN)
		return begin(s, asked->path, err);
	if (asked->what == PUSH && s->below && fd >= 0)
		return below_push(s->below, fd, err);
	if (asked->what == OPEN && s->below)
		return open_in(s, asked->path, ret_fd, err);
	if (asked->what == HIDDEN && fd >= 0)
		return tell_hidden(fd, said, err);
	return err_set(err, EINVAL, "no such question");
}

/* Until the importer has ended, whose descriptors it lets go of first. */
static void serve(int socket, const char *root)
{
	struct served s = {.root = root};
	static struct asked asked;
	static struct said said;
	int fd = -1;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (dup2(socket, 0) < 0 || close_range(1, UINT_MAX, 0) < 0)
		return;
	for (ssize_t n; (n = take_packet(0, &asked, sizeof(asked) - 1, &fd)) > 0;) {
		AUTO_CLOSE int theirs = fd;
		AUTO_CLOSE int mine = -1;
		((char *)&asked)[n] = '\0';
		said.err = ERR_INIT;
		said.n = 0;
		said.result = answer(&s, &asked, theirs, &said, &mine);
		if (send_packet(0, &said, offsetof(struct said, bytes) + said.n, mine) < 0)
			break;
	}
	below_free(s.below);
}

/* --- the importer --- */

int mounter_new(const char *root, struct mounter **ret, struct err *err)
{
	AUTO(auto_mounter_free) struct mounter *m = calloc(1, sizeof(*m));
	int ends[2];

	if (!m)
		return err_set(err, ENOMEM, "out of memory");
	m->socket = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(err, "create a socket pair");
	m->socket = ends[0];
	AUTO_CLOSE int theirs = ends[1];
	m->pid = fork();
	if (m->pid < 0)
		return err_sys(err, "start a process that mounts layers");
	if (m->pid == 0) {
		serve(theirs, root);
		_exit(0);
	}
	*ret = TAKE_PTR(m);
	return 0;
}

void mounter_free(struct mounter *m)
{
	struct err ignored = ERR_INIT; /* how it ends is of no interest */

	if (!m)
		return;
	auto_close(&m->socket);
	if (m->pid > 0)
		(void)!proc_wait(m->pid, &ignored);
	free(m);
}

static int ask(struct mounter *m, enum question what, const char *path, int fd, int *ret_fd,
	       struct err *err)
{
	struct asked asked = {.what = (char)what};
	size_t len = strlen(path);
	AUTO_CLOSE int got = -1;

	if (len >= sizeof(asked.path))
		return err_set(err, ENAMETOOLONG, "'%.100s…': path too long", path);
	memcpy(asked.path, path, len);
	int r = send_packet(m->socket, &asked, offsetof(struct asked, path) + len, fd);
	ssize_t n = r < 0 ? r : take_packet(m->socket, &m->said, sizeof(m->said), &got);
	if (n < (ssize_t)offsetof(struct said, bytes))
		return err_set(err, EIO, "the process that mounts layers has ended");
	if (m->said.result < 0)
		return err_set(err, m->said.err.code, "%s", m->said.err.msg);
	if (ret_fd)
		*ret_fd = TAKE_FD(got);
	return m->said.result;
}

int mounter_begin(struct mounter *m, const char *work_path, struct err *err)
{
	return ask(m, BEGIN, work_path, -1, NULL, err);
}

int mounter_push(struct mounter *m, int layer_fd, struct err *err)
{
	return ask(m, PUSH, "", layer_fd, NULL, err);
}

static int view_open(void *ctx, const char *path, int *ret, struct err *err)
{
	AUTO_CLOSE int fd = -1;

	int r = ask(ctx, OPEN, path, -1, &fd, err);
	if (r == 0)
		*ret = TAKE_FD(fd);
	return r;
}

static int view_hidden(void *ctx, int fd, struct xattr_set *set, struct err *err)
{
	struct mounter *m = ctx;

	int r = ask(m, HIDDEN, "", fd, NULL, err);
	for (const char *at = m->said.bytes, *end = at + m->said.n; r >= 0 && at < end;) {
		const char *name = at;
		uint32_t n;
		at += strlen(name) + 1;
		memcpy(&n, at, sizeof(n));
		at += sizeof(n);
		r = xattr_add(set, name, at, n, err);
		at += n;
	}
	return r < 0 ? r : 0;
}

struct layer_lower mounter_view(struct mounter *m)
{
	return (struct layer_lower){.ctx = m, .open = view_open, .hidden = view_hidden};
}
