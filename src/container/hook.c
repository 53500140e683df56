/* SPDX-License-Identifier: Apache-2.0 */
#include "container/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/proc.h"
#include "proto/plan.h"
#include "proto/record.h"

enum { COMPLAINT_MAX = 4096 }; /* kept of what a hook writes on standard error: the end */

struct run {
	int in, complaints, pidfd; /* our ends of its streams; the hook itself */
	const char *state;
	size_t left;
	const struct hook_files *files;
	struct buf said;
	int64_t deadline_ms; /* 0: none */
};

static void auto_run(struct run *r)
{
	auto_close(&r->in);
	auto_close(&r->complaints);
	auto_close(&r->pidfd);
	buf_done(&r->said);
}

static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* A pipe that polls writable takes PIPE_BUF bytes without blocking. */
static void feed(struct run *r)
{
	ssize_t n = write(r->in, r->state, r->left < PIPE_BUF ? r->left : PIPE_BUF);

	if (n > 0) {
		r->state += n;
		r->left -= (size_t)n;
	}
	if (r->left == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
		auto_close(&r->in); /* a hook need not read it */
}

/* Reads what is there; false when there was nothing (any more). */
static bool listen_once(struct run *r)
{
	char chunk[1024];
	ssize_t n = read(r->complaints, chunk, sizeof(chunk));

	if (n > 0) {
		buf_add(&r->said, chunk, (size_t)n);
		if (r->said.len > COMPLAINT_MAX)
			buf_consume(&r->said, r->said.len - COMPLAINT_MAX);
	} else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
		auto_close(&r->complaints);
	}
	return n > 0;
}

/* Until the hook has ended (0) or its time is over (-ETIMEDOUT). */
static int attend(struct run *r)
{
	for (;;) {
		struct pollfd fds[3] = {{.fd = r->pidfd, .events = POLLIN},
					{.fd = r->in, .events = POLLOUT},
					{.fd = r->complaints, .events = POLLIN}};
		int64_t wait = r->deadline_ms ? r->deadline_ms - now_ms() : -1;
		if (r->deadline_ms && wait <= 0)
			return -ETIMEDOUT;
		if (poll(fds, 3, wait > INT_MAX ? INT_MAX : (int)wait) < 0)
			continue; /* EINTR, or memory that will be there again */
		if (fds[2].revents)
			(void)listen_once(r);
		if (fds[1].revents)
			feed(r);
		if (fds[0].revents) {
			while (r->complaints >= 0 && listen_once(r))
				continue;
			return 0;
		}
	}
}

/* *ret: the file, the caller's; -1 when there is none of that name. */
static int open_file(const char *path, int *ret, struct err *err)
{
	if (!path)
		return 0;
	*ret = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
	return *ret < 0 ? err_sys(err, "open '%s' for its output", path) : 0;
}

/* Starts it with pipes, of which r gets our ends. Returns its pid. */
static pid_t start(const struct plan_hook *hook, struct run *r, struct err *err)
{
	static const char *const none[] = {NULL};
	const char *const alone[] = {hook->path, NULL};
	int in[2];
	int complaints[2];

	if (pipe2(in, O_CLOEXEC) < 0)
		return err_sys(err, "create pipe");
	r->in = in[1];
	AUTO_CLOSE int their_in = in[0];
	if (pipe2(complaints, O_CLOEXEC) < 0)
		return err_sys(err, "create pipe");
	r->complaints = complaints[0];
	AUTO_CLOSE int their_err = complaints[1];
	if (fcntl(r->complaints, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, "set up pipe");
	AUTO_CLOSE int out_file = -1;
	AUTO_CLOSE int err_file = -1;
	if (r->files && (open_file(r->files->out, &out_file, err) < 0 ||
			 open_file(r->files->err, &err_file, err) < 0))
		return -err->code;
	pid_t pid = proc_spawn(
		&(struct spawn){
			.file = hook->path,
			.argv = hook->args.n > 0 ? (const char *const *)hook->args.v : alone,
			.env = hook->env.n > 0 ? (const char *const *)hook->env.v : none,
			.in = their_in,
			.out = out_file,
			.err = err_file >= 0 ? err_file : their_err,
			.new_session = true,
		},
		err);
	if (pid < 0)
		return pid;
	r->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	return pid;
}

static int hook_do(const struct plan_hook *hook, const char *state, const struct hook_files *files,
		   struct err *err)
{
	AUTO(auto_run)
	struct run r = {
		.in = -1,
		.complaints = -1,
		.pidfd = -1,
		.state = state,
		.left = strlen(state),
		.files = files,
		.deadline_ms = hook->timeout_s ? now_ms() + hook->timeout_s * 1000LL : 0,
	};

	if (!hook->path || hook->path[0] != '/')
		return err_set(err, EINVAL, "its path is not absolute");
	pid_t pid = start(hook, &r, err);
	if (pid < 0)
		return pid;
	int attended = r.pidfd < 0 ? -EMFILE : attend(&r);
	if (attended < 0)
		(void)kill(-pid, SIGKILL); /* it leads a session: its children too */
	int status = proc_wait(pid, err);
	if (attended == -ETIMEDOUT)
		return err_set(err, ETIMEDOUT, "not done after %u seconds: killed",
			       hook->timeout_s);
	if (attended < 0)
		return err_set(err, -attended, "watch it: %s", strerrordesc_np(-attended));
	if (status > 0)
		return err_set(err, EIO, "%s (exit status %d)",
			       buf_last_line(&r.said, "no reason given"), status);
	return status;
}

int hook_run(const struct plan_hook *hook, const char *state, const struct hook_files *files,
	     struct err *err)
{
	struct sigaction old;

	(void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, &old);
	int r = hook_do(hook, state, files, err);
	(void)sigaction(SIGPIPE, &old, NULL);
	return r < 0 ? err_wrap(err, "hook '%s'", hook->path ? hook->path : "") : 0;
}

int hooks_run(const struct list *hooks, uint32_t point, const char *state,
	      const struct hook_files *files, hook_warn *warn, void *ctx, struct err *err)
{
	const struct plan_hook *hook = hooks->items;

	for (size_t i = 0; i < hooks->n; i++, hook++) {
		struct err failure = ERR_INIT;
		int r = hook->point == point ? hook_run(hook, state, files, &failure) : 0;
		if (r < 0 && !warn)
			return err_set(err, failure.code, "%s", failure.msg);
		if (r < 0)
			warn(ctx, failure.msg);
	}
	return 0;
}
