/* SPDX-License-Identifier: Apache-2.0 */
#include "container/container.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "container/birth.h"
#include "container/box.h"
#include "container/cgroup.h"
#include "container/note.h"
#include "container/root.h"
#include "container/show.h"
#include "container/task.h"
#include "proto/plan.h"

enum { FREEZE_POLL_MS = 2, FREEZE_TRIES = 5000 };

struct isolation {
	struct isolation_config config;
	struct cgroup *cgroup;
	struct task_owner owner;
	struct task *first;
	struct task *others; /* of exec */
	bool paused;
	uint64_t oom_seen; /* kills already told of */
	struct timer *freezing; /* a pause under way, with its reply */
	int freeze_tries;
	isolation_reply *freeze_reply;
	void *freeze_ctx;
};

static void free_isolation(struct isolation *iso);
DEFINE_AUTO(struct isolation, free_isolation)

static void say(void *ctx, const char *line)
{
	struct isolation *iso = ctx;

	iso->config.events->message(iso->config.ctx, line);
}

static struct cgroup_config cgroup_config_of(struct isolation *iso,
					     const struct plan_limits *limits)
{
	return (struct cgroup_config){
		.path = iso->config.plan->cgroup,
		.limits = limits,
		.all_devices = iso->config.plan->privileged,
		.as_specified = iso->config.plan->as_specified,
		.warn = say,
		.ctx = iso,
	};
}

static bool owns_pids(const struct isolation *iso)
{
	return iso->config.plan->namespaces & CLONE_NEWPID;
}

/* Processes that share the host's pid namespace do not end with their first. */
static void end_the_rest(struct isolation *iso)
{
	struct err ignored = ERR_INIT; /* what cannot be ended keeps its cgroup, which says so */

	if (!owns_pids(iso) && cgroup_kill(iso->cgroup, &ignored) < 0)
		return;
}

static void drop_other(struct isolation *iso, struct task *task)
{
	struct task **at = &iso->others;

	while (*at && *at != task)
		at = &(*at)->next;
	if (*at)
		*at = task->next;
	task_free(task);
}

static void task_ended(void *ctx, struct task *task, uint32_t status)
{
	struct isolation *iso = ctx;
	struct process_exit end = {.process = task->process, .status = status};
	uint64_t kills = cgroup_oom_kills(iso->cgroup);

	end.oom = kills > iso->oom_seen && (status == 128 + SIGKILL || task == iso->first);
	iso->oom_seen = kills;
	if (task == iso->first)
		end_the_rest(iso);
	else
		drop_other(iso, task);
	/* last: the answer may be delete */
	iso->config.events->exited(iso->config.ctx, &end);
}

static void task_failed(void *ctx, struct task *task)
{
	struct isolation *iso = ctx;

	if (task != iso->first)
		drop_other(iso, task);
}

/* Ends and frees everything; on the host nothing stays but layers. */
static void free_isolation(struct isolation *iso)
{
	struct err ignored = ERR_INIT; /* repair removes what could not be removed now */

	if (!iso)
		return;
	timer_cancel(&iso->freezing);
	if (iso->cgroup && iso->paused)
		(void)cgroup_freeze(iso->cgroup, false, &ignored);
	/* the first one's end ends all in its pid namespace, and waits until all are reaped */
	if (iso->first)
		(void)task_signal(iso->first, SIGKILL, &ignored);
	if (iso->cgroup && iso->first && !owns_pids(iso) &&
	    cgroup_signal(iso->cgroup, SIGKILL, &ignored) < 0)
		ignored = ERR_INIT;
	while (iso->others)
		drop_other(iso, iso->others);
	task_free(iso->first);
	if (iso->cgroup)
		(void)cgroup_remove(iso->cgroup, &ignored);
	cgroup_free(iso->cgroup);
	free(iso);
}

static int make_box(struct isolation *iso, struct err *err)
{
	const struct isolation_config *c = &iso->config;
	AUTO_CLOSE int root = root_new(&c->plan->root, c->layers_fd, c->state_fd, err);

	if (root < 0)
		return root;
	return birth_first(iso->first,
			   &(struct box){.plan = c->plan,
					 .cgroup = iso->cgroup,
					 .root = TAKE_FD(root),
					 .start = -1,
					 .io = {-1, -1, -1}},
			   err);
}

static int container_create(const struct isolation_config *config, struct isolation **ret,
			    struct err *err)
{
	AUTO(auto_free_isolation) struct isolation *iso = calloc(1, sizeof(*iso));
	if (!iso)
		return err_set(err, ENOMEM, "out of memory");
	iso->config = *config;
	iso->owner = (struct task_owner){.ended = task_ended,
					 .failed = task_failed,
					 .message = say,
					 .ctx = iso};
	iso->first = task_new(&iso->owner, config->loop, 0);
	if (!iso->first)
		return err_set(err, ENOMEM, "out of memory");

	struct cgroup_config limits = cgroup_config_of(iso, &config->plan->limits);
	int r = cgroup_new(&iso->cgroup, &limits, err);
	if (r == 0)
		r = make_box(iso, err);
	if (r == 0)
		*ret = TAKE_PTR(iso);
	return r;
}

