/* SPDX-License-Identifier: Apache-2.0 */
/* A container without a keeper (container.h, second half). */
#include <errno.h>
#include <fcntl.h>
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
#include "base/io.h"
#include "base/path.h"
#include "container/birth.h"
#include "container/box.h"
#include "container/cgroup.h"
#include "container/container.h"
#include "container/hook.h"
#include "container/idmap.h"
#include "container/listener.h"
#include "container/netdev.h"
#include "container/note.h"
#include "container/populate.h"
#include "container/rdt.h"
#include "container/root.h"
#include "container/schedule.h"
#include "container/task.h"

enum { FREEZE_POLL_NS = 2000000, FREEZE_TRIES = 5000, CLEAR_TRIES = 3 };

static void say(void *ctx, const char *line)
{
	const struct container_caller *caller = ctx;

	caller->say(caller->ctx, line);
}

/* What a task's owner is asked; ctx is the caller. */
struct waiting {
	const struct container_caller *caller;
	const struct plan *plan;
	struct netdevs netdevs; /* in the workload until all has gone well */
	struct gate *gate; /* of the process that is executed */
	const struct plan_process *what;
};

static void pass_message(void *ctx, const char *line)
{
	const struct waiting *w = ctx;

	w->caller->say(w->caller->ctx, line);
}

static int enter_rdt(const struct plan *plan, pid_t pid, struct err *err)
{
	if (!plan->rdt_closid)
		return 0;
	AUTO_CLOSE int resctrl = rdt_open(err);
	return resctrl < 0 ? resctrl : rdt_enter(resctrl, plan, pid, err);
}

static int leave_rdt(const struct plan *plan, struct err *err)
{
	struct err missing = ERR_INIT; /* without it, no group was made */

	if (!plan->rdt_closid)
		return 0;
	AUTO_CLOSE int resctrl = rdt_open(&missing);
	return resctrl < 0 ? 0 : rdt_leave(resctrl, plan, err);
}

/* What the parent does while the box stands and nothing runs in it. */
static int run_hooks(void *ctx, struct task *task, struct err *err)
{
	struct waiting *w = ctx;
	int r = netdev_move(&w->netdevs, &w->plan->net_devices, task->pid, err);

	if (r == 0)
		r = enter_rdt(w->plan, task->pid, err);
	if (r == 0)
		r = container_hooks(w->plan, HOOK_PRESTART, task->pid, "creating", w->caller, err);
	return r < 0 ? r
		     : container_hooks(w->plan, HOOK_CREATE_RUNTIME, task->pid, "creating",
				       w->caller, err);
}

static void open_gate(void *ctx, struct task *task)
{
	const struct waiting *w = ctx;

	if (w->gate)
		gate_open(w->gate, &w->what->schedule, task->pid);
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
	bool inside = point == HOOK_START_CONTAINER; /* paths of the host mean others there */

	if (!caller || !has_hooks(plan, point))
		return 0;
	caller->describe(caller->ctx, pid, status, &state);
	struct hook_files files = {plan->hook_out, plan->hook_err};
	int r = buf_check(&state, err);
	return r < 0 ? r
		     : hooks_run(&plan->hooks, point, state.data, inside ? NULL : &files,
				 point == HOOK_POSTSTOP ? caller->say : NULL, caller->ctx, err);
}

static int open_cgroup(const struct plan *plan, const char *below, struct cgroup **ret,
		       struct err *err)
{
	AUTO_FREE char *path = NULL;

