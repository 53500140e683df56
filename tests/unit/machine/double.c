/* SPDX-License-Identifier: Apache-2.0 */
#include "double.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "proto/plan.h"

enum { MAX = 16 };

struct running {
	struct isolation *iso;
	uint32_t number;
	pid_t pid; /* 0: free */
	int pidfd, tty;
	struct watch *watch;
};

struct isolation {
	struct isolation_config config;
	struct running all[MAX];
};

struct double_notes double_notes;

static int create(const struct isolation_config *config, struct isolation **ret, struct err *err)
{
	double_notes.creates++;
	if (double_notes.fail_create)
		return err_set(err, double_notes.fail_create, "the double was told to fail");
	struct isolation *iso = calloc(1, sizeof(*iso));
	if (!iso)
		return err_set(err, ENOMEM, "out of memory");
	iso->config = *config;
	(void)snprintf(double_notes.hostname, sizeof(double_notes.hostname), "%s",
		       config->plan->hostname ? config->plan->hostname : "");
	*ret = iso;
	return 0;
}

static struct running *find(struct isolation *iso, uint32_t number)
{
	for (int i = 0; i < MAX; i++) {
		if (iso->all[i].pid && iso->all[i].number == number)
			return &iso->all[i];
	}
	return NULL;
}

static int ended(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct running *r = ctx;
	int status = 0;

	(void)waitpid(r->pid, &status, 0);
	struct process_exit exit = {.process = r->number,
				    .status = WIFSIGNALED(status) ? 128 + (uint32_t)WTERMSIG(status)
								  : (uint32_t)WEXITSTATUS(status)};
	watch_remove(&r->watch);
	auto_close(&r->pidfd);
	auto_close(&r->tty);
	r->pid = 0;
	r->iso->config.events->exited(r->iso->config.ctx, &exit);
	return 0;
}

static _Noreturn void child(const struct plan_process *what, const struct process_io *io,
			    const char *slave)
{
	int fds[3] = {io->in, io->out, io->err};

	(void)setsid();
	if (slave) {
		int fd = open(slave, O_RDWR | O_CLOEXEC);
		fds[0] = fds[1] = fds[2] = fd;
	}
	for (int i = 0; i < 3; i++) {
		int fd = fds[i] < 0 ? open("/dev/null", O_RDWR | O_CLOEXEC) : fds[i];
		(void)dup2(fd, i + 100);
	}
	for (int i = 0; i < 3; i++)
		(void)dup2(i + 100, i);
	if (slave)
		(void)ioctl(0, TIOCSCTTY, 0);
	(void)close_range(3, UINT32_MAX, 0);
	(void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
	(void)execvp(what->args.v[0], what->args.v);
	_exit(127);
}

static void exec(struct isolation *iso, uint32_t number, const struct plan_process *what,
		 const struct process_io *io, isolation_reply *reply, void *ctx)
{
	struct err err = ERR_INIT;
	struct running *r = iso->all;

	if (strcmp(what->args.v[0], "missing") == 0) {
		(void)err_set(&err, ENOENT, "'missing': not found");
		reply(ctx, &err, NULL);
		return;
	}
	while (r->pid)
		r++;
	*r = (struct running){.iso = iso, .number = number, .pidfd = -1, .tty = -1};
	if (what->tty) {
		r->tty = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
		(void)grantpt(r->tty);
		(void)unlockpt(r->tty);
	}
	const char *slave = what->tty ? ptsname(r->tty) : NULL;
	/* held until the child has it open, or the terminal would seem to have ended */
	AUTO_CLOSE int hold = slave ? open(slave, O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
	r->pid = fork();
	if (r->pid == 0)
		child(what, io, slave);
	r->pidfd = (int)syscall(SYS_pidfd_open, r->pid, 0);
	if (loop_watch(iso->config.loop, r->pidfd, EPOLLIN, ended, r, &r->watch, &err) < 0)
		abort();
	if (hold >= 0)
		(void)usleep(50000);
	reply(ctx, NULL, NULL);
}

static void start(struct isolation *iso, const struct process_io *io, isolation_reply *reply,
		  void *ctx)
{
	exec(iso, 0, &iso->config.plan->process, io, reply, ctx);
}

static int console(struct isolation *iso, uint32_t process, struct err *err)
{
	struct running *r = find(iso, process);

	return r ? fcntl(r->tty, F_DUPFD_CLOEXEC, 3) : err_set(err, ESRCH, "no such process");
}

static int resize(struct isolation *iso, uint32_t process, uint32_t rows, uint32_t cols,
		  struct err *err)
{
	double_notes.rows = rows;
	double_notes.cols = cols;
	return 0;
}

static int send_signal(struct isolation *iso, uint32_t process, int sig, bool all, struct err *err)
{
	struct running *r = find(iso, process);

	if (!r)
		return err_set(err, ESRCH, "no such process");
	return kill(r->pid, sig) < 0 ? err_sys(err, "kill") : 0;
}

static void freeze(struct isolation *iso, bool paused, isolation_reply *reply, void *ctx)
{
	double_notes.paused = paused ? 1 : 2;
	reply(ctx, NULL, NULL);
}

static void update(struct isolation *iso, const struct plan_limits *limits, isolation_reply *reply,
		   void *ctx)
{
	double_notes.memory = limits->memory;
	reply(ctx, NULL, NULL);
}

static void stats(struct isolation *iso, isolation_reply *reply, void *ctx)
{
	struct isolation_stats s = {.cpu_ns = 12345, .memory = UINT64_C(1) << 40, .pids = 3};

	reply(ctx, NULL, &s);
}

static void top(struct isolation *iso, isolation_reply *reply, void *ctx)
{
	struct isolation_top t = {0};

	for (uint32_t i = 0; i < double_notes.top_processes; i++) {
		struct process_info *p = list_add(&t.processes, &process_info_record);
		p->pid = i + 1;
		p->command = strdup("sleep 1000");
	}
	reply(ctx, NULL, &t);
	record_done(&isolation_top_record, &t);
}

static void delete (struct isolation *iso)
{
	double_notes.deletes++;
	for (int i = 0; i < MAX; i++) {
		struct running *r = &iso->all[i];
		if (!r->pid)
			continue;
		(void)kill(r->pid, SIGKILL);
		(void)waitpid(r->pid, NULL, 0);
		watch_remove(&r->watch);
		auto_close(&r->pidfd);
		auto_close(&r->tty);
	}
	free(iso);
}

const struct isolation_ops double_isolation = {
	.name = "double",
	.create = create,
	.start = start,
	.exec = exec,
	.console = console,
	.resize = resize,
	.signal = send_signal,
	.pause = freeze,
	.update = update,
	.stats = stats,
	.top = top,
	.delete = delete,
};
