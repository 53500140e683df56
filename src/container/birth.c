/* SPDX-License-Identifier: Apache-2.0 */
#include "container/birth.h"

#include <fcntl.h>
#include <sched.h>
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

static pid_t clone_first(struct task *first, const struct box *box, struct err *err)
{
	uint64_t flags = box->plan->namespaces & ~(uint64_t)(CLONE_NEWCGROUP | CLONE_NEWTIME);
	AUTO_CLOSE int home = -1;
	AUTO_CLOSE int time = -1;
	int r = choose_pids(box->plan, &home, err);

	if (r == 0)
		r = choose_time(box->plan, &time, err);
	if (r < 0)
		return r;
	flags |= CLONE_NEWNS;
	pid_t pid = task_clone(first, flags, cgroup_clone_fd(box->cgroup), &first->pidfd, err);
	if (pid == 0)
		return 0;
	r = go_home(home, CLONE_NEWPID, err);
	if (r == 0)
		r = go_home(time, CLONE_NEWTIME, err);
	return r < 0 ? r : pid;
}

/* A child in a new user namespace waits for its maps, which only a parent can write. */
static int map_ids(struct task *first, const struct plan *plan, struct err *err)
{
	struct note go = {.kind = NOTE_GO, .pid = first->pid};

	if (!(plan->namespaces & CLONE_NEWUSER))
		return 0;
	AUTO_CLOSE int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		return err_sys(err, "open /proc");
	int r = idmap_write(proc, first->pid, &plan->uid_maps, &plan->gid_maps, err);
	return r < 0 ? r : note_send(first->sock, &go, err);
}

int birth_first(struct task *first, const struct box *box, struct err *err)
{
	AUTO_CLOSE int root = box->root;
	int pair[2];

	int r = note_pair(pair, err);
	if (r < 0)
		return r;
	AUTO_CLOSE int theirs = pair[1];
	first->sock = pair[0];
	pid_t pid = clone_first(first, box, err);
	if (pid == 0) {
		struct box own = *box;
		own.sock = theirs;
		box_main(&own);
	}
	if (pid < 0)
		return pid;
	auto_close(&theirs);
	auto_close(&root); /* whoever holds it open keeps its overlay */
	r = map_ids(first, box->plan, err);
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