	if (below && !*plan->cgroup)
		return err_set(err, ENOTSUP, "it has no cgroups that '%s' could be in", below);
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

/* Whose ids the plan's id-mapped mounts take when they have no maps of their own: -1 when none
 * does. */
static int mounts_userns(const struct plan *plan, int *ret, struct err *err)
{
	const struct plan_mount *m = plan->mounts.items;
	const struct plan_join *join = plan_joined(plan, CLONE_NEWUSER);
	bool wanted = false;

	for (size_t i = 0; i < plan->mounts.n; i++)
		wanted |= (m[i].idmap || m[i].idmap_recursive) && m[i].uid_maps.n == 0;
	if (!wanted)
		return 0;
	int fd = join ? open(join->path, O_RDONLY | O_CLOEXEC)
		      : idmap_userns(&plan->uid_maps, &plan->gid_maps, -1, err);
	if (fd < 0)
		return join ? err_sys(err, "open namespace '%s'", join->path) : fd;
	*ret = fd;
	return 0;
}

/* A bind mount's source. -1 without an error: this caller may make no mounts, the workload's root
 * may (in a mount namespace of its own); but never one with other ids. */
static int open_source(const struct plan_mount *m, int userns, struct err *err)
{
	struct err why = ERR_INIT;
	int fd = mount_source(m, userns, &why);

	if (fd >= 0 || (why.code == EPERM && !m->idmap && !m->idmap_recursive))
		return fd < 0 ? -1 : fd;
	(void)err_set(err, why.code, "%s", why.msg);
	return -1;
}

/* The binds of a workload in a user namespace: as its root it may not reach what is bound. */
static int open_sources(const struct plan *plan, struct sources *s, struct err *err)
{
	const struct plan_mount *m = plan->mounts.items;
	AUTO_CLOSE int userns = -1;

	if (!(plan->namespaces & CLONE_NEWUSER) && !plan_joined(plan, CLONE_NEWUSER))
		return 0;
	if (plan->mounts.n > BOX_SOURCES_MAX)
		return err_set(err, E2BIG, "more than %d mounts", BOX_SOURCES_MAX);
	int r = mounts_userns(plan, &userns, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < plan->mounts.n; i++) {
		bool bind = !m[i].type || strcmp(m[i].type, "bind") == 0;
		s->fds[s->n] = bind ? open_source(&m[i], userns, err) : -1;
		s->n++;
		if (err->code)
			return err_wrap(err, "mount '%s'", m[i].target);
	}
	return 0;
}

/* -1 without an error: this caller may make no mounts, its child may. */
static int open_root(const struct plan *plan, struct err *err)
{
	struct err why = ERR_INIT;
	int root = root_new(&plan->root, -1, -1, &why);

	if (root < 0 && (why.code != EPERM || !plan->root.path))
		(void)err_set(err, why.code, "%s", why.msg);
	return root < 0 ? -1 : root;
}

static int launch_in(const struct container_launch *launch, struct cgroup *cg, struct task *first,
		     struct err *err)
{
	bool tty = launch->plan->process.tty;
	AUTO(auto_sources) struct sources sources = {.n = 0};
	int r = open_sources(launch->plan, &sources, err);

	if (r < 0)
		return r;
	AUTO_CLOSE int root = open_root(launch->plan, err);
	if (err->code)
		return -err->code;
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

bool container_caller_is_mapped(void)
{
	return idmap_inside();
}

static struct cgroup_config config_of(const struct plan *plan, pid_t holder,
				      struct container_caller *caller)
{
	return (struct cgroup_config){
		.path = plan->cgroup,
		.limits = &plan->limits,
		.holder = holder,
		.all_devices = plan->privileged,
		.as_specified = plan->as_specified,
		.warn = say,
		.ctx = caller,
	};
}

static int hand_pidfd(const struct plan *plan, int pidfd, struct err *err)
{
	return plan->pidfd_receiver
		       ? listener_hand(plan->pidfd_receiver, pidfd, "pidfd_receiver", err)
		       : 0;
}

pid_t container_launch(const struct container_launch *launch, int *ret_master, struct err *err)
{
	struct waiting waiting = {.caller = launch->caller,
				  .plan = launch->plan,
				  .netdevs = {NULL, -1, 0}};
	struct task_owner owner = {.message = pass_message, .hooks = run_hooks, .ctx = &waiting};
	struct container_caller caller = *launch->caller;
	struct cgroup_config config = config_of(launch->plan, launch->holder, &caller);
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
		r = hand_pidfd(launch->plan, first->pidfd, err);
	if (r == 0) {
		netdev_keep(&waiting.netdevs);
		return task_release(TAKE_PTR(first), ret_master);
	}
	netdev_return(&waiting.netdevs);
	task_free(TAKE_PTR(first));
	if (leave_rdt(launch->plan, &ignored) < 0)
		ignored = ERR_INIT;
	if (cgroup_kill(cg, &ignored) < 0 || cgroup_remove(cg, &ignored) < 0)
		return r;
	return r;
}

int container_place(const struct plan *plan, pid_t holder, const struct container_caller *caller,
		    struct err *err)
{
	struct container_caller copy = *caller;
	struct cgroup_config config = config_of(plan, holder, &copy);
	AUTO(auto_cgroup_free) struct cgroup *cg = NULL;

