/* SPDX-License-Identifier: Apache-2.0 */
#include "container/birth.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "container/box.h"
#include "container/cgroup.h"
#include "container/idmap.h"
#include "container/note.h"
#include "container/process.h"
#include "container/task.h"
#include "proto/plan.h"

enum { JOINS_MAX = 16 }; /* there are eight kinds of namespaces */

/* Children are born into the pid namespace that their parent has chosen for them, and only there:
 * joining one is up to the parent. Returns the way back, or -1 when there is nothing to join. */
static int choose_pids(const struct plan *plan, int *ret_home, struct err *err)
{
	const struct plan_join *j = plan->joins.items;

	for (size_t i = 0; i < plan->joins.n; i++, j++) {
		if (j->type != CLONE_NEWPID)
			continue;
		AUTO_CLOSE int home = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
		AUTO_CLOSE int fd = open(j->path, O_RDONLY | O_CLOEXEC);
		if (home < 0 || fd < 0 || setns(fd, CLONE_NEWPID) < 0)
			return err_sys(err, "join namespace '%s'", j->path);
		*ret_home = TAKE_FD(home);
	}
	return 0;
}

/* A time namespace gets its offsets before anybody is in it: the parent makes it for its next
 * child. Returns the way back, or -1. */
static int choose_time(const struct plan *plan, int *ret_home, struct err *err)
{
	if (!(plan->namespaces & CLONE_NEWTIME))
		return 0;
	AUTO_CLOSE int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_CLOSE int home = open("/proc/self/ns/time", O_RDONLY | O_CLOEXEC);
	if (proc < 0 || home < 0)
		return err_sys(err, "open /proc");
	if (unshare(CLONE_NEWTIME) < 0)
		return err_sys(err, "make a time namespace");
	*ret_home = TAKE_FD(home);
	return process_time_offsets(proc, "self", &plan->time_offsets, err);
}

static int go_home(int fd, int type, struct err *err)
{
	return fd >= 0 && setns(fd, type) < 0 ? err_sys(err, "go back to the own namespace") : 0;
}

/* Those that the first process is born into; its cgroup namespace it makes itself, once it is in
 * its cgroups. */
static uint64_t new_namespaces(const struct plan *plan)
{
	return (plan->namespaces & ~(uint64_t)(CLONE_NEWCGROUP | CLONE_NEWTIME)) | CLONE_NEWNS;
}

static pid_t clone_first(struct task *first, const struct box *box, struct err *err)
{
	AUTO_CLOSE int home = -1;
	AUTO_CLOSE int time = -1;
	int r = choose_pids(box->plan, &home, err);

	if (r == 0)
		r = choose_time(box->plan, &time, err);
	if (r < 0)
		return r;
	pid_t pid = task_clone(first, new_namespaces(box->plan), cgroup_clone_fd(box->cgroup),
			       &first->pidfd, err);
	if (pid == 0)
		return 0;
	if (pid == -EPERM && geteuid() != 0 && !(box->plan->namespaces & CLONE_NEWUSER))
		(void)err_wrap(err, "without root's rights a user namespace is needed");
	r = go_home(home, CLONE_NEWPID, err);
	if (r == 0)
		r = go_home(time, CLONE_NEWTIME, err);
	return r < 0 ? r : pid;
}

/* The two passes in which namespaces are joined: before the user namespace, and after. */
struct joining {
	int fds[JOINS_MAX]; /* -1: joined */
	size_t n;
};

static void auto_joining(struct joining *j)
{
	while (j->n > 0)
		auto_close(&j->fds[--j->n]);
}

/* All paths mean what they mean to the caller: they are opened before any is joined. */
static int open_joins(const struct plan *plan, struct joining *j, struct err *err)
{
	const struct plan_join *join = plan->joins.items;

	if (plan->joins.n > JOINS_MAX)
		return err_set(err, E2BIG, "more than %d namespaces to join", JOINS_MAX);
	for (size_t i = 0; i < plan->joins.n; i++) {
		/* the first process enters another mount namespace by itself: it finds its root
		 * there */
		bool here = join[i].type != CLONE_NEWNS;
		int fd = here ? open(join[i].path, O_RDONLY | O_CLOEXEC) : -1;
		if (here && fd < 0)
			return err_sys(err, "open namespace '%s'", join[i].path);
		j->fds[j->n++] = fd;
	}
	return 0;
}

/* Joins those of the plan's namespaces that are of one of the types; what may not be joined yet is
 * left for the next pass unless it is the last. */
static int join_some(const struct plan *plan, struct joining *j, uint64_t types, bool last,
		     struct err *err)
{
	const struct plan_join *join = plan->joins.items;

