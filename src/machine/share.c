/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/str.h"
#include "machine/box.h"
#include "machine/share.h"
#include "proto/plan.h"

#define VIRTIOFSD "/usr/lib/qemu/virtiofsd"
#define SOCKET    "share.sock"

static bool is_bind(const struct plan_mount *m)
{
	return !m->type || strcmp(m->type, "bind") == 0;
}

/* The n-th bind of the plan. */
static const struct plan_mount *nth_bind(const struct list *mounts, size_t n)
{
	const struct plan_mount *m = mounts->items;

	for (size_t i = 0; i < mounts->n; i++) {
		if (is_bind(&m[i]) && n-- == 0)
			return &m[i];
	}
	return NULL;
}

static int make_point(int from, const char *source, const char *point, struct err *err)
{
	struct stat st;

	if (from < 0 ? stat(source, &st) < 0 : fstat(from, &st) < 0)
		return err_sys(err, "volume '%s'", source);
	if (S_ISDIR(st.st_mode))
		return mkdir(point, 0755) < 0 ? err_sys(err, "make '%s'", point) : 0;
	AUTO_CLOSE int fd = open(point, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return fd < 0 ? err_sys(err, "make '%s'", point) : 0;
}

/* In the new process: the binds, which nobody else sees. */
static int lay_out(void *ctx, struct err *err)
{
	const struct share_spec *tree = ctx;

	if (mount("share", tree->at, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755") < 0)
		return err_sys(err, "mount a tmpfs at '%s'", tree->at);
	for (size_t i = 0; i < tree->shares->n; i++) {
		char number[24];
		const struct plan_mount *m = nth_bind(tree->mounts, i);
		const char *source = tree->shares->v[i];
		(void)snprintf(number, sizeof(number), "%zu", i);
		AUTO_FREE char *point = path_join(tree->at, number);
		if (!point)
			return err_set(err, ENOMEM, "out of memory");
		AUTO_CLOSE int from = m && m->source_real ? path_open_real(source, err) : -1;
		int r = err->code ? -err->code : make_point(from, source, point, err);
		if (r == 0)
			r = box_bind(from, source, point, m && (m->flags & MS_REC),
				     !m || (m->flags & MS_RDONLY), err);
		if (r < 0)
			return r;
	}
	if (mount(NULL, tree->at, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV,
		  NULL) < 0)
		return err_sys(err, "make '%s' read-only", tree->at);
	return 0;
}

/* Folders that the user lets hull make (docker's -v). */
static int make_sources(const struct share_spec *tree, struct err *err)
{
	for (size_t i = 0; i < tree->shares->n; i++) {
		const struct plan_mount *m = nth_bind(tree->mounts, i);
		if (!m || !m->make_source || access(tree->shares->v[i], F_OK) == 0)
			continue;
		int r = path_mkdir_all(AT_FDCWD, tree->shares->v[i], 0755, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Both ends by the folder's handle: the path may be longer than a socket's address. The name is
 * gone as soon as both are connected. */
static int make_sockets(int run_fd, int *listening, int *connection, struct err *err)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	(void)snprintf(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d/" SOCKET, run_fd);
	(void)unlinkat(run_fd, SOCKET, 0);
	AUTO_CLOSE int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	AUTO_CLOSE int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (server < 0 || client < 0)
		return err_sys(err, "create socket");
	int r = 0;
	if (bind(server, (const struct sockaddr *)&at, sizeof(at)) < 0 || listen(server, 1) < 0 ||
	    connect(client, (const struct sockaddr *)&at, sizeof(at)) < 0)
		r = err_sys(err, "connect the share");
	(void)unlinkat(run_fd, SOCKET, 0);
	if (r < 0)
		return r;
	*listening = TAKE_FD(server);
	*connection = TAKE_FD(client);
	return 0;
}

static int command_line(struct strv *argv, int listening, const char *at, struct err *err)
{
	char *texts[2] = {NULL, NULL};

	if (asprintf(&texts[0], "--fd=%d", listening) < 0)
		texts[0] = NULL;
	if (asprintf(&texts[1], "source=%s", at) < 0)
		texts[1] = NULL;
	const char *const words[] = {VIRTIOFSD,
				     texts[0],
				     "-o",
				     texts[1],
				     "-o",
				     "cache=auto,xattr,announce_submounts,sandbox=namespace",
				     "-o",
				     "log_level=err",
				     "--rlimit-nofile=0"};
	int r = texts[0] && texts[1] ? 0 : err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && r == 0; i++)
		r = strv_add(argv, words[i], err);
	free(texts[0]);
	free(texts[1]);
	return r;
}

static int start_virtiofsd(const struct share_spec *spec, struct share *ret, struct err *err)
{
	AUTO_STRV struct strv argv = {0};
	AUTO_CLOSE int listening = -1;
	AUTO_CLOSE int connected = -1;
	struct share_spec tree = *spec;

	if (strchr(spec->at, ',')) /* its options are separated by commas */
		return err_set(err, EINVAL, "no comma can be in the store's path for volumes");
	int r = make_sockets(spec->run_fd, &listening, &connected, err);
	if (r == 0)
		r = command_line(&argv, listening, spec->at, err);
	if (r < 0)
		return r;
	struct box box = {.argv = &argv,
			  .fds = &listening,
			  .n_fds = 1,
			  .err = -1,
			  .group = spec->group,
			  .prepare = lay_out,
			  .ctx = &tree};
	int pidfd = -1;
	pid_t pid = box_spawn(&box, &pidfd, err);
	if (pid < 0)
		return pid;
	*ret = (struct share){pid, pidfd, TAKE_FD(connected)};
	return 0;
}

/* --- hull-share --- */

struct own {
	const struct share_spec *spec;
	int proc; /* a descriptor whose number becomes /proc/self/fd's */
};

/* In the new process: the binds become its root. The folder of its descriptors, which it opens
 * files by, is taken along as a mount of its own: out of a handle on the host's /proc there would
 * be a way up, to all of it. */
static int enter(void *ctx, struct err *err)
{
	const struct own *own = ctx;
	struct share_spec tree = *own->spec;

	int proc = open_tree(AT_FDCWD, "/proc/self/fd", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (proc < 0 || dup2(proc, own->proc) < 0)
		return err_sys(err, "open /proc/self/fd");
	int r = lay_out(&tree, err);
	return r < 0 ? r : box_enter_folder(tree.at, err);
}

/* Its arguments are descriptors. */
static int own_command(struct strv *argv, const int *fds, size_t n, struct err *err)
{
	char number[16];

	int r = strv_add(argv, "hull-share", err);
	for (size_t i = 0; i < n && r == 0; i++) {
		(void)snprintf(number, sizeof(number), "%d", fds[i]);
		r = strv_add(argv, number, err);
	}
	return r;
}

static int start_own(const struct share_spec *spec, struct share *ret, struct err *err)
{
	AUTO_STRV struct strv argv = {0};
	AUTO_FREE char *path = NULL;
	int pair[2];
	int pidfd = -1;

	int r = program_path("hull-share", &path, err);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "create socket pair");
	AUTO_CLOSE int ours = pair[0];
	AUTO_CLOSE int theirs = pair[1];
	AUTO_CLOSE int program = open(path, O_RDONLY | O_CLOEXEC);
	AUTO_CLOSE int proc = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (program < 0 || proc < 0)
		return err_sys(err, "open '%s'", path);
	const int fds[] = {theirs, proc, spec->state};
	size_t n_fds = spec->state < 0 ? 2 : 3;
	r = own_command(&argv, fds, n_fds, err);
	if (r < 0)
		return r;
	struct own own = {spec, proc};
	struct box box = {.argv = &argv,
			  .program = program,
			  .fds = fds,
			  .n_fds = n_fds,
			  .err = -1,
			  .group = spec->group,
			  .prepare = enter,
			  .ctx = &own};
	pid_t pid = box_spawn(&box, &pidfd, err);
	if (pid < 0)
		return pid;
	*ret = (struct share){pid, pidfd, TAKE_FD(ours)};
	return 0;
}

int share_start(const struct share_spec *spec, struct share *ret, struct err *err)
{
	int r = make_sources(spec, err);
	if (r < 0)
		return r;
	return spec->own ? start_own(spec, ret, err) : start_virtiofsd(spec, ret, err);
}
