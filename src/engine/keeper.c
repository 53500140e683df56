/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hull-keeper [--wait-attach] FOLDER RUN-FOLDER LAYERS-FOLDER LIFE-FD
 *
 * One life of a workload: start_workload() -> on_started() -> on_event_exited() -> on_drained() ->
 * restart, or finish(). The status file is written at each step; the command that waits at LIFE-FD
 * is told how the first start went.
 */
#include "engine/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/loop.h"
#include "base/proc.h"
#include "container/container.h"
#include "engine/keeper_exec.h"
#include "engine/keeper_net.h"
#include "engine/keeper_server.h"
#include "engine/keeper_stdio.h"
#include "engine/log.h"
#include "machine/machine.h"

enum {
	RECORD_MAX = 4 << 20,
	DELAY_MIN_MS = 100,
	DELAY_MAX_MS = 60000,
	STEADY_MS = 10000,
	UNREAD_MS = 500,
	KILLED = 128 + SIGKILL
};

static void start_workload(struct keeper *k);
static void finish(struct keeper *k);

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* A keeper has nobody to tell of its own trouble but its log. */
static void complain(struct keeper *k, const struct err *what)
{
	struct err ignored = ERR_INIT; /* the disk is full, or gone: nothing is left to try */
	char line[ERR_MSG_MAX + 32];

	int n = snprintf(line, sizeof(line), "hull-keeper: %s\n", what->msg);
	if (k->log && n > 0 && log_write(k->log, LOG_KERNEL, line, strlen(line), &ignored) < 0)
		return;
}

void keeper_save_status(struct keeper *k)
{
	struct err err = ERR_INIT;
	AUTO_BUF struct buf bytes = BUF_INIT;

	record_encode(&keeper_status_record, &k->status, &bytes);
	if (buf_check(&bytes, &err) < 0 ||
	    file_replace(k->run_fd, "status", bytes.data, bytes.len, 0600, &err) < 0)
		complain(k, &err);
}

/* The command's answer is one packet; it may have gone away meanwhile. */
static void tell_starter(struct keeper *k)
{
	AUTO_BUF struct buf bytes = BUF_INIT;

	if (k->life_fd < 0)
		return;
	watch_remove(&k->life_watch);
	record_encode(&keeper_status_record, &k->status, &bytes);
	if (!bytes.bad && write(k->life_fd, bytes.data, bytes.len) < 0)
		errno = 0; /* nobody reads: nobody needs to know */
	auto_close(&k->life_fd);
}

static void set_exit(struct keeper *k, uint32_t status, bool oom, const char *reason)
{
	record_done(&process_exit_record, &k->status.exit);
	k->status.exit.status = status;
	k->status.exit.oom = oom;
	k->status.exit.reason = reason && reason[0] ? strdup(reason) : NULL;
	k->status.pid = 0;
}

/* --- a life begins --- */

/* 127 and 126 speak of the program itself; whatever else fails is 125. */
static uint32_t exec_status(const struct err *failure)
{
	return failure->code == ENOENT                               ? 127
	       : failure->code == EACCES || failure->code == ENOEXEC ? 126
								     : 125;
}

static void start_failed(struct keeper *k, const struct err *failure, uint32_t status)
{
	set_exit(k, status, false, failure->msg);
	k->status.state = KEEPER_FAILED;
	k->status.code = (uint32_t)failure->code;
	k->status.finished_ns = now_ns();
	finish(k);
}

static void on_started(void *ctx, const struct err *failure, const void *answer)
{
	struct keeper *k = ctx;
	struct err err = ERR_INIT;
	int console = -1;

	if (k->status.state != KEEPER_STARTING)
		return; /* given up meanwhile */
	if (failure) {
		start_failed(k, failure, exec_status(failure));
		return;
	}
	if (k->plan.process.tty)
		console = k->ops->console(k->iso, 0, &err);
	if (err.code || stdio_started(k->stdio, console, &err) < 0) {
		start_failed(k, &err, 125);
		return;
	}
	k->status.state = KEEPER_RUNNING;
	k->status.pid = (uint32_t)k->ops->pid(k->iso);
	k->status.started_ns = now_ns();
	keeper_save_status(k);
	tell_starter(k);
	if (k->stopping)
		keeper_stop(k, 0, k->orders.stop_timeout_ms);
}

