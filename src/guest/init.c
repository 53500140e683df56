/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hull-agent: PID 1 of a machine. Brings the kernel up as far as the port to the host, carries out
 * what the host orders, and switches the machine off. When it crashes the kernel panics, and the
 * machine is started with panic=-1, so its end is seen at once.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "base/path.h"
#include "container/container.h"
#include "guest/boot.h"
#include "guest/furnish.h"
#include "guest/kmsg.h"
#include "guest/session.h"
#include "proto/message.h"

enum { REAP_MS = 30000 };

struct machine {
	struct loop *loop;
	struct timer *reap;
	bool keep; /* what the workload writes outlives it */
};

static int prepare(void *ctx, struct machine_setup *setup, struct err *err)
{
	struct machine *m = ctx;

	m->keep = setup->scratch && !setup->plan.root.is_volatile;
	return furnish(setup, err);
}

static void set_clock(void *ctx, uint64_t ns)
{
	furnish_clock(ns);
}

static void over(void *ctx, const struct err *why)
{
	struct machine *m = ctx;

	if (why)
		kmsg("%s", why->msg);
	loop_stop(m->loop);
}

static int reap(void *ctx, struct err *err)
{
	struct machine *m = ctx;

	boot_reap();
	return loop_timer(m->loop, REAP_MS, reap, m, &m->reap, err);
}

static int serve(struct machine *m, int port, struct err *err)
{
	AUTO_CLOSE int fd = port;

	int r = path_mkdir_all(AT_FDCWD, AGENT_STATE, 0700, err);
	if (r == 0)
		r = path_mkdir_all(AT_FDCWD, AGENT_LAYERS, 0755, err);
	if (r < 0)
		return r;
	AUTO_CLOSE int state = open(AGENT_STATE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_CLOSE int layers = open(AGENT_LAYERS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (state < 0 || layers < 0)
		return err_sys(err, "open '%s'", AGENT_STATE);
	AUTO(auto_session_free) struct session *session = NULL;
	r = session_new(&(struct session_config){.loop = m->loop,
						 .fd = TAKE_FD(fd),
						 .ops = &container_isolation,
						 .state_fd = state,
						 .state_path = AGENT_STATE,
						 .layers_fd = layers,
						 .prepare = prepare,
						 .over = over,
						 .clock = set_clock,
						 .ctx = m},
			&session, err);
	if (r == 0)
		r = reap(m, err);
	return r < 0 ? r : loop_run(m->loop, err);
}

static int run(struct machine *m, struct err *err)
{
	int r = boot(err);
	if (r < 0)
		return r;
	int port = boot_port(err);
	if (port < 0)
		return port;
	AUTO(auto_loop_free) struct loop *loop = NULL;
	r = loop_new(&loop, err);
	if (r < 0) {
		auto_close(&port);
		return r;
	}
	m->loop = loop;
	return serve(m, port, err);
}

int main(int argc, char **argv)
{
	struct machine machine = {0};
	struct err err = ERR_INIT;

	if (getpid() != 1) {
		(void)fprintf(stderr, "hull-agent %s: runs as the first process of a machine\n",
			      HULL_VERSION);
		return 1;
	}
	(void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	if (run(&machine, &err) < 0)
		kmsg("%s", err.msg);
	boot_end(machine.keep);
}
