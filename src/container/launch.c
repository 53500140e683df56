/* SPDX-License-Identifier: Apache-2.0 */
/* A container without a keeper (container.h, second half). */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"
#include "container/birth.h"
#include "container/box.h"
#include "container/cgroup.h"
#include "container/container.h"
#include "container/hook.h"
#include "container/idmap.h"
#include "container/note.h"
#include "container/populate.h"
#include "container/root.h"
#include "container/task.h"

enum { FREEZE_POLL_NS = 2000000, FREEZE_TRIES = 5000 };

static void say(void *ctx, const char *line)
{
	const struct container_caller *caller = ctx;

	caller->say(caller->ctx, line);
}

/* What a task's owner is asked; ctx is the caller. */
struct waiting {
	const struct container_caller *caller;
	const struct plan *plan;
};

static void pass_message(void *ctx, const char *line)
{
	const struct waiting *w = ctx;

	w->caller->say(w->caller->ctx, line);
}

static int run_hooks(void *ctx, struct task *task, struct err *err)
{
	const struct waiting *w = ctx;
	int r = container_hooks(w->plan, HOOK_PRESTART, task->pid, "creating", w->caller, err);

	return r < 0 ? r
		     : container_hooks(w->plan, HOOK_CREATE_RUNTIME, task->pid, "creating",
				       w->caller, err);
}

static bool has_hooks(const struct plan *plan, enum plan_hook_point point)
{
	const struct plan_hook *h = plan->hooks.items;

	for (size_t i = 0; i < plan->hooks.n; i++) {
		if (h[i].point == (uint32_t)point)
			return true;
	}
	return false;
}

int container_hooks(const struct plan *plan, enum plan_hook_point point, pid_t pid,
		    const char *status, const struct container_caller *caller, struct err *err)
{
	AUTO_BUF struct buf state = BUF_INIT;

	if (!caller || !has_hooks(plan, point))
		return 0;
	caller->describe(caller->ctx, pid, status, &state);
	int r = buf_check(&state, err);
	return r < 0 ? r
		     : hooks_run(&plan->hooks, point, state.data,
				 point == HOOK_POSTSTOP ? caller->say : NULL, caller->ctx, err);
}

static int open_cgroup(const struct plan *plan, const char *below, struct cgroup **ret,
		       struct err *err)
{
	AUTO_FREE char *path = NULL;

	if (below && asprintf(&path, "%s/%s", plan->cgroup, below) < 0)
		return err_set(err, ENOMEM, "out of memory");
	return cgroup_open(ret, path ? path : plan->cgroup, err);
}

/* What this process opens for a workload that has fewer rights than it. */
struct sources {
	int fds[BOX_SOURCES_MAX]; /* one for each mount; -1: none */
	size_t n;
};

static void auto_sources(struct sources *s)
{
	while (s->n > 0)
		auto_close(&s->fds[--s->n]);
}

/* The binds of a workload in a user namespace: as its root it may not reach what is bound. */
static int open_sources(const struct plan *plan, struct sources *s, struct err *err)
{
	const struct plan_mount *m = plan->mounts.items;

	if (!(plan->namespaces & CLONE_NEWUSER))
		return 0;
	if (plan->mounts.n > BOX_SOURCES_MAX)
		return err_set(err, E2BIG, "more than %d mounts", BOX_SOURCES_MAX);
	AUTO_CLOSE int userns = idmap_userns(&plan->uid_maps, &plan->gid_maps, -1, err);
	if (userns < 0)
		return userns;
	for (size_t i = 0; i < plan->mounts.n; i++) {
		bool bind = !m[i].type || strcmp(m[i].type, "bind") == 0;
		int fd = bind ? mount_source(&m[i], userns, err) : -1;
		if (bind && fd < 0)
			return err_wrap(err, "mount '%s'", m[i].target);
		s->fds[s->n++] = fd;
	}
	return 0;
}

static int launch_in(const struct container_launch *launch, struct cgroup *cg, struct task *first,
		     struct err *err)
{
	bool tty = launch->plan->process.tty;
	AUTO(auto_sources) struct sources sources = {.n = 0};
	int r = open_sources(launch->plan, &sources, err);

	if (r < 0)
		return r;
	AUTO_CLOSE int root = root_new(&launch->plan->root, -1, -1, err);
	if (root < 0)
		return root;
	return birth_first(first,
			   &(struct box){.plan = launch->plan,
					 .cgroup = cg,
					 .root = TAKE_FD(root),
					 .start = launch->start,
					 .io = {tty ? -1 : 0, tty ? -1 : 1, tty ? -1 : 2},
					 .preserve = launch->preserve,
					 .sources = sources.n > 0 ? sources.fds : NULL,
					 .caller = launch->caller},
			   err);
}

pid_t container_launch(const struct container_launch *launch, int *ret_master, struct err *err)
{
	struct waiting waiting = {launch->caller, launch->plan};
	struct task_owner owner = {.message = pass_message, .hooks = run_hooks, .ctx = &waiting};
	struct container_caller caller = *launch->caller;
	struct cgroup_config config = {
		.path = launch->plan->cgroup,
		.limits = &launch->plan->limits,
		.all_devices = launch->plan->privileged,
		.as_specified = launch->plan->as_specified,
		.warn = say,
		.ctx = &caller,
	};
	AUTO(auto_task_free) struct task *first = task_new(&owner, NULL, 0);
	AUTO(auto_cgroup_free) struct cgroup *cg = NULL;
	struct err ignored = ERR_INIT; /* the first failure is the one to tell */

	if (!first)
		return err_set(err, ENOMEM, "out of memory");
	int r = cgroup_new(&cg, &config, err);
	if (r < 0)
		return r;
	r = launch_in(launch, cg, first, err);
	if (r == 0)
		return task_release(TAKE_PTR(first), ret_master);
	task_free(TAKE_PTR(first));
	if (cgroup_kill(cg, &ignored) < 0 || cgroup_remove(cg, &ignored) < 0)
		return r;
	return r;
}