static void on_event_exited(void *ctx, const struct process_exit *end);

static void on_event_message(void *ctx, const char *line)
{
	struct keeper *k = ctx;
	struct err err = ERR_INIT;

	if (k->log && (log_write(k->log, LOG_KERNEL, line, strlen(line), &err) < 0 ||
		       log_write(k->log, LOG_KERNEL, "\n", 1, &err) < 0))
		complain(k, &err);
}

static const struct isolation_events events = {.exited = on_event_exited,
					       .message = on_event_message};

static int make_box(struct keeper *k, struct err *err)
{
	int r = keeper_net_prepare(k->net, &k->plan, &k->status.ports, err);
	if (r < 0)
		return r;
	if (keeper_net_notice(k->net)[0])
		on_event_message(k, keeper_net_notice(k->net));
	const struct isolation_config config = {.plan = &k->plan,
						.state_fd = k->run_fd,
						.state_path = k->run_path,
						.layers_fd = k->layers_fd,
						.loop = k->loop,
						.events = &events,
						.ctx = k};
	r = k->ops->create(&config, &k->iso, err);
	if (r < 0) {
		k->iso = NULL;
		return r;
	}
	AUTO_CLOSE int netns = k->ops->netns(k->iso);
	return keeper_net_attach(k->net, netns, err);
}

static void start_workload(struct keeper *k)
{
	struct err err = ERR_INIT;
	struct process_io io;

	k->status.state = KEEPER_STARTING;
	if (make_box(k, &err) < 0 || stdio_open(k->stdio, &io, &err) < 0) {
		start_failed(k, &err, 125);
		return;
	}
	k->ops->start(k->iso, &io, on_started, k);
}

void keeper_begin(struct keeper *k)
{
	if (k->begun)
		return;
	k->begun = true;
	start_workload(k);
}

/* --- and ends --- */

static void leave_box(struct keeper *k)
{
	struct isolation *iso = TAKE_PTR(k->iso);

	timer_cancel(&k->kill_timer);
	timer_cancel(&k->unread_timer);
	execs_end(k->execs);
	if (iso)
		k->ops->delete (iso);
	keeper_net_detach(k->net);
	strv_done(&k->status.interfaces); /* they came for this life */
	stdio_reset(k->stdio);
}

/* Until then whoever finds this keeper killed has to look for what is left, whatever it told. */
static void say_over(struct keeper *k)
{
	struct err err = ERR_INIT;

	AUTO_CLOSE int fd = openat(k->run_fd, "over", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		(void)err_sys(&err, "create 'over'");
		complain(k, &err);
	}
}

/* For good: the exit is told before the box is taken apart, and the keeper ends when that is done.
 */
static void finish(struct keeper *k)
{
	struct err err = ERR_INIT;

	if (k->log && log_flush(k->log, &err) < 0)
		complain(k, &err);
	keeper_save_status(k);
	tell_starter(k);
	execs_end(k->execs);
	server_ended(k->server);
	leave_box(k);
	say_over(k);
	server_gone(k->server);
	loop_stop(k->loop);
}

static int read_record(int dirfd, const char *name, const struct record *type, void *obj,
		       struct err *err)
{
	AUTO_BUF struct buf bytes = BUF_INIT;

	int r = file_read(dirfd, name, RECORD_MAX, &bytes, err);
	if (r == 0)
		r = record_decode(type, bytes.data, bytes.len, obj, err);
	return r < 0 ? err_wrap(err, "read '%s'", name) : 0;
}

/* Which may have been changed by `hull update` since it began. */
static void heed_policy(struct keeper *k)
{
	struct keeper_orders orders = {0};
	struct err err = ERR_INIT;

	if (read_record(k->dir_fd, "orders", &keeper_orders_record, &orders, &err) < 0) {
		complain(k, &err); /* it keeps to the one it had */
		return;
	}
	k->orders.restart = orders.restart;
	k->orders.restart_max = orders.restart_max;
	record_done(&keeper_orders_record, &orders);
}

