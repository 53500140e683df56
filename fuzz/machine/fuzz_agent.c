/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that says anything to the host, which has given some orders already. */
#include "frames.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "machine/agent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct agent *agent;

static void reply(void *ctx, const struct err *failure, const void *answer)
{
}

/* Deletes, as a keeper does when the first process has ended. */
static void exited(void *ctx, const struct process_exit *how)
{
	if (how->process == 0)
		agent_free(TAKE_PTR(agent));
}

static void message(void *ctx, const char *line)
{
	for (const char *c = line; *c; c++) {
		if ((unsigned char)*c < ' ')
			__builtin_trap();
	}
}

static void lost(void *ctx, const struct err *why)
{
	agent_end(agent, why->msg);
}

static const struct isolation_events events = {exited, message};

static int stop(void *ctx, struct err *err)
{
	loop_stop(ctx);
	return 0;
}

static void go_on(struct loop *loop)
{
	struct err err = ERR_INIT;
	struct timer *timer;

	if (loop_timer(loop, 0, stop, loop, &timer, &err) == 0)
		(void)!loop_run(loop, &err);
}

/* The first process with pipes, the second with a terminal, and one of each question. */
static void give_orders(void)
{
	struct plan_process plain = {0}, terminal = {.tty = true};
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		return;
	struct process_io io = {in[0], out[1], -1}, none = {-1, -1, -1};
	agent_start(agent, &plain, &io, reply, NULL);
	agent_exec(agent, 1, &terminal, &none, reply, NULL);
	agent_exec(agent, 2, &plain, &none, reply, NULL);
	agent_stats(agent, reply, NULL);
	agent_top(agent, reply, NULL);
	agent_pause(agent, true, reply, NULL);
	for (int i = 0; i < 2; i++) {
		(void)close(in[i]);
		(void)close(out[i]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_BUF struct buf b = BUF_INIT;
	AUTO(auto_loop_free) struct loop *loop = NULL;
	struct err err = ERR_INIT;
	static char heard[65536];
	int fds[2];

	(void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	if (loop_new(&loop, &err) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return 0;
	AUTO_CLOSE int fd = fds[0];
	struct agent_config config = {.loop = loop, .fd = fds[1], .events = &events, .lost = lost};
	if (agent_new(&config, &agent, &err) < 0)
		return 0;
	give_orders();
	frames_from(&b, data, n);
	for (size_t at = 0; at < b.len;) {
		ssize_t w = write(fd, b.data + at, b.len - at);
		if (w <= 0)
			break;
		at += (size_t)w;
		go_on(loop);
		while (read(fd, heard, sizeof(heard)) > 0)
			go_on(loop);
	}
	go_on(loop);
	agent_free(TAKE_PTR(agent));
	return 0;
}
