/* SPDX-License-Identifier: Apache-2.0 */
#include "container/task.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/loop.h"
#include "container/note.h"

struct task *task_new(const struct task_owner *owner, struct loop *loop, uint32_t process)
{
	struct task *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->owner = owner;
	t->loop = loop;
	t->process = process;
	t->pidfd = -1;
	t->helper = -1;
	t->sock = -1;
	t->master = -1;
	return t;
}

/* Reaps the child behind *pidfd and closes it; its status as a shell counts. */
static uint32_t reap(int *pidfd)
{
	siginfo_t info = {.si_code = 0};
	int r;

	do {
		r = waitid((idtype_t)P_PIDFD, (id_t)*pidfd, &info, WEXITED);
	} while (r < 0 && errno == EINTR);
	auto_close(pidfd);
	if (r < 0)
		return 255;
	return info.si_code == CLD_EXITED ? (uint32_t)info.si_status & 0xff
					  : 128 + (uint32_t)info.si_status;
}

static void end_now(int *pidfd)
{
	if (*pidfd < 0)
		return;
	(void)syscall(SYS_pidfd_send_signal, *pidfd, SIGKILL, NULL, 0);
	(void)reap(pidfd);
}

void task_free(struct task *t)
{
	if (!t)
		return;
	watch_remove(&t->sock_watch);
	watch_remove(&t->exit_watch);
	end_now(&t->helper);
	end_now(&t->pidfd);
	auto_close(&t->sock);
	auto_close(&t->master);
	free(t);
}

pid_t task_clone(struct task *t, uint64_t flags, int cgroup_fd, int *pidfd, struct err *err)
{
	int fd = -1;
	struct clone_args args = {
		.flags = flags | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
		.pidfd = (uint64_t)(uintptr_t)&fd,
		/* clone3(2): with that flag, the parent's own is taken */
		.exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD,
	};

	if (cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_fd;
	}
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		return err_sys(err, "start a process of the workload");
	if (pid > 0) {
		*pidfd = fd;
		t->pid = pid;
	}
	return pid;
}

static int on_exit_of(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct task *t = ctx;

	watch_remove(&t->exit_watch);
	t->owner->ended(t->owner->ctx, t, reap(&t->pidfd));
	return 0;
}

/* The start is decided: execve closed the socket, or a failure was told. */
static void started(struct task *t)
{
	struct err err = t->failure;
	isolation_reply *reply = t->reply;
	void *ctx = t->ctx;

	watch_remove(&t->sock_watch);
	auto_close(&t->sock);
	t->reply = NULL;
	if (t->helper >= 0)
		(void)reap(&t->helper);
	if (err.code == 0 && t->pidfd < 0)
		(void)err_set(&err, EIO, "the process died before it was started");
	if (err.code == 0 &&
	    loop_watch(t->loop, t->pidfd, EPOLLIN, on_exit_of, t, &t->exit_watch, &err) == 0)
		t->runs = true;
	if (err.code)
		t->owner->failed(t->owner->ctx, t);
	reply(ctx, err.code ? &err : NULL, NULL);
}

static void take_note(struct task *t, struct note *note)
{
	switch (note->kind) {
	case NOTE_MESSAGE:
		t->owner->message(t->owner->ctx, note->err.msg);
		break;
	case NOTE_PROCESS:
		t->pid = note->pid;
		t->pidfd = note->fds[0];
		t->master = note->fds[1];
		note->fds[0] = note->fds[1] = -1;
		if (t->owner->born)
			t->owner->born(t->owner->ctx, t);
		break;
	case NOTE_FAILED:
		if (t->failure.code == 0)
			(void)err_set(&t->failure, note->err.code ? note->err.code : EIO, "%s",
				      note->err.msg);
		break;
	default:
		(void)err_set(&t->failure, EPROTO, "unknown note %u", note->kind);
	}
	note_done(note);
}

static int on_note(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct task *t = ctx;
	struct note note;
	struct err failed = ERR_INIT;

	int r = note_receive(fd, &note, &failed);
	if (r > 0) {
		take_note(t, &note);
		return 0;
	}
	if (r < 0 && t->failure.code == 0)
		t->failure = failed;
	started(t);
	return 0;
}

int task_follow(struct task *t, isolation_reply *reply, void *ctx, struct err *err)
{
	int r = loop_watch(t->loop, t->sock, EPOLLIN, on_note, t, &t->sock_watch, err);

	if (r == 0) {
		t->reply = reply;
		t->ctx = ctx;
	}
	return r;
}

static int answer_hooks(struct task *t, struct err *err)
{
	struct note go = {.kind = NOTE_GO, .pid = t->pid};
	int r = t->owner->hooks ? t->owner->hooks(t->owner->ctx, t, err) : 0;

	return r < 0 ? r : note_send(t->sock, &go, err);
}

int task_await_ready(struct task *t, struct err *err)
{
	for (;;) {
		struct note note;
		int r = note_receive(t->sock, &note, err);
		if (r < 0)
			return r;
		if (r == 0)
			return err_set(err, EIO,
				       "the workload's first process died (status %u) while its "
				       "box was made",
				       reap(&t->pidfd));
		if (note.kind == NOTE_HOOKS) {
			r = answer_hooks(t, err);
			if (r < 0)
				return r;
			continue;
		}
		if (note.kind == NOTE_READY) {
			t->master = note.fds[0];
			note.fds[0] = -1;
			note_done(&note);
			return 0;
		}
		take_note(t, &note);
		if (t->failure.code)
			return err_set(err, t->failure.code, "%s", t->failure.msg);
	}
}

int task_await_birth(struct task *t, struct err *err)
{
	while (t->pidfd < 0) {
		struct note note;
		int r = note_receive(t->sock, &note, err);
		if (r < 0)
			return r;
		if (r == 0)
			return err_set(err, EIO, "the workload's first process was not born");
		take_note(t, &note);
		if (t->failure.code)
			return err_set(err, t->failure.code, "%s", t->failure.msg);
	}
	(void)reap(&t->helper);
	return 0;
}

int task_signal(const struct task *t, int sig, struct err *err)
{
	if (t->pidfd < 0)
		return err_set(err, ESRCH, "no such process");
	if (syscall(SYS_pidfd_send_signal, t->pidfd, sig, NULL, 0) < 0)
		return err_sys(err, "send signal %d", sig);
	return 0;
}

int task_await_exec(struct task *t, struct err *err)
{
	struct note note;
	int r;

	while ((r = note_receive(t->sock, &note, err)) > 0)
		take_note(t, &note);
	if (t->helper >= 0)
		(void)reap(&t->helper);
	if (r < 0)
		return r;
	if (t->failure.code)
		return err_set(err, t->failure.code, "%s", t->failure.msg);
	return t->pidfd < 0 ? err_set(err, EIO, "the process died before it was started") : 0;
}

pid_t task_release(struct task *t, int *ret_master)
{
	pid_t pid = t->pid;

	if (ret_master)
		*ret_master = TAKE_FD(t->master);
	auto_close(&t->pidfd);
	task_free(t);
	return pid;
}