static bool restart_wanted(const struct keeper *k)
{
	if (k->stopping)
		return false;
	switch ((enum restart_policy)k->orders.restart) {
	case RESTART_NO:
		return false;
	case RESTART_ON_FAILURE:
		return k->status.exit.status != 0 &&
		       (k->orders.restart_max == 0 || k->status.restarts < k->orders.restart_max);
	case RESTART_ALWAYS:
	case RESTART_UNLESS_STOPPED:
		return true;
	}
	return false;
}

/* What `hull update` changed since the plan was read holds for the lives that follow. */
static void heed_updates(struct keeper *k)
{
	struct plan plan = {0};
	struct err err = ERR_INIT;

	if (read_record(k->dir_fd, "plan", &plan_record, &plan, &err) < 0) {
		complain(k, &err); /* it goes on with what it had */
		return;
	}
	struct plan_limits limits = k->plan.limits;
	struct plan_machine machine = k->plan.machine;
	k->plan.limits = plan.limits;
	k->plan.machine = plan.machine;
	plan.limits = limits;
	plan.machine = machine;
	record_done(&plan_record, &plan);
}

static int on_restart_time(void *ctx, struct err *err)
{
	struct keeper *k = ctx;

	k->restart_timer = NULL;
	heed_updates(k);
	start_workload(k);
	return 0;
}

static int plan_restart(struct keeper *k, struct err *err)
{
	bool steady = k->status.finished_ns - k->status.started_ns >= (uint64_t)STEADY_MS * 1000000;
	uint32_t delay = steady || k->restart_delay_ms == 0 ? DELAY_MIN_MS
							    : k->restart_delay_ms * 2;

	k->restart_delay_ms = delay > DELAY_MAX_MS ? DELAY_MAX_MS : delay;
	k->status.restarts++;
	k->status.state = KEEPER_RESTARTING;
	keeper_save_status(k);
	leave_box(k);
	return loop_timer(k->loop, k->restart_delay_ms, on_restart_time, k, &k->restart_timer, err);
}

static void on_drained(void *ctx)
{
	struct keeper *k = ctx;
	struct err err = ERR_INIT;

	k->status.finished_ns = now_ns();
	if (!k->stopping)
		heed_policy(k);
	if (restart_wanted(k)) {
		if (k->log && log_flush(k->log, &err) < 0)
			complain(k, &err);
		err = ERR_INIT;
		if (plan_restart(k, &err) == 0)
			return;
		complain(k, &err);
	}
	k->status.state = KEEPER_EXITED;
	finish(k);
}

static void on_event_exited(void *ctx, const struct process_exit *end)
{
	struct keeper *k = ctx;

	if (end->process != 0) {
		execs_exited(k->execs, end);
		return;
	}
	set_exit(k, end->status, end->oom, end->reason);
	stdio_finish(k->stdio, on_drained, k);
}

/* --- the one who reads is gone --- */

static int on_unread_time(void *ctx, struct err *err)
{
	struct keeper *k = ctx;

	k->unread_timer = NULL;
	if (k->status.state == KEEPER_RUNNING)
		keeper_stop(k, 0, k->orders.stop_timeout_ms);
	return 0;
}

/*
 * Whoever writes on gets SIGPIPE or EPIPE. The first process of a pid namespace is spared the
 * signal, and some ignore the error: they would write for ever what nobody reads, so after a while
 * they are stopped.
 */
static void on_broken(void *ctx)
{
	struct keeper *k = ctx;
	struct err err = ERR_INIT;

	if (!k->unread_timer &&
	    loop_timer(k->loop, UNREAD_MS, on_unread_time, k, &k->unread_timer, &err) < 0)
		complain(k, &err);
}

/* --- asked to stop --- */

static int on_kill_time(void *ctx, struct err *err)
{
	struct keeper *k = ctx;
	struct err ignored = ERR_INIT; /* already gone: `exited` is on its way */

	k->kill_timer = NULL;
	if (k->iso && k->ops->signal(k->iso, 0, SIGKILL, true, &ignored) < 0)
		return 0;
	return 0;
}