int container_release(int sock, const struct container_caller *caller, struct err *err)
{
	struct note note = {.kind = NOTE_GO};
	struct err failure = ERR_INIT;

	int r = note_send(sock, &note, err);
	while (r >= 0 && (r = note_receive(sock, &note, err)) > 0) {
		if (note.kind == NOTE_FAILED && !failure.code)
			failure = note.err;
		else if (note.kind == NOTE_MESSAGE)
			caller->say(caller->ctx, note.err.msg);
		note_done(&note);
	}
	if (r == 0 && failure.code)
		return err_set(err, failure.code, "%s", failure.msg);
	return r;
}

pid_t container_enter(const struct container_enter *enter, int *ret_master, struct err *err)
{
	struct waiting waiting = {enter->caller, enter->plan};
	struct task_owner owner = {.message = pass_message, .ctx = &waiting};
	bool tty = enter->what->tty;
	struct joiner joiner = {
		.plan = enter->plan,
		.what = enter->what,
		.pidfd = enter->pidfd,
		.first = enter->first,
		.caller = enter->caller,
		.io = {tty ? -1 : 0, tty ? -1 : 1, tty ? -1 : 2},
		.preserve = enter->preserve,
	};
	AUTO(auto_task_free) struct task *task = task_new(&owner, NULL, 1);
	AUTO(auto_cgroup_free) struct cgroup *cg = NULL;

	if (!task)
		return err_set(err, ENOMEM, "out of memory");
	int r = open_cgroup(enter->plan, enter->cgroup, &cg, err);
	if (r < 0)
		return r;
	joiner.cgroup = cg;
	r = birth_other(task, &joiner, err);
	if (r == 0)
		r = task_await_exec(task, err);
	return r < 0 ? r : task_release(TAKE_PTR(task), ret_master);
}

int container_freeze(const struct plan *plan, bool freeze, struct err *err)
{
	AUTO(auto_cgroup_free) struct cgroup *cg = NULL;
	struct err ignored = ERR_INIT; /* the first failure is the one to tell */
	int r = open_cgroup(plan, NULL, &cg, err);

	for (int i = 0; r == 0 && i < FREEZE_TRIES; i++) {
		r = cgroup_freeze(cg, freeze, err);
		if (r < 0 || !freeze || cgroup_frozen(cg))
			return r;
		(void)nanosleep(&(struct timespec){.tv_nsec = FREEZE_POLL_NS}, NULL);
	}
	if (r < 0 || cgroup_freeze(cg, false, &ignored) < 0)
		return r;
	return err_set(err, ETIMEDOUT, "the container's processes do not freeze");
}

bool container_is_frozen(const struct plan *plan)
{
	AUTO(auto_cgroup_free) struct cgroup *cg = NULL;
	struct err ignored = ERR_INIT; /* no cgroup: nothing frozen */

	return open_cgroup(plan, NULL, &cg, &ignored) == 0 && cgroup_frozen(cg);
}

int container_signal_all(const struct plan *plan, int sig, struct err *err)
{
	AUTO(auto_cgroup_free) struct cgroup *cg = NULL;
	int r = open_cgroup(plan, NULL, &cg, err);

	return r < 0 ? r : cgroup_signal(cg, sig, err);
}

int container_limit(const struct plan *plan, const struct plan_limits *limits,
		    const struct container_caller *caller, struct err *err)
{
	AUTO(auto_cgroup_free) struct cgroup *cg = NULL;
	struct container_caller copy = *caller;
	struct cgroup_config config = {.path = plan->cgroup,
				       .limits = limits,
				       .warn = say,
				       .ctx = &copy};
	int r = open_cgroup(plan, NULL, &cg, err);

	return r < 0 ? r : cgroup_limit(cg, &config, err);
}

int container_count(const struct plan *plan, struct isolation_stats *ret, struct err *err)
{
	AUTO(auto_cgroup_free) struct cgroup *cg = NULL;
	int r = open_cgroup(plan, NULL, &cg, err);

	if (r == 0)
		cgroup_stats(cg, ret);
	return r;
}

int container_list(const struct plan *plan, struct isolation_top *ret, struct err *err)
{
	AUTO(auto_cgroup_free) struct cgroup *cg = NULL;
	int r = open_cgroup(plan, NULL, &cg, err);

	return r < 0 ? r : cgroup_top(cg, ret, err);
}

int container_clear(const struct plan *plan, struct err *err)
{
	AUTO(auto_cgroup_free) struct cgroup *cg = NULL;
	struct err ignored = ERR_INIT; /* nothing there that could be frozen */
	int r = open_cgroup(plan, NULL, &cg, err);

	if (r == 0 && cgroup_frozen(cg) && cgroup_freeze(cg, false, &ignored) < 0)
		ignored = ERR_INIT;
	if (r == 0)
		r = cgroup_kill(cg, err);
	return r < 0 ? r : cgroup_remove(cg, err);
}