	return cgroup_new(&cg, &config, err);
}

int container_join(const struct plan *plan, struct err *err)
{
	AUTO(auto_cgroup_free) struct cgroup *cg = NULL;
	int r = open_cgroup(plan, NULL, &cg, err);

	if (r == 0)
		r = cgroup_join(cg, err);
	if (r == 0 && cgroup_clone_fd(cg) >= 0)
		r = file_put(cgroup_clone_fd(cg), "cgroup.procs", "0", err);
	return r;
}

static int find_freezer(void *ctx, const struct cgroup_place *place, struct err *err)
{
	char **ret = ctx;

	if (*place->name && strcmp(place->name, "freezer") != 0)
		return 0;
	if (*ret && !*place->name) /* v2 beside v1's */
		return 0;
	free(*ret);
	*ret = strdup(place->folder);
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

int container_freezer(const struct plan *plan, char **ret, struct err *err)
{
	AUTO(auto_cgroup_free) struct cgroup *cg = NULL;
	AUTO_FREE char *folder = NULL;
	int r = open_cgroup(plan, NULL, &cg, err);

	if (r == 0)
		r = cgroup_each(cg, find_freezer, &folder, err);
	if (r == 0)
		*ret = TAKE_PTR(folder);
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
	struct waiting waiting = {.caller = enter->caller,
				  .plan = enter->plan,
				  .what = enter->what};
	struct task_owner owner = {.message = pass_message, .born = open_gate, .ctx = &waiting};
	AUTO(auto_gate_free) struct gate *gate = NULL;
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
	r = gate_new(&enter->what->schedule, &gate, err);
	if (r < 0)
		return r;
	joiner.gate = waiting.gate = gate;
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
	int r = cgroup_extend(&cg, &config, err);

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

static int clear_once(const struct plan *plan, struct err *err)
{
	AUTO(auto_cgroup_free) struct cgroup *cg = NULL;
	struct err ignored = ERR_INIT; /* nothing there that could be frozen */
	int r = open_cgroup(plan, NULL, &cg, err);

	if (r == 0 && cgroup_frozen(cg) && cgroup_freeze(cg, false, &ignored) < 0)
		ignored = ERR_INIT;
	if (r == 0)
		r = cgroup_kill(cg, err);
	if (r == 0)
		r = leave_rdt(plan, err);
	return r < 0 ? r : cgroup_remove(cg, err);
}

int container_clear(const struct plan *plan, struct err *err)
{
	for (int i = 0;; i++) {
		struct err failure = ERR_INIT;
		int r = clear_once(plan, &failure);
		if (r == 0)
			return 0;
		/* a process that was on its way in when the others were killed (its parent is gone)
		 * keeps a folder busy, and can be seen by now */
		if (r != -EBUSY || i == CLEAR_TRIES)
			return err_set(err, failure.code, "%s", failure.msg);
	}
}
