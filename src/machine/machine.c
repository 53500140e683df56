/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a machine. It ends in one place, machine_ended(): the monitor's process is gone, what
 * it and the guest's kernel said last has been read, and the agent's end of the channel is told the
 * cause. Whatever notices trouble first (a lost channel, no answer after boot) only sees to it that
 * the monitor goes.
 */
#include "machine/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "base/path.h"
#include "machine/agent.h"
#include "machine/ask.h"
#include "machine/console.h"
#include "machine/disk.h"
#include "machine/hostgroup.h"
#include "machine/lines.h"
#include "machine/machine_impl.h"
#include "machine/plug.h"
#include "machine/rates.h"
#include "machine/report.h"
#include "machine/share.h"
#include "machine/trace.h"
#include "proto/plan.h"

#define SHARE_TAG "hull"
#define BOX       "box"
#define SHARE_DIR "share"

enum {
	BOOT_MS = 120000, /* generous: a busy host that emulates takes 15 s */
	LOST_MS = 1000, /* for a monitor to end by itself after its guest fell silent */
	POWEROFF_MS = 10000,
};

/* --- the end --- */

static void monitor_kill(struct isolation *m)
{
	if (!m->over)
		pidfd_kill(m->monitor.pidfd);
}

static void how_monitor_ended(const struct isolation *m, int status, struct err *why)
{
	const char *name = m->driver->name;
	const char *said = m->complaint;

	if (status > 128)
		(void)err_set(why, ECONNRESET, "%s was killed by signal %d%s%s", name, status - 128,
			      said[0] ? ": " : "", said);
	else if (status > 0)
		(void)err_set(why, ECONNRESET, "%s failed: %s", name,
			      said[0] ? said : "no reason given");
	else
		(void)err_set(why, ECONNRESET, "%s ended", name);
}

/* Why the machine is no more, for people. */
static void reason_of(const struct isolation *m, int status, struct err *why)
{
	const char *panic = console_panic(m->console);
	const char *last = console_last(m->console);

	if (panic)
		(void)err_set(why, ECONNRESET, "guest kernel panic: %s", panic);
	else if (m->failed.code && m->failed.code != ECONNRESET)
		*why = m->failed;
	else if (m->word == MONITOR_PANIC)
		(void)err_set(why, ECONNRESET, "guest kernel panic: %s", last);
	else if (m->word == MONITOR_POWEROFF)
		(void)err_set(why, ECONNRESET, "the guest powered itself off");
	else if (m->word == MONITOR_RESTART)
		(void)err_set(why, ECONNRESET, "the guest restarted itself");
	else if (m->word == MONITOR_RESET)
		(void)err_set(why, ECONNRESET, "the guest's processor was reset (triple fault)%s%s",
			      last[0] ? "; its last line: " : "", last);
	else
		how_monitor_ended(m, status, why);
}

static void fail_start(struct isolation *m, const struct err *why)
{
	isolation_reply *reply = m->start_reply;

	m->start_reply = NULL;
	auto_close(&m->start_io.in);
	auto_close(&m->start_io.out);
	auto_close(&m->start_io.err);
	if (reply)
		reply(m->start_ctx, why, NULL);
}

/* The monitor has ended with `status`. m may be gone afterwards: told events may delete it. */
static void machine_ended(struct isolation *m, int status)
{
	struct err why = ERR_INIT;

	m->over = true;
	timer_cancel(&m->boot);
	timer_cancel(&m->lost);
	watch_remove(&m->ended_watch);
	console_drain(m->console);
	lines_drain(m->control);
	asker_end(m->asker);
	lines_drain(m->complaints);
	reason_of(m, status, &why);
	if (m->share.pidfd >= 0)
		pidfd_kill(m->share.pidfd);
	m->failed = why;
	if (m->agent)
		agent_end(m->agent, why.msg); /* setup's and start's replies among what it tells */
}

