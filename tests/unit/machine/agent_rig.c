/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/io.h"
#include "base/loop.h"
#include "base/str.h"
#include "double.h"
#include "guest/session.h"
#include "proto/record.h"

static void note_reply(struct rig *rig, const struct err *failure)
{
	rig->replies++;
	rig->code = failure ? failure->code : 0;
	(void)snprintf(rig->failure, sizeof(rig->failure), "%s", failure ? failure->msg : "");
	loop_stop(rig->loop);
}

void rig_on_reply(void *ctx, const struct err *failure, const void *answer)
{
	note_reply(ctx, failure);
}

void rig_on_stats(void *ctx, const struct err *failure, const void *answer)
{
	struct rig *rig = ctx;

	if (answer)
		rig->stats = *(const struct isolation_stats *)answer;
	note_reply(rig, failure);
}

void rig_on_top(void *ctx, const struct err *failure, const void *answer)
{
	struct rig *rig = ctx;

	rig->listed = answer ? ((const struct isolation_top *)answer)->processes.n : 0;
	note_reply(rig, failure);
}

static void on_exited(void *ctx, const struct process_exit *how)
{
	struct rig *rig = ctx;

	if (rig->exits < 8)
		rig->last[rig->exits] = *how;
	rig->exits++;
	(void)snprintf(rig->reason, sizeof(rig->reason), "%s", how->reason ? how->reason : "");
	if (rig->free_at_exit)
		agent_free(TAKE_PTR(rig->agent));
	loop_stop(rig->loop);
}

static void on_message(void *ctx, const char *line)
{
	struct rig *rig = ctx;

	rig->lines++;
	(void)snprintf(rig->line, sizeof(rig->line), "%s", line);
}

static void on_lost(void *ctx, const struct err *why)
{
	struct rig *rig = ctx;

	rig->lost++;
	(void)snprintf(rig->why, sizeof(rig->why), "%s", why->msg);
	if (rig->end_at_loss)
		agent_end(rig->agent, "guest kernel panic");
	loop_stop(rig->loop);
}

static int prepare(void *ctx, struct machine_setup *setup, struct err *err)
{
	return setup->share_tag && strcmp(setup->share_tag, "broken") == 0
		       ? err_set(err, ENODEV, "there is no share")
		       : 0;
}

static void on_over(void *ctx, const struct err *why)
{
	struct rig *rig = ctx;

	rig->over++;
	rig->over_by_host = !why;
	loop_stop(rig->loop);
}

static void on_clock(void *ctx, uint64_t ns)
{
	struct rig *rig = ctx;

	rig->clock_ns = ns;
}

static int on_disk(void *ctx, struct isolation *iso, const struct machine_order *order, bool show,
		   struct err *err)
{
	struct rig *rig = ctx;

	(void)iso;
	(void)snprintf(rig->disk, sizeof(rig->disk), "%s %u %s %s%s", show ? "show" : "hide",
		       order->slot, order->serial, order->target, order->readonly ? " ro" : "");
	return show ? 0 : err_set(err, EBUSY, "in use");
}

static int on_interface(void *ctx, const struct machine_order *order, bool show, struct err *err)
{
	struct rig *rig = ctx;

	(void)snprintf(rig->interface, sizeof(rig->interface), "%s %u %s %s %s %u",
		       show ? "show" : "hide", order->slot, order->target,
		       order->mac ? order->mac : "-", order->address ? order->address : "-",
		       order->mtu);
	return show ? 0 : err_set(err, EBUSY, "in use");
}

static const struct isolation_events events = {on_exited, on_message};

bool rig_agent(struct rig *rig, int fd)
{
	struct err err = ERR_INIT;

	return agent_new(&(struct agent_config){.loop = rig->loop,
						.fd = fd,
						.events = &events,
						.events_ctx = rig,
						.lost = on_lost,
						.lost_ctx = rig},
			 &rig->agent, &err) == 0;
}

