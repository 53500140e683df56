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
#include <sys/mount.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "base/path.h"
#include "container/container.h"
#include "guest/boot.h"
#include "guest/disk.h"
#include "guest/furnish.h"
#include "guest/kmsg.h"
#include "guest/net.h"
#include "guest/plug.h"
#include "guest/session.h"
#include "proto/message.h"

enum {
	REAP_MS = 30000,
	LATE_MS = 1000, /* a workload has long begun, and one that is short has ended */
};

struct machine {
	struct loop *loop;
	struct timer *reap, *late;
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

/* What it is mounted on until the workload has a mount of its own. */
#define STAGE "/run/hull/plugged"

static int show_disk(struct isolation *iso, const struct machine_order *order, struct err *err)
{
	struct err ignored = ERR_INIT;

	int r = plug_bind(order->slot, err);
	if (r < 0)
		return r;
	r = disk_mount_any(order->serial, order->readonly, STAGE, err);
	if (r == 0) {
		r = container_show(iso, STAGE, order->target, err);
		(void)umount2(STAGE, MNT_DETACH);
		(void)rmdir(STAGE);
	}
	if (r < 0)
		(void)!plug_unbind(order->slot, &ignored);
	return r;
}

static int hide_disk(struct isolation *iso, const struct machine_order *order, struct err *err)
{
	int r = container_show_no_more(iso, order->target, err);
	if (r == 0)
		r = disk_is_free(order->serial, err);
	return r < 0 ? r : plug_unbind(order->slot, err);
}

static int change_disk(void *ctx, struct isolation *iso, const struct machine_order *order,
		       bool show, struct err *err)
{
	(void)ctx;
	return show ? show_disk(iso, order, err) : hide_disk(iso, order, err);
}

/* Without its driver the interface is gone, and its address with it. */
static int change_interface(void *ctx, const struct machine_order *order, bool show,
			    struct err *err)
{
	struct err ignored = ERR_INIT;
	struct plan_net net = {.mac = order->mac, .address = order->address, .mtu = order->mtu};

	(void)ctx;
	if (!show)
		return plug_unbind(order->slot, err);
	int r = plug_bind(order->slot, err);
	if (r < 0)
		return r;
	r = net_add(order->target, &net, err);
	if (r < 0)
		(void)!plug_unbind(order->slot, &ignored);
	return r;
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

static int settle(void *ctx, struct err *err)
{
	struct machine *m = ctx;

	(void)err;
	m->late = NULL;
	boot_late();
	return 0;
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
						 .disk = change_disk,
						 .interface = change_interface,
						 .clock = set_clock,
						 .ctx = m},
			&session, err);
	if (r == 0)
		r = reap(m, err);
	if (r == 0)
		r = loop_timer(m->loop, LATE_MS, settle, m, &m->late, err);
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