static int monitor_gone(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct isolation *m = ctx;

	(void)fd;
	(void)events;
	(void)err;
	struct err ignored = ERR_INIT; /* our child: it can be waited for */
	int status = pid_reap(m->monitor.pid, &ignored);
	machine_ended(m, status < 0 ? 0 : status);
	return 0;
}

static int lost_long_enough(void *ctx, struct err *err)
{
	struct isolation *m = ctx;

	(void)err;
	m->lost = NULL;
	monitor_kill(m); /* its end is noticed by monitor_gone() */
	return 0;
}

/* The channel is gone. Mostly because the monitor is about to be. */
static void channel_lost(void *ctx, const struct err *why)
{
	struct isolation *m = ctx;
	struct err ignored = ERR_INIT;

	timer_cancel(&m->boot);
	if (!m->failed.code)
		m->failed = *why;
	if (m->over || m->lost)
		return;
	if (loop_timer(m->loop, LOST_MS, lost_long_enough, m, &m->lost, &ignored) < 0)
		monitor_kill(m);
}

static int boot_too_long(void *ctx, struct err *err)
{
	struct isolation *m = ctx;
	const char *last = console_last(m->console);

	(void)err;
	m->boot = NULL;
	if (!m->failed.code)
		(void)err_set(&m->failed, ETIMEDOUT, "the machine does not come up%s%s",
			      last[0] ? "; its last line: " : "", last);
	monitor_kill(m);
	return 0;
}

/* --- what is said --- */

static void exited(void *ctx, const struct process_exit *end)
{
	struct isolation *m = ctx;

	m->events->exited(m->ctx, end);
}

static void message(void *ctx, const char *line)
{
	struct isolation *m = ctx;

	if (m->events->message)
		m->events->message(m->ctx, line);
}

static const struct isolation_events own_events = {exited, message};

static void control_line(void *ctx, const char *line)
{
	struct isolation *m = ctx;
	enum monitor_word word = m->driver->word(line);

	if (word != MONITOR_NOTHING)
		m->word = word;
}

static void complaint_line(void *ctx, const char *line)
{
	struct isolation *m = ctx;

	(void)snprintf(m->complaint, sizeof(m->complaint), "%s", line);
}

/* --- making it --- */

static void setup_done(void *ctx, const struct err *failure, const void *answer)
{
	struct isolation *m = ctx;

	(void)answer;
	timer_cancel(&m->boot);
	if (failure) {
		if (!m->failed.code)
			m->failed = *failure;
		fail_start(m, failure);
		return;
	}
	m->set_up = true;
	m->ready_us = clock_us();
	if (!m->start_reply)
		return;
	isolation_reply *reply = TAKE_PTR(m->start_reply);
	struct process_io io = m->start_io;
	m->start_io = (struct process_io){-1, -1, -1};
	agent_start(m->agent, &m->plan->process, &io, reply, m->start_ctx);
	auto_close(&io.in);
	auto_close(&io.out);
	auto_close(&io.err);
}

/* Everything that is opened or made for the monitor, and released once it has been started. */
struct making {
	struct machine_setup setup;
	struct strv shares;
	uint64_t *layer_sizes;
	int scratch, modules;
	int taps[TAP_QUEUES_MAX];
	unsigned n_taps;
	char *box, *share_dir, *initramfs;
	struct hostgroup group;
};

static void making_done(struct making *k)
{
	record_done(&machine_setup_record, &k->setup);
	strv_done(&k->shares);
	free(k->layer_sizes);
	auto_close(&k->scratch);
	auto_close(&k->modules);
	for (unsigned i = 0; i < k->n_taps; i++)
		auto_close(&k->taps[i]);
	free(k->box);
	free(k->share_dir);
	free(k->initramfs);
	hostgroup_done(&k->group);
}