bool rig_session(struct rig *rig, int fd)
{
	struct err err = ERR_INIT;

	return session_new(&(struct session_config){.loop = rig->loop,
						    .fd = fd,
						    .ops = &double_isolation,
						    .state_fd = -1,
						    .layers_fd = -1,
						    .prepare = prepare,
						    .over = on_over,
						    .disk = on_disk,
						    .interface = on_interface,
						    .clock = on_clock,
						    .ctx = rig},
			   &rig->session, &err) == 0;
}

void rig_done(struct rig *rig)
{
	agent_free(rig->agent);
	session_free(rig->session);
	record_done(&machine_setup_record, &rig->setup);
	loop_free(rig->loop);
}

bool rig_ends(struct rig *rig, int fds[2])
{
	struct err err = ERR_INIT;

	double_notes = (struct double_notes){0};
	(void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	return loop_new(&rig->loop, &err) == 0 &&
	       socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0;
}

static int too_late(void *ctx, struct err *err)
{
	struct rig *rig = ctx;

	rig->timer = NULL;
	rig->late = true;
	loop_stop(rig->loop);
	return 0;
}

bool rig_run(struct rig *rig, uint64_t ms)
{
	struct err err = ERR_INIT;

	rig->late = false;
	if (loop_timer(rig->loop, ms, too_late, rig, &rig->timer, &err) < 0 ||
	    loop_run(rig->loop, &err) < 0)
		return false;
	timer_cancel(&rig->timer);
	return !rig->late;
}

int rig_reply(struct rig *rig)
{
	rig->awaited++;
	while (rig->replies < rig->awaited) {
		if (!rig_run(rig, PATIENCE_MS))
			return -1;
	}
	return rig->code;
}

bool rig_exits(struct rig *rig, int n)
{
	while (rig->exits < n) {
		if (!rig_run(rig, PATIENCE_MS))
			return false;
	}
	return rig->exits == n;
}

bool rig_shell(struct plan_process *p, const char *script)
{
	struct err err = ERR_INIT;

	return strv_add(&p->args, "sh", &err) == 0 && strv_add(&p->args, "-c", &err) == 0 &&
	       strv_add(&p->args, script, &err) == 0;
}

bool rig_new(struct rig *rig, const char *script, bool tty)
{
	int fds[2];

	if (!rig_ends(rig, fds) || !rig_agent(rig, fds[0]) || !rig_session(rig, fds[1]))
		return false;
	rig->setup.plan.hostname = strdup("box");
	rig->setup.plan.process.tty = tty;
	if (!rig_shell(&rig->setup.plan.process, script))
		return false;
	agent_setup(rig->agent, &rig->setup, rig_on_reply, rig);
	return rig_reply(rig) == 0;
}

void streams_done(struct streams *s)
{
	auto_close(&s->in);
	auto_close(&s->out);
	auto_close(&s->err);
}

bool streams_new(struct process_io *io, struct streams *ours)
{
	int p[3][2];

	for (int i = 0; i < 3; i++) {
		if (pipe2(p[i], O_CLOEXEC) < 0)
			return false;
	}
	*io = (struct process_io){p[0][0], p[1][1], p[2][1]};
	*ours = (struct streams){p[0][1], p[1][0], p[2][0]};
	return true;
}

void streams_close(struct process_io *io)
{
	auto_close(&io->in);
	auto_close(&io->out);
	auto_close(&io->err);
}

int rig_start(struct rig *rig, struct streams *ours)
{
	struct process_io io;

	if (!streams_new(&io, ours))
		return -1;
	agent_start(rig->agent, &rig->setup.plan.process, &io, rig_on_reply, rig);
	streams_close(&io);
	return rig_reply(rig);
}

int rig_exec(struct rig *rig, uint32_t number, const char *script, struct streams *ours)
{
	struct plan_process p = {0};
	struct process_io io;

	if (!streams_new(&io, ours) || !rig_shell(&p, script))
		return -1;
	agent_exec(rig->agent, number, &p, &io, rig_on_reply, rig);
	record_done(&plan_process_record, &p);
	streams_close(&io);
	return rig_reply(rig);
}

const char *text_of(int fd, char *text, size_t size)
{
	struct err err = ERR_INIT;

	ssize_t n = read_upto(fd, text, size - 1, "stream", &err);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}