	for (size_t i = 0; i < j->n; i++) {
		if (j->fds[i] < 0 || !(join[i].type & types))
			continue;
		if (setns(j->fds[i], (int)join[i].type) == 0)
			auto_close(&j->fds[i]);
		else if (last || errno != EPERM)
			return err_sys(err, "join namespace '%s'", join[i].path);
	}
	return 0;
}

/*
 * Enters the user namespace that the plan joins. What belongs to the host (a network namespace made
 * by root for a pod) can only be joined with the host's rights, so before; what belongs to that
 * user namespace, by somebody without rights on the host, only after.
 */
static int enter_user(const struct plan *plan, struct err *err)
{
	AUTO(auto_joining) struct joining j = {.n = 0};
	uint64_t others = ~(uint64_t)CLONE_NEWUSER;
	int r = open_joins(plan, &j, err);

	if (r == 0)
		r = join_some(plan, &j, others, false, err);
	if (r == 0)
		r = join_some(plan, &j, CLONE_NEWUSER, true, err);
	return r < 0 ? r : join_some(plan, &j, others, true, err);
}

/*
 * The life of a midwife: new namespaces belong to the user namespace of who makes them, so one that
 * is joined has to be entered first, and by somebody who goes on to live there. She bears the first
 * process there, as a child of her own parent, and tells who it is.
 */
static _Noreturn void midwife_main(struct box *box)
{
	struct err err = ERR_INIT;
	struct task born = {.pidfd = -1};
	struct note note = {.kind = NOTE_PROCESS, .n_fds = 1};
	int time = -1; /* no way back is needed */
	int r = box_arrive(box, &err);

	if (r == 0)
		r = box_hide(&err);
	if (r == 0)
		r = choose_time(box->plan, &time, &err);
	if (r == 0)
		r = enter_user(box->plan, &err);
	box->arrived = true;
	note.pid = r < 0 ? r
			 : task_clone(&born, new_namespaces(box->plan) | CLONE_PARENT,
				      cgroup_clone_fd(box->cgroup), &born.pidfd, &err);
	if (note.pid == 0)
		box_main(box);
	note.fds[0] = born.pidfd;
	r = note.pid < 0 ? note.pid : note_send(box->sock, &note, &err);
	if (r < 0)
		process_fail(box->sock, &err);
	_exit(r < 0 ? 126 : 0);
}

/* A child in a user namespace waits until that is mapped, which only a parent can do, and until it
 * is known. */
static int let_in(struct task *first, const struct plan *plan, struct err *err)
{
	struct note go = {.kind = NOTE_GO};
	int r = 0;

	if (plan_joined(plan, CLONE_NEWUSER)) {
		r = task_await_birth(first, err);
	} else if (plan->namespaces & CLONE_NEWUSER) {
		AUTO_CLOSE int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (proc < 0)
			return err_sys(err, "open /proc");
		r = idmap_write(proc, first->pid, &plan->uid_maps, &plan->gid_maps, err);
	} else {
		return 0;
	}
	go.pid = first->pid;
	return r < 0 ? r : note_send(first->sock, &go, err);
}

int birth_first(struct task *first, const struct box *box, struct err *err)
{
	AUTO_CLOSE int root = box->root;
	bool by_midwife = plan_joined(box->plan, CLONE_NEWUSER);
	int pair[2];

	int r = note_pair(pair, err);
	if (r < 0)
		return r;
	AUTO_CLOSE int theirs = pair[1];
	first->sock = pair[0];
	pid_t pid = by_midwife ? task_clone(first, 0, -1, &first->helper, err)
			       : clone_first(first, box, err);
	if (pid == 0) {
		struct box own = *box;
		own.sock = theirs;
		/* as somebody without rights: /proc/PID/uid_map of who is hidden is root's */
		own.waits_seen = box->plan->namespaces & CLONE_NEWUSER && geteuid() != 0;
		if (by_midwife)
			midwife_main(&own);
		box_main(&own);
	}
	if (pid < 0)
		return pid;
	auto_close(&theirs);
	auto_close(&root); /* whoever holds it open keeps its overlay */
	r = let_in(first, box->plan, err);
	return r < 0 ? r : task_await_ready(first, err);
}

int birth_other(struct task *task, const struct joiner *joiner, struct err *err)
{
	int pair[2];

	int r = note_pair(pair, err);
	if (r < 0)
		return r;
	AUTO_CLOSE int theirs = pair[1];
	task->sock = pair[0];
	pid_t pid = task_clone(task, 0, cgroup_clone_fd(joiner->cgroup), &task->helper, err);
	if (pid == 0) {
		struct joiner own = *joiner;
		own.sock = theirs;
		join_main(&own);
	}
	return pid < 0 ? pid : 0;
}