static int container_netns(struct isolation *iso)
{
	char path[32];

	if (!(iso->config.plan->namespaces & CLONE_NEWNET) || iso->first->pidfd < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", iso->first->pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* The streams as three open descriptors, /dev/null for those that are absent. */
static int fill_streams(const struct process_io *io, int streams[3], int *null, struct err *err)
{
	const int given[3] = {io->in, io->out, io->err};

	for (int i = 0; i < 3; i++) {
		if (given[i] < 0 && *null < 0)
			*null = open("/dev/null", O_RDWR | O_CLOEXEC);
		streams[i] = given[i] < 0 ? *null : given[i];
		if (streams[i] < 0)
			return err_sys(err, "open /dev/null");
	}
	return 0;
}

static void container_start(struct isolation *iso, const struct process_io *io,
			    isolation_reply *reply, void *ctx)
{
	struct err err = ERR_INIT;
	struct note go = {.kind = NOTE_GO};
	AUTO_CLOSE int null = -1;
	int r = 0;

	if (!iso->config.plan->process.tty) {
		go.n_fds = 3;
		r = fill_streams(io, go.fds, &null, &err);
	}
	if (r == 0)
		r = task_follow(iso->first, reply, ctx, &err);
	if (r == 0 && note_send(iso->first->sock, &go, &err) < 0)
		iso->first->failure = err; /* the socket's end answers */
	if (r < 0)
		reply(ctx, &err, NULL);
}

static int start_other(struct isolation *iso, struct task *task, const struct plan_process *what,
		       const struct process_io *io, struct err *err)
{
	struct joiner joiner = {
		.plan = iso->config.plan,
		.what = what,
		.cgroup = iso->cgroup,
		.pidfd = iso->first->pidfd,
		.io = {-1, -1, -1},
	};
	AUTO_CLOSE int null = -1;
	int r = what->tty ? 0 : fill_streams(io, joiner.io, &null, err);

	return r < 0 ? r : birth_other(task, &joiner, err);
}

static void container_exec(struct isolation *iso, uint32_t process, const struct plan_process *what,
			   const struct process_io *io, isolation_reply *reply, void *ctx)
{
	struct err err = ERR_INIT;
	AUTO(auto_task_free) struct task *task = NULL;
	int r = 0;

	if (!iso->first->runs || iso->first->pidfd < 0)
		r = err_set(&err, ESRCH, "the workload does not run");
	else if (iso->paused)
		r = err_set(&err, EBUSY, "the workload is paused");
	else if (!(task = task_new(&iso->owner, iso->config.loop, process)))
		r = err_set(&err, ENOMEM, "out of memory");
	if (r == 0)
		r = start_other(iso, task, what, io, &err);
	if (r == 0)
		r = task_follow(task, reply, ctx, &err);
	if (r < 0) {
		reply(ctx, &err, NULL);
		return;
	}
	task->next = iso->others;
	iso->others = TAKE_PTR(task);
}

static struct task *find_task(struct isolation *iso, uint32_t process, struct err *err)
{
	struct task *t = iso->first;

	if (process != 0) {
		for (t = iso->others; t && t->process != process;)
			t = t->next;
	}
	if (!t || !t->runs || t->pidfd < 0) {
		(void)err_set(err, ESRCH, "no such process");
		return NULL;
	}
	return t;
}

static int container_console(struct isolation *iso, uint32_t process, struct err *err)
{
	struct task *t = find_task(iso, process, err);
	if (!t)
		return -err->code;
	if (t->master < 0)
		return err_set(err, ENOTTY, "the process has no terminal");
	int fd = fcntl(t->master, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? err_sys(err, "duplicate the terminal") : fd;
}

static int container_resize(struct isolation *iso, uint32_t process, uint32_t rows, uint32_t cols,
			    struct err *err)
{
	struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)cols};
	struct task *t = find_task(iso, process, err);

	if (!t)
		return -err->code;
	if (t->master < 0)
		return err_set(err, ENOTTY, "the process has no terminal");
	return ioctl(t->master, TIOCSWINSZ, &size) < 0 ? err_sys(err, "resize the terminal") : 0;
}

static int container_signal(struct isolation *iso, uint32_t process, int sig, bool all,
			    struct err *err)
{
	struct task *t = find_task(iso, process, err);
	if (!t)
		return -err->code;
	int r = all ? cgroup_signal(iso->cgroup, sig, err) : task_signal(t, sig, err);
	/* v1 keeps even SIGKILL from the frozen */
	if (r >= 0 && sig == SIGKILL && iso->paused) {
		r = cgroup_freeze(iso->cgroup, false, err);
		iso->paused = r < 0;
	}
	return r < 0 ? r : 0;
}

static void frozen(struct isolation *iso, const struct err *failure)
{
	isolation_reply *reply = iso->freeze_reply;

	iso->freeze_reply = NULL;
	iso->paused = !failure;
	reply(iso->freeze_ctx, failure, NULL);
}

/* v1 takes a while when processes are inside the kernel, and wants to be told again. */
static int poll_frozen(void *ctx, struct err *loop_err)
{
	struct isolation *iso = ctx;
	struct err err = ERR_INIT;

	iso->freezing = NULL;
	if (cgroup_frozen(iso->cgroup)) {
		frozen(iso, NULL);
		return 0;
	}
	int r = ++iso->freeze_tries < FREEZE_TRIES
			? cgroup_freeze(iso->cgroup, true, &err)
			: err_set(&err, ETIMEDOUT, "the workload's processes do not freeze");
	if (r == 0)
		r = loop_timer(iso->config.loop, FREEZE_POLL_MS, poll_frozen, iso, &iso->freezing,
			       &err);
	if (r < 0) {
		struct err ignored = ERR_INIT; /* the first failure is the one to tell */
		(void)cgroup_freeze(iso->cgroup, false, &ignored);
		frozen(iso, &err);
	}
	return 0;
}

static void container_pause(struct isolation *iso, bool paused, isolation_reply *reply, void *ctx)
{
	struct err err = ERR_INIT;
	int r = 0;

	if (iso->freeze_reply)
		r = err_set(&err, EBUSY, "the workload is being paused");
	else if (!iso->first->runs || iso->first->pidfd < 0)
		r = err_set(&err, ESRCH, "the workload does not run");
	else
		r = cgroup_freeze(iso->cgroup, paused, &err);
	if (r < 0 || !paused) {
		iso->paused = iso->paused && r < 0;
		reply(ctx, r < 0 ? &err : NULL, NULL);
		return;
	}
	iso->freeze_tries = 0;
	iso->freeze_reply = reply;
	iso->freeze_ctx = ctx;
	(void)poll_frozen(iso, &err);
}

static void container_update(struct isolation *iso, const struct plan_limits *limits,
			     isolation_reply *reply, void *ctx)
{
	struct err err = ERR_INIT;
	struct cgroup_config config = cgroup_config_of(iso, limits);
	int r = cgroup_limit(iso->cgroup, &config, &err);

	reply(ctx, r < 0 ? &err : NULL, NULL);
}

/* A pidfd of the first process, -ESRCH without one. */
static int first_process(const struct isolation *iso, struct err *err)
{
	if (!iso->first || iso->first->pidfd < 0)
		return err_set(err, ESRCH, "the workload does not run");
	return iso->first->pidfd;
}

int container_show(struct isolation *iso, const char *source, const char *target, struct err *err)
{
	int pidfd = first_process(iso, err);

	return pidfd < 0 ? pidfd : show_mount(pidfd, source, target, err);
}

int container_show_no_more(struct isolation *iso, const char *target, struct err *err)
{
	int pidfd = first_process(iso, err);

	return pidfd < 0 ? pidfd : show_no_more(pidfd, target, err);
}

static void container_disk(struct isolation *iso, const struct isolation_disk *disk,
			   isolation_reply *reply, void *ctx)
{
	struct err err = ERR_INIT;

	(void)iso;
	(void)disk;
	(void)err_set(&err, ENOTSUP,
		      "the host's own kernel mounts no file system that came from elsewhere "
		      "(machines take disks: --vm)");
	reply(ctx, &err, NULL);
}

static void container_stats(struct isolation *iso, isolation_reply *reply, void *ctx)
{
	struct isolation_stats stats;

	cgroup_stats(iso->cgroup, &stats);
	reply(ctx, NULL, &stats);
}

static void container_top(struct isolation *iso, isolation_reply *reply, void *ctx)
{
	struct err err = ERR_INIT;
	struct isolation_top top = {.processes = {NULL, 0}};
	int r = cgroup_top(iso->cgroup, &top, &err);

	reply(ctx, r < 0 ? &err : NULL, r < 0 ? NULL : &top);
	record_done(&isolation_top_record, &top);
}

static pid_t container_pid(struct isolation *iso)
{
	return iso->first->pidfd < 0 ? 0 : iso->first->pid;
}

/* All that a container leaves when its keeper dies are its cgroups and who is in them: its mounts
 * and its network end with its last process. */
static int container_repair(const char *id, int state_fd, struct err *err)
{
	char path[300];
	AUTO(auto_cgroup_free) struct cgroup *cg = NULL;

	int n = snprintf(path, sizeof(path), "hull/%s/workload", id);
	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(err, ENAMETOOLONG, "workload name '%.64s…'", id);
	int r = cgroup_open(&cg, path, err);
	if (r == 0)
		r = cgroup_kill(cg, err);
	return r < 0 ? r : cgroup_remove(cg, err);
}

const struct isolation_ops container_isolation = {
	.name = "container",
	.create = container_create,
	.netns = container_netns,
	.start = container_start,
	.exec = container_exec,
	.console = container_console,
	.resize = container_resize,
	.signal = container_signal,
	.pause = container_pause,
	.update = container_update,
	.disk = container_disk,
	.stats = container_stats,
	.top = container_top,
	.pid = container_pid,
	.delete = free_isolation,
	.repair = container_repair,
};