static void give_up(struct keeper *k, uint32_t status)
{
	timer_cancel(&k->restart_timer);
	if (k->status.state != KEEPER_RESTARTING)
		set_exit(k, status, false, NULL);
	k->status.finished_ns = now_ns();
	k->status.state = KEEPER_EXITED;
	finish(k);
}

static void resumed(void *ctx, const struct err *failure, const void *answer)
{
	struct keeper *k = ctx;

	if (!failure && k->status.state == KEEPER_PAUSED)
		k->status.state = KEEPER_RUNNING;
}

void keeper_stop(struct keeper *k, int sig, uint64_t timeout_ms)
{
	struct err err = ERR_INIT;

	k->stopping = true;
	switch ((enum keeper_state)k->status.state) {
	case KEEPER_CREATED:
	case KEEPER_RESTARTING:
		give_up(k, 0);
		return;
	case KEEPER_STARTING:
		give_up(k, KILLED);
		return;
	case KEEPER_PAUSED:
		k->ops->pause(k->iso, false, resumed, k);
		break;
	case KEEPER_RUNNING:
		break;
	case KEEPER_EXITED:
	case KEEPER_FAILED:
		return;
	}
	if (sig == 0)
		sig = k->orders.stop_signal ? (int)k->orders.stop_signal : SIGTERM;
	if (k->ops->signal(k->iso, 0, timeout_ms ? sig : SIGKILL, false, &err) < 0 &&
	    err.code != ESRCH)
		complain(k, &err);
	timer_cancel(&k->kill_timer);
	err = ERR_INIT;
	if (timeout_ms &&
	    loop_timer(k->loop, timeout_ms, on_kill_time, k, &k->kill_timer, &err) < 0)
		complain(k, &err);
}