static int check_plan(const struct plan *plan, struct err *err)
{
	const struct plan_machine *m = &plan->machine;

	if (!m->kernel || !m->initramfs)
		return err_set(err, EINVAL, "the machine has no kernel");
	if (!plan->cgroup || m->memory == 0)
		return err_set(err, EINVAL, "the machine's plan is not complete");
	if (access(m->kernel, R_OK) < 0)
		return err_sys(err, "kernel '%s'", m->kernel);
	return 0;
}

/* The plan's may be of an agent that is no longer there: then of today's, in the same folder. */
static int choose_initramfs(const struct plan_machine *m, char **ret, struct err *err)
{
	uint64_t size = 0;
	AUTO_FREE char *folder = strdup(m->initramfs);
	char *slash = folder ? strrchr(folder, '/') : NULL;

	if (!slash)
		return err_set(err, EINVAL, "'%s' is no path of an initramfs", m->initramfs);
	*slash = '\0';
	return kernel_initramfs(folder, ret, &size, err);
}

static int make_folder(const struct isolation_config *c, const char *name, char **ret,
		       struct err *err)
{
	if (mkdirat(c->state_fd, name, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "make folder '%s'", name);
	*ret = path_join(c->state_path, name);
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int open_disks(const struct plan *plan, struct making *k, struct err *err)
{
	const struct plan_machine *m = &plan->machine;

	int r = disk_layers(plan, &k->setup, &k->layer_sizes, err);
	if (r < 0)
		return r;
	if (m->disk) {
		k->scratch = disk_scratch(m->disk, plan->root.size_max, plan->root.is_volatile,
					  err);
		if (k->scratch < 0)
			return k->scratch;
		k->setup.scratch = true;
	}
	if (m->modules) {
		k->modules = open(m->modules, O_RDONLY | O_CLOEXEC);
		if (k->modules < 0)
			return err_sys(err, "open the kernel's modules '%s'", m->modules);
		k->setup.modules = true;
	}
	return 0;
}

/* Limits of the host's devices: whether the machine has what they can hold for. */
static int check_limits(const struct plan *plan, const struct making *k, struct err *err)
{
	const int fds[] = {k->scratch, k->modules};
	dev_t devs[3];
	struct stat st;
	size_t n = 0;

	if (plan->limits.blkio.n == 0)
		return 0;
	if (plan->machine.accel != ACCEL_KVM)
		return err_set(err, ENOTSUP, "disks are limited by hull-monitor, which needs KVM");
	if (plan->root.layers.n > 0 && stat(plan->root.layers.v[0], &st) == 0)
		devs[n++] = st.st_dev;
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (fds[i] >= 0 && fstat(fds[i], &st) == 0)
			devs[n++] = st.st_dev;
	}
	return rates_check(&plan->limits.blkio, devs, n, err);
}

static int open_taps(const struct plan_machine *m, struct making *k, struct err *err)
{
	unsigned n = m->tap_queues > 1 ? m->tap_queues : 1;

	if (n > TAP_QUEUES_MAX)
		return err_set(err, EINVAL, "a tap of %u queues", n);
	for (; k->n_taps < n; k->n_taps++) {
		int fd = disk_tap(m->tap, n > 1, err);
		if (fd < 0)
			return fd;
		k->taps[k->n_taps] = fd;
	}
	return 0;
}

static int prepare(const struct isolation_config *c, struct making *k, struct err *err)
{
	const struct plan *plan = c->plan;

	int r = check_plan(plan, err);
	if (r == 0)
		r = choose_initramfs(&plan->machine, &k->initramfs, err);
	if (r == 0)
		r = agent_prepare(plan, SHARE_TAG, &k->setup, &k->shares, err);
	if (r == 0)
		r = open_disks(plan, k, err);
	if (r == 0)
		r = check_limits(plan, k, err);
	if (r == 0)
		r = make_folder(c, BOX, &k->box, err);
	if (r == 0 && k->shares.n > 0)
		r = make_folder(c, SHARE_DIR, &k->share_dir, err);
	if (r == 0 && plan->machine.tap)
		r = open_taps(&plan->machine, k, err);
	if (r == 0)
		r = hostgroup_make(plan->cgroup, plan->machine.memory + MONITOR_MEMORY, &k->group,
				   err);
	return r;
}

static int launch(struct isolation *m, struct making *k, struct err *err)
{
	int r = 0;

	struct share_spec share = {.shares = &k->shares,
				   .mounts = &m->plan->mounts,
				   .at = k->share_dir,
				   .run_fd = m->state_fd,
				   .group = &k->group,
				   .own = m->driver == &kvm_driver,
				   .state = -1};
	if (k->shares.n > 0)
		r = share_start(&share, &m->share, err);
	if (r == 0 && m->share.pid)
		r = trace_leave(m->state_fd, TRACE_SHARE, m->share.pid, err);
	if (r < 0)
		return r;
	struct monitor_spec spec = {.plan = m->plan,
				    .cpus = m->cpus,
				    .max_cpus = m->max_cpus,
				    .initramfs = k->initramfs,
				    .layers = &m->plan->root.layers,
				    .layer_sizes = k->layer_sizes,
				    .scratch = k->scratch,
				    .scratch_volatile = m->plan->root.is_volatile,
				    .modules = k->modules,
				    .share = m->share.connection,
				    .share_tag = SHARE_TAG,
				    .taps = k->taps,
				    .n_taps = k->n_taps,
				    .root = k->box,
				    .group = &k->group};
	m->launched_us = clock_us();
	r = m->driver->launch(&spec, &m->monitor, err);
	auto_close(&m->share.connection); /* the monitor has it */
	if (r < 0)
		return r;
	m->over = false;
	return trace_leave(m->state_fd, TRACE_MONITOR, m->monitor.pid, err);
}

static int listen_to(struct isolation *m, struct err *err)
{
	struct agent_config config = {.loop = m->loop,
				      .fd = TAKE_FD(m->monitor.channel),
				      .events = &own_events,
				      .events_ctx = m,
				      .lost = channel_lost,
				      .lost_ctx = m};

	int r = agent_new(&config, &m->agent, err);
	if (r == 0)
		r = console_new(m->loop, m->monitor.console, message, m, &m->console, err);
	if (r == 0 && m->driver->asked)
		r = asker_new(m->loop, m->monitor.control, control_line, m, &m->asker, err);
	else if (r == 0)
		r = lines_new(m->loop, m->monitor.control, control_line, m, &m->control, err);
	if (r == 0)
		r = lines_new(m->loop, m->monitor.complaints, complaint_line, m, &m->complaints,
			      err);
	if (r == 0)
		r = loop_watch(m->loop, m->monitor.pidfd, EPOLLIN, monitor_gone, m, &m->ended_watch,
			       err);
	if (r == 0)
		r = loop_timer(m->loop, BOOT_MS, boot_too_long, m, &m->boot, err);
	return r;
}

static void machine_delete(struct isolation *m);
DEFINE_AUTO(struct isolation, machine_delete)

static int machine_create(const struct isolation_config *c, struct isolation **ret, struct err *err)
{
	AUTO(making_done)
	struct making k = {.scratch = -1, .modules = -1};
	AUTO(auto_machine_delete) struct isolation *m = calloc(1, sizeof(*m));

	if (!m)
		return err_set(err, ENOMEM, "out of memory");
	uint32_t cpus = c->plan->machine.cpus ? c->plan->machine.cpus : 1;
	uint32_t max_cpus = c->plan->machine.max_cpus;
	*m = (struct isolation){.plan = c->plan,
				.loop = c->loop,
				.events = c->events,
				.ctx = c->ctx,
				.state_fd = c->state_fd,
				.driver = c->plan->machine.accel == ACCEL_KVM ? &kvm_driver
									      : &qemu_driver,
				.monitor = {.pidfd = -1,
					    .channel = -1,
					    .console = -1,
					    .control = -1,
					    .complaints = -1},
				.memory = c->plan->machine.memory,
				.net_rates = {plan_rate(c->plan->limits.net_ingress),
					      plan_rate(c->plan->limits.net_egress)},
				.cpus = cpus,
				.max_cpus = max_cpus > cpus ? max_cpus : cpus,
				.share = {.pidfd = -1, .connection = -1},
				.over = true,
				.start_io = {-1, -1, -1}};
	int r = prepare(c, &k, err);
	if (r == 0)
		r = launch(m, &k, err);
	if (r == 0)
		r = listen_to(m, err);
	if (r < 0)
		return r;
	agent_setup(m->agent, &k.setup, setup_done, m);
	*ret = TAKE_PTR(m);
	return 0;
}

/* Waits for the power-off that closing the channel brings about, then kills. */
static void power_off(struct isolation *m)
{
	if (m->over)
		return;
	/* with a volatile root and no volumes nobody wants what is still to be written */
	bool wanted = !m->plan->root.is_volatile || m->share.pid > 0;
	bool orderly = wanted && m->set_up && !m->failed.code;
	if (!orderly || !pidfd_wait(m->monitor.pidfd, POWEROFF_MS))
		pidfd_kill(m->monitor.pidfd);
	struct err ignored = ERR_INIT;
	if (pid_reap(m->monitor.pid, &ignored) < 0)
		return;
}

static void machine_delete(struct isolation *m)
{
	struct err ignored = ERR_INIT; /* nobody is left to tell; repair finds the rest */

	if (!m)
		return;
	if (m->agent && !m->over && agent_poweroff(m->agent, &ignored) < 0)
		ignored.code = 0; /* the hang-up that follows says the same */
	timer_cancel(&m->boot);
	timer_cancel(&m->lost);
	watch_remove(&m->ended_watch);
	console_free(m->console);
	lines_free(m->control);
	asker_free(m->asker);
	reports_forget(m);
	lines_free(m->complaints);
	agent_free(m->agent);
	plug_done(m);
	memory_forget(m);
	power_off(m);
	if (m->share.pidfd >= 0) {
		pidfd_kill(m->share.pidfd);
		(void)!pid_reap(m->share.pid, &ignored);
	}
	auto_close(&m->share.pidfd);
	auto_close(&m->share.connection);
	auto_close(&m->monitor.pidfd);
	auto_close(&m->monitor.channel);
	auto_close(&m->monitor.console);
	auto_close(&m->monitor.control);
	auto_close(&m->monitor.complaints);
	auto_close(&m->start_io.in);
	auto_close(&m->start_io.out);
	auto_close(&m->start_io.err);
	trace_remove(m->state_fd);
	(void)!hostgroup_remove(m->plan->cgroup, &ignored);
	free(m);
}

static int machine_repair(const char *id, int state_fd, struct err *err)
{
	AUTO_FREE char *cgroup = NULL;

	trace_kill(state_fd);
	trace_remove(state_fd);
	if (asprintf(&cgroup, "hull/%s/workload", id) < 0)
		return err_set(err, ENOMEM, "out of memory");
	return path_is_clean(cgroup, true) ? hostgroup_remove(cgroup, err)
					   : err_set(err, EINVAL, "'%.100s' is no id", id);
}

/* --- the verbs --- */

static int machine_netns(struct isolation *m)
{
	(void)m;
	return -1;
}

static int duplicate(int fd)
{
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static void machine_start(struct isolation *m, const struct process_io *io, isolation_reply *reply,
			  void *ctx)
{
	if (m->failed.code) {
		reply(ctx, &m->failed, NULL);
		return;
	}
	if (m->set_up) {
		agent_start(m->agent, &m->plan->process, io, reply, ctx);
		return;
	}
	m->start_reply = reply;
	m->start_ctx = ctx;
	m->start_io = (struct process_io){duplicate(io->in), duplicate(io->out),
					  duplicate(io->err)};
}

static void machine_exec(struct isolation *m, uint32_t process, const struct plan_process *what,
			 const struct process_io *io, isolation_reply *reply, void *ctx)
{
	agent_exec(m->agent, process, what, io, reply, ctx);
}

static int machine_console(struct isolation *m, uint32_t process, struct err *err)
{
	return agent_console(m->agent, process, err);
}

static int machine_resize(struct isolation *m, uint32_t process, uint32_t rows, uint32_t cols,
			  struct err *err)
{
	return agent_resize(m->agent, process, rows, cols, err);
}

static int machine_signal(struct isolation *m, uint32_t process, int sig, bool all, struct err *err)
{
	return agent_signal(m->agent, process, sig, all, err);
}

static void machine_pause(struct isolation *m, bool paused, isolation_reply *reply, void *ctx)
{
	agent_pause(m->agent, paused, reply, ctx);
}

static void machine_update(struct isolation *m, const struct plan_limits *limits,
			   isolation_reply *reply, void *ctx)
{
	struct err err = ERR_INIT;
	uint32_t cpus = plan_limits_cpus(limits);

	if (cpus > m->max_cpus) {
		(void)err_set(&err, ERANGE,
			      "--cpus: the machine was made with %u (--max-cpus), and not with %u",
			      m->max_cpus, cpus);
		reply(ctx, &err, NULL);
		return;
	}
	if (cpus)
		m->cpus = cpus;
	if (limits->memory && m->driver->asked && m->plan->machine.memory_own)
		memory_update(m, &(struct update){limits, cpus, reply, ctx});
	else
		plug_update(m, limits, cpus, reply, ctx);
}

/* A stats request under way: the workload's numbers are the agent's, the overhead is ours. */
struct stats_call {
	struct isolation *m;
	isolation_reply *reply;
	void *ctx;
};

static void stats_done(void *ctx, const struct err *failure, const void *answer)
{
	AUTO_FREE struct stats_call *call = ctx;

	if (failure) {
		call->reply(call->ctx, failure, NULL);
		return;
	}
	struct isolation_stats stats = *(const struct isolation_stats *)answer;
	uint64_t host = trace_memory(call->m->monitor.pid) + trace_memory(call->m->share.pid);
	stats.overhead = host > stats.memory ? host - stats.memory : 0;
	if (stats.memory_limit == 0) /* it has no more than its machine */
		stats.memory_limit = call->m->memory;
	call->reply(call->ctx, NULL, &stats);
}

static void machine_stats(struct isolation *m, isolation_reply *reply, void *ctx)
{
	struct stats_call *call = malloc(sizeof(*call));

	if (!call) {
		struct err err = ERR_INIT;
		(void)err_set(&err, ENOMEM, "out of memory");
		reply(ctx, &err, NULL);
		return;
	}
	*call = (struct stats_call){m, reply, ctx};
	agent_stats(m->agent, stats_done, call);
}

static void machine_top(struct isolation *m, isolation_reply *reply, void *ctx)
{
	agent_top(m->agent, reply, ctx);
}

static pid_t machine_pid(struct isolation *m)
{
	return m->over ? 0 : m->monitor.pid;
}

const struct isolation_ops machine_isolation = {
	.name = "vm",
	.create = machine_create,
	.netns = machine_netns,
	.start = machine_start,
	.exec = machine_exec,
	.console = machine_console,
	.resize = machine_resize,
	.signal = machine_signal,
	.pause = machine_pause,
	.update = machine_update,
	.disk = plug_disk,
	.interface = plug_interface,
	.stats = machine_stats,
	.top = machine_top,
	.report = machine_report,
	.pid = machine_pid,
	.delete = machine_delete,
	.repair = machine_repair,
};
