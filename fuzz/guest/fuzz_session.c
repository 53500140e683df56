/* SPDX-License-Identifier: Apache-2.0 */
/* A host that says anything to the agent's session, whose workload does nothing. */
#include "frames.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "guest/session.h"
#include "proto/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct isolation {
	struct isolation_config config;
};

static int create(const struct isolation_config *config, struct isolation **ret, struct err *err)
{
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return err_set(err, ENOMEM, "out of memory");
	(*ret)->config = *config;
	return 0;
}

static void answer(isolation_reply *reply, void *ctx, bool well, const void *what)
{
	struct err err = ERR_INIT;

	if (!well)
		(void)err_set(&err, ENOENT, "no");
	reply(ctx, well ? NULL : &err, well ? what : NULL);
}

static void start(struct isolation *iso, const struct process_io *io, isolation_reply *reply,
		  void *ctx)
{
	answer(reply, ctx, true, NULL);
}

static void exec(struct isolation *iso, uint32_t process, const struct plan_process *what,
		 const struct process_io *io, isolation_reply *reply, void *ctx)
{
	answer(reply, ctx, what->rows != 1, NULL);
	if (what->rows == 2)
		iso->config.events->exited(iso->config.ctx,
					   &(struct process_exit){.process = process});
}

static int console(struct isolation *iso, uint32_t process, struct err *err)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return err_sys(err, "pair");
	(void)close(fds[1]);
	return fds[0];
}

static int resize(struct isolation *iso, uint32_t process, uint32_t rows, uint32_t cols,
		  struct err *err)
{
	return rows ? 0 : err_set(err, EINVAL, "no rows");
}

static int send_signal(struct isolation *iso, uint32_t process, int sig, bool all, struct err *err)
{
	iso->config.events->exited(iso->config.ctx,
				   &(struct process_exit){.process = process, .status = 137});
	return 0;
}

static void freeze(struct isolation *iso, bool paused, isolation_reply *reply, void *ctx)
{
	answer(reply, ctx, paused, NULL);
}

static void update(struct isolation *iso, const struct plan_limits *limits, isolation_reply *reply,
		   void *ctx)
{
	answer(reply, ctx, true, NULL);
}

static void stats(struct isolation *iso, isolation_reply *reply, void *ctx)
{
	answer(reply, ctx, true, &(struct isolation_stats){.pids = 1});
}

static void top(struct isolation *iso, isolation_reply *reply, void *ctx)
{
	answer(reply, ctx, true, &(struct isolation_top){0});
}

static void delete (struct isolation *iso)
{
	free(iso);
}

static const struct isolation_ops nothing = {.create = create,
					     .start = start,
					     .exec = exec,
					     .console = console,
					     .resize = resize,
					     .signal = send_signal,
					     .pause = freeze,
					     .update = update,
					     .stats = stats,
					     .top = top,
					     .delete = delete};

static int prepare(void *ctx, struct machine_setup *setup, struct err *err)
{
	return 0;
}

static void over(void *ctx, const struct err *why)
{
	*(bool *)ctx = true;
}

static int disk(void *ctx, struct isolation *iso, const struct machine_order *order, bool show,
		struct err *err)
{
	if (!iso || order->target[0] != '/' || !order->serial)
		abort();
	return show ? 0 : err_set(err, EBUSY, "in use");
}

static int interface(void *ctx, const struct machine_order *order, bool show, struct err *err)
{
	if (!order->target || strchr(order->target, '/') ||
	    (show && (!order->mac || !order->address)))
		abort();
	return show ? 0 : err_set(err, EBUSY, "in use");
}

static void set_clock(void *ctx, uint64_t ns)
{
}

static int stop(void *ctx, struct err *err)
{
	loop_stop(ctx);
	return 0;
}

static void go_on(struct loop *loop, uint64_t ms)
{
	struct err err = ERR_INIT;
	struct timer *timer;

	if (loop_timer(loop, ms, stop, loop, &timer, &err) == 0)
		(void)!loop_run(loop, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_BUF struct buf b = BUF_INIT;
	AUTO(auto_loop_free) struct loop *loop = NULL;
	AUTO(auto_session_free) struct session *session = NULL;
	struct err err = ERR_INIT;
	bool is_over = false;
	static char heard[65536];
	int fds[2];

	(void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	if (loop_new(&loop, &err) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return 0;
	AUTO_CLOSE int fd = fds[0];
	struct session_config config = {.loop = loop,
					.fd = fds[1],
					.ops = &nothing,
					.state_fd = -1,
					.layers_fd = -1,
					.prepare = prepare,
					.over = over,
					.disk = disk,
					.interface = interface,
					.clock = set_clock,
					.ctx = &is_over};
	if (session_new(&config, &session, &err) < 0)
		return 0;
	frames_from(&b, data, n);
	for (size_t at = 0; at < b.len && !is_over;) {
		ssize_t w = write(fd, b.data + at, b.len - at);
		if (w <= 0)
			break;
		at += (size_t)w;
		go_on(loop, 0);
		while (read(fd, heard, sizeof(heard)) > 0)
			go_on(loop, 0);
	}
	go_on(loop, 0);
	return 0;
}