static int on_signal(void *ctx, int fd, uint32_t ev, struct err *err)
{
	struct keeper *k = ctx;
	struct signalfd_siginfo si;

	if (read(fd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		keeper_stop(k, 0, k->orders.stop_timeout_ms);
	return 0;
}

/* The command that wanted it started is gone before it was: nobody else knows of it. */
static int on_starter_gone(void *ctx, int fd, uint32_t ev, struct err *err)
{
	struct keeper *k = ctx;

	watch_remove(&k->life_watch);
	auto_close(&k->life_fd);
	if (!k->begun) {
		k->stopping = true;
		give_up(k, KILLED);
	}
	return 0;
}

/* --- the process --- */

static int write_keeper_file(struct keeper *k, struct err *err)
{
	struct proc_id id;
	char text[PROC_ID_TEXT];

	int r = proc_identify(getpid(), &id, err);
	if (r < 0)
		return r;
	proc_id_format(&id, text);
	return file_replace(k->run_fd, "keeper", text, strlen(text), 0600, err);
}

static int watch_signals(struct keeper *k, struct err *err)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_sys(err, "block signals");
	static const int ignored[] = {SIGPIPE, SIGHUP, SIGINT, SIGQUIT};
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		(void)sigaction(ignored[i], &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	k->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (k->signal_fd < 0)
		return err_sys(err, "create signalfd");
	return loop_watch(k->loop, k->signal_fd, EPOLLIN, on_signal, k, &k->signal_watch, err);
}

static int read_orders(struct keeper *k, struct err *err)
{
	int r = read_record(k->dir_fd, "plan", &plan_record, &k->plan, err);
	if (r == 0)
		r = read_record(k->dir_fd, "orders", &keeper_orders_record, &k->orders, err);
	if (r == 0 && k->orders.log_max > 0)
		r = log_open(&k->log, k->dir_fd, k->orders.log_max, k->orders.log_files, err);
	k->ops = k->orders.vm ? &machine_isolation : &container_isolation;
	return r;
}

static int make_parts(struct keeper *k, struct err *err)
{
	const struct stdio_config io = {.loop = k->loop,
					.log = k->log,
					.tty = k->plan.process.tty,
					.open_stdin = k->orders.open_stdin,
					.stdin_once = k->orders.stdin_once,
					.broken = on_broken,
					.ctx = k};

	int r = stdio_new(&k->stdio, &io, err);
	if (r == 0)
		r = execs_new(&k->execs, k, err);
	if (r == 0)
		r = keeper_net_new(&k->net, k->loop, k->plan.id, &k->orders, err);
	if (r == 0)
		r = server_new(&k->server, k, err);
	if (r == 0)
		r = watch_signals(k, err);
	if (r == 0 && k->life_fd >= 0)
		r = loop_watch(k->loop, k->life_fd, 0, on_starter_gone, k, &k->life_watch, err);
	return r;
}

static int open_folders(struct keeper *k, char **argv, struct err *err)
{
	int *fds[] = {&k->dir_fd, &k->run_fd, &k->layers_fd};

	for (int i = 0; i < 3; i++) {
		*fds[i] = open(argv[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (*fds[i] < 0)
			return err_sys(err, "open folder '%s'", argv[i]);
	}
	k->run_path = argv[1];
	return 0;
}

static int run(struct keeper *k, char **argv, bool wait_attach, struct err *err)
{
	struct err stays = ERR_INIT; /* where it may not leave its session's cgroup, it stays */
	if (container_place_keeper(&stays) < 0)
		stays = ERR_INIT;
	int r = open_folders(k, argv, err);
	if (r == 0)
		r = loop_new(&k->loop, err);
	if (r == 0)
		r = read_orders(k, err);
	if (r == 0)
		r = container_place_keeper(err);
	if (r == 0)
		r = write_keeper_file(k, err);
	if (r == 0)
		r = make_parts(k, err);
	if (r < 0) {
		k->status.state = KEEPER_FAILED;
		k->status.code = (uint32_t)err->code;
		set_exit(k, 125, false, err->msg);
		if (k->run_fd >= 0)
			keeper_save_status(k);
		tell_starter(k);
		return r;
	}
	k->status.state = KEEPER_CREATED;
	if (!wait_attach)
		keeper_begin(k);
	return k->status.state == KEEPER_EXITED || k->status.state == KEEPER_FAILED
		       ? 0
		       : loop_run(k->loop, err);
}

static void keeper_done(struct keeper *k)
{
	if (k->iso)
		k->ops->delete (k->iso);
	server_free(k->server);
	execs_free(k->execs);
	keeper_net_free(k->net);
	stdio_free(k->stdio);
	log_close(k->log);
	watch_remove(&k->signal_watch);
	auto_close(&k->signal_fd);
	loop_free(k->loop);
	record_done(&plan_record, &k->plan);
	record_done(&keeper_orders_record, &k->orders);
	record_done(&keeper_status_record, &k->status);
	auto_close(&k->dir_fd);
	auto_close(&k->run_fd);
	auto_close(&k->layers_fd);
	auto_close(&k->life_fd);
}

int main(int argc, char **argv)
{
	struct keeper k = {
		.dir_fd = -1, .run_fd = -1, .layers_fd = -1, .life_fd = -1, .signal_fd = -1};
	struct err err = ERR_INIT;
	int64_t fd = -1;

	bool wait_attach = argc > 1 && strcmp(argv[1], "--wait-attach") == 0;
	argc -= wait_attach;
	argv += wait_attach;
	if (argc != 5 || parse_int(argv[4], -1, 1 << 20, "LIFE-FD", &fd, &err) < 0) {
		(void)fprintf(
			stderr,
			"usage: hull-keeper [--wait-attach] FOLDER RUN-FOLDER LAYERS-FOLDER LIFE-FD\n");
		return 125;
	}
	(void)umask(022);
	k.life_fd = (int)fd;
	if (k.life_fd >= 0)
		(void)fcntl(k.life_fd, F_SETFD, FD_CLOEXEC);
	int r = run(&k, argv + 1, wait_attach, &err);
	if (r < 0)
		complain(&k, &err);
	keeper_done(&k);
	return r < 0 ? 125 : 0;
}
