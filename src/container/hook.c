/* SPDX-License-Identifier: Apache-2.0 */
#include "container/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/loop.h"
#include "base/proc.h"
#include "proto/plan.h"

enum { COMPLAINT_MAX = 4096 };

struct run {
	int input, errors; /* ours */
	const char *state; /* what is left to write */
	struct buf complaint;
	uint64_t until_ms; /* 0: for ever */
};

/* In the child. */
static _Noreturn void become(const struct plan_hook *hook, int input, int errors)
{
	static char *const none[] = {NULL};
	char *const *args = hook->args.n ? hook->args.v : (char *[]){hook->path, NULL};

	proc_default_signals();
	if (dup2(input, STDIN_FILENO) < 0 || dup2(errors, STDERR_FILENO) < 0 ||
	    close_range(3, ~0U, 0) < 0)
		_exit(126);
	(void)execve(hook->path, args, hook->env.n ? hook->env.v : none);
	const char *why = strerrordesc_np(errno);
	if (write(STDERR_FILENO, why, strlen(why)) < 0)
		_exit(126);
	_exit(127);
}

static void feed(struct run *run)
{
	size_t len = strlen(run->state);
	ssize_t n = len ? write(run->input, run->state, len) : 0;

	run->state += n > 0 ? n : 0;
	if (*run->state == '\0' || (n < 0 && errno != EAGAIN && errno != EINTR))
		auto_close(&run->input); /* it need not read it */
}

/* Keeps the last of what it complains of. */
static void listen_to(struct run *run)
{
	char chunk[1024];
	ssize_t n = read(run->errors, chunk, sizeof(chunk));

	if (n > 0)
		buf_add(&run->complaint, chunk, (size_t)n);
	if (run->complaint.len > COMPLAINT_MAX)
		buf_consume(&run->complaint, run->complaint.len - COMPLAINT_MAX);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		auto_close(&run->errors);
}

/* Until it has ended: whoever it left behind may hold its standard error longer. False when time is
 * up. */
static bool accompany(struct run *run, int pidfd)
{
	for (;;) {
		struct pollfd p[] = {
			{.fd = pidfd, .events = POLLIN},
			{.fd = run->errors, .events = POLLIN},
			{.fd = run->input, .events = POLLOUT},
		};
		uint64_t now = clock_ms();
		if (run->until_ms && now >= run->until_ms)
			return false;
		int wait = run->until_ms ? (int)(run->until_ms - now) : -1;
		if (poll(p, 3, wait) < 0 && errno != EINTR)
			return false;
		if (p[2].revents)
			feed(run);
		if (p[1].revents)
			listen_to(run);
		if (p[0].revents && !p[1].revents)
			return true;
	}
}

static const char *last_line(struct buf *text)
{
	while (text->len > 0 && text->data[text->len - 1] == '\n')
		text->data[--text->len] = '\0';
	const char *nl = text->len ? strrchr(text->data, '\n') : NULL;
	return nl ? nl + 1 : text->len ? text->data : "no reason given";
}

static int run_child(const struct plan_hook *hook, struct run *run, pid_t pid, struct err *err)
{
	struct sigaction old;
	AUTO_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (pidfd < 0)
		return err_sys(err, "hook '%s'", hook->path);
	(void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, &old);
	bool ended = accompany(run, pidfd);
	(void)sigaction(SIGPIPE, &old, NULL);
	if (!ended)
		(void)kill(pid, SIGKILL); /* our own child, not yet waited for */
	int status = proc_wait(pid, err);
	if (!ended)
		return err_set(err, ETIMEDOUT, "hook '%s': took longer than %u s", hook->path,
			       hook->timeout_s);
	if (status > 0)
		return err_set(err, EIO, "hook '%s': %s (exit status %d)", hook->path,
			       last_line(&run->complaint), status);
	return status;
}

int hook_run(const struct plan_hook *hook, const char *state, struct err *err)
{
	int in[2];
	int errors[2];

	if (pipe2(in, O_CLOEXEC) < 0)
		return err_sys(err, "hook '%s'", hook->path);
	AUTO_CLOSE int in_theirs = in[0];
	AUTO_CLOSE int in_ours = in[1];
	if (pipe2(errors, O_CLOEXEC) < 0)
		return err_sys(err, "hook '%s'", hook->path);
	AUTO_CLOSE int errors_ours = errors[0];
	AUTO_CLOSE int errors_theirs = errors[1];
	pid_t pid = fork();
	if (pid == 0)
		become(hook, in_theirs, errors_theirs);
	if (pid < 0)
		return err_sys(err, "hook '%s'", hook->path);
	auto_close(&in_theirs);
	auto_close(&errors_theirs);
	(void)fcntl(in_ours, F_SETFL, O_NONBLOCK);
	(void)fcntl(errors_ours, F_SETFL, O_NONBLOCK);
	struct run run = {
		.input = TAKE_FD(in_ours),
		.errors = TAKE_FD(errors_ours),
		.state = state,
		.complaint = BUF_INIT,
		.until_ms = hook->timeout_s ? clock_ms() + hook->timeout_s * 1000ULL : 0,
	};
	int r = run_child(hook, &run, pid, err);
	auto_close(&run.input);
	auto_close(&run.errors);
	buf_done(&run.complaint);
	return r;
}
