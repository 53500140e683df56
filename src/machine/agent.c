/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events and replies may free the agent's end that calls them. Where something follows such a call,
 * `gone` tells: it points to a local of the caller that agent_free() sets.
 */
#include "machine/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "proto/control.h"
#include "proto/wire.h"

enum { WORKLOAD = 1, CALLS_MAX = 1024, SEED_SIZE = 64, LINES_A_SECOND = 500, KILLED = 128 + 9 };

/* An order whose answer is due. */
struct call {
	struct call *next;
	uint16_t type;
	uint32_t number, process;
	isolation_reply *reply; /* NULL: nobody waits */
	void *ctx;
};

struct process {
	struct process *next;
	uint32_t number;
	bool started, ended;
	int console; /* the caller's end of a terminal, until asked for; -1 */
	int terminal; /* our end, until it is read; -1 */
	struct process_exit exit;
};

struct agent {
	struct agent_config config;
	struct wire *wire;
	struct call *calls;
	struct process *processes;
	uint32_t number; /* of the last order */
	size_t n_calls;
	uint64_t hello_us; /* when it said so */
	uint64_t second; /* in which `lines` were passed on */
	uint32_t lines;
	bool *gone;
};

/* A guest's text for a terminal: no control characters. */
static void clean(char *text)
{
	for (char *c = text; c && *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	}
}

/* --- processes --- */

static struct process *process_find(struct agent *a, uint32_t number)
{
	for (struct process *p = a->processes; p; p = p->next) {
		if (p->number == number)
			return p;
	}
	return NULL;
}

static void process_remove(struct agent *a, struct process *p)
{
	for (struct process **at = &a->processes; *at; at = &(*at)->next) {
		if (*at != p)
			continue;
		*at = p->next;
		auto_close(&p->console);
		auto_close(&p->terminal);
		record_done(&process_exit_record, &p->exit);
		free(p);
		return;
	}
}

/* NULL with err set on failure. */
static struct process *process_add(struct agent *a, uint32_t number, struct err *err)
{
	if (process_find(a, number)) {
		(void)err_set(err, EEXIST, "process %u is in use", number);
		return NULL;
	}
	struct process *p = calloc(1, sizeof(*p));
	if (!p) {
		(void)err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	/* a child of an earlier process of this number may still hold its streams */
	wire_drop(a->wire, WORKLOAD, number, UINT32_MAX);
	p->number = number;
	p->console = -1;
	p->terminal = -1;
	p->next = a->processes;
	a->processes = p;
	return p;
}

/* Tells that p has ended and forgets it; answers whether a is still there. */
static bool tell_exit(struct agent *a, struct process *p)
{
	struct process_exit exit = p->exit;
	bool started = p->started, gone = false;
	bool *outer = a->gone;

	p->exit = (struct process_exit){0};
	process_remove(a, p);
	a->gone = &gone;
	if (started)
		a->config.events->exited(a->config.events_ctx, &exit);
	if (!gone)
		a->gone = outer;
	else if (outer)
		*outer = true;
	record_done(&process_exit_record, &exit);
	return !gone;
}

/* With the workload's first process all others have ended, whatever the guest says. */
static bool tell_others(struct agent *a)
{
	struct process *p = a->processes;

	while (p) {
		if (p->number == 0) {
			p = p->next;
			continue;
		}
		if (!p->ended)
			p->exit = (struct process_exit){.process = p->number, .status = KILLED};
		if (!tell_exit(a, p))
			return false;
		p = a->processes;
	}
	return true;
}

static void settled(void *ctx, uint32_t workload, uint32_t number)
{
	struct agent *a = ctx;

	if (number == 0 && !tell_others(a))
		return;
	struct process *p = process_find(a, number);
	if (p)
		(void)tell_exit(a, p);
}

static int take_exit(struct agent *a, const struct frame *f, struct err *err)
{
	struct process *p = process_find(a, f->process);
	struct process_exit exit;

	if (!p || !p->started || p->ended)
		return err_set(err, EPROTO, "the exit of process %u, which does not run",
			       f->process);
	int r = record_decode(&process_exit_record, f->payload, f->len, &exit, err);
	if (r < 0)
		return r;
	if (exit.process != f->process || exit.status > 255) {
		record_done(&process_exit_record, &exit);
		return err_set(err, EPROTO, "an impossible exit of process %u", f->process);
	}
	clean(exit.reason);
	p->exit = exit;
	p->ended = true;
	wire_drop(a->wire, WORKLOAD, p->number, 1U << 0);
	wire_settle(a->wire, WORKLOAD, p->number);
	return 0;
}

/* --- answers --- */

static void call_free(struct agent *a, struct call *c)
{
	for (struct call **at = &a->calls; *at; at = &(*at)->next) {
		if (*at != c)
			continue;
		*at = c->next;
		a->n_calls--;
		free(c);
		return;
	}
}

/* The end of a call about starting a process. */
static void start_done(struct agent *a, const struct call *c, struct err *failure)
{
	struct process *p = process_find(a, c->process);
	struct stream_id in = {.workload = WORKLOAD, .process = c->process};

	if (!p)
		return;
	if (failure->code) {
		wire_drop(a->wire, WORKLOAD, p->number, UINT32_MAX);
		process_remove(a, p);
		return;
	}
	p->started = true;
	struct err ignored = ERR_INIT; /* a terminal without input; it still shows */
	if (p->terminal >= 0 && wire_source(a->wire, &in, TAKE_FD(p->terminal), &ignored) < 0)
		auto_close(&p->terminal);
}

/* Ends the call with its reply; a may be gone afterwards. */
static void call_done(struct agent *a, struct call *c, struct err *failure, const void *what)
{
	isolation_reply *reply = c->reply;
	void *ctx = c->ctx;

	if (c->type == FRAME_START || c->type == FRAME_EXEC)
		start_done(a, c, failure);
	call_free(a, c);
	if (reply)
		reply(ctx, failure->code ? failure : NULL, what);
}

static int take_answer(struct agent *a, const struct frame *f, struct err *err)
{
	struct machine_answer answer;
	struct err failure = ERR_INIT;
	const void *what = NULL;

	int r = record_decode(&machine_answer_record, f->payload, f->len, &answer, err);
	if (r < 0)
		return r;
	struct call *c = a->calls;
	while (c && c->number != answer.number)
		c = c->next;
	if (!c) {
		r = err_set(err, EPROTO, "an answer to order %u, which was not given",
			    answer.number);
	} else {
		clean(answer.message);
		if (answer.code)
			(void)err_set(&failure, answer.code < 4096 ? (int)answer.code : EIO, "%s",
				      answer.message ? answer.message : "no reason given");
		else if (c->type == FRAME_STATS)
			what = &answer.stats;
		else if (c->type == FRAME_TOP)
			what = &answer.top;
		call_done(a, c, &failure, what);
	}
	record_done(&machine_answer_record, &answer);
	return r;
}

/* What a guest writes without end is not passed on without end. */
static void take_log(struct agent *a, const struct frame *f)
{
	uint64_t now = clock_ms() / 1000;
	bool first = a->second != now;

	if (first) {
		a->second = now;
		a->lines = 0;
	}
	if (++a->lines > LINES_A_SECOND)
		return;
	char *line = strndup(f->payload, f->len);
	if (!line)
		return;
	clean(line);
	a->config.events->message(a->config.events_ctx, line);
	free(line);
}

/* The guest has come up: a clock chip told its kernel the time in whole seconds. */
static int tell_time(struct agent *a, struct err *err)
{
	struct timespec now;

	if (clock_gettime(CLOCK_REALTIME, &now) < 0)
		return err_sys(err, "read the clock");
	return wire_send_u64(a->wire, FRAME_CLOCK,
			     (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec, err);
}

static int take_frame(void *ctx, const struct frame *f, struct err *err)
{
	struct agent *a = ctx;

	switch (f->type) {
	case FRAME_HELLO:
		a->hello_us = clock_us();
		return tell_time(a, err);
	case FRAME_ANSWER:
		return take_answer(a, f, err);
	case FRAME_EXITED:
		return take_exit(a, f, err);
	case FRAME_LOG:
		take_log(a, f);
		return 0;
	default:
		return err_set(err, EPROTO, "a frame of unknown type %u", f->type);
	}
}

static void lost(void *ctx, const struct err *why)
{
	struct agent *a = ctx;

	a->config.lost(a->config.lost_ctx, why);
}

/* --- orders --- */

/* Remembers the order and gives it its number. */
static int call_new(struct agent *a, struct call call, uint32_t *ret_number, struct err *err)
{
	if (a->n_calls >= CALLS_MAX)
		return err_set(err, EAGAIN, "the machine's agent does not answer");
	struct call *c = malloc(sizeof(*c));
	if (!c)
		return err_set(err, ENOMEM, "out of memory");
	*c = call;
	c->number = *ret_number = ++a->number;
	c->next = a->calls;
	a->calls = c;
	a->n_calls++;
	return 0;
}

static int give(struct agent *a, const struct call *call, struct machine_order *order,
		struct err *err)
{
	struct stream_id to = {.workload = WORKLOAD, .process = call->process};

	int r = call_new(a, *call, &order->number, err);
	if (r < 0)
		return r;
	r = wire_send(a->wire, call->type, &to, &machine_order_record, order, err);
	if (r < 0)
		call_free(a, a->calls);
	return r;
}

/* An order whose failure to be sent is its reply. */
static void ask(struct agent *a, const struct call *call, struct machine_order *order)
{
	struct err err = ERR_INIT;

	if (give(a, call, order, &err) < 0)
		call->reply(call->ctx, &err, NULL);
}

void agent_setup(struct agent *agent, struct machine_setup *setup, isolation_reply *reply,
		 void *ctx)
{
	struct call call = {.type = FRAME_SETUP, .reply = reply, .ctx = ctx};
	struct stream_id to = {.workload = WORKLOAD};
	struct err err = ERR_INIT;

	int r = call_new(agent, call, &setup->number, &err);
	if (r == 0) {
		r = wire_send(agent->wire, FRAME_SETUP, &to, &machine_setup_record, setup, &err);
		if (r < 0)
			call_free(agent, agent->calls);
	}
	if (r < 0)
		reply(ctx, &err, NULL);
}

static int make_terminal(struct agent *a, struct process *p, struct err *err)
{
	struct stream_id out = {WORKLOAD, p->number, 1};
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(err, "create a socket pair");
	p->console = ends[0];
	p->terminal = ends[1];
	int fd = fcntl(p->terminal, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? err_sys(err, "duplicate a socket") : wire_sink(a->wire, &out, fd, err);
}

static int make_streams(struct agent *a, struct process *p, const struct process_io *io,
			uint32_t *ret_bits, struct err *err)
{
	static const uint32_t bits[3] = {STREAM_IN, STREAM_OUT, STREAM_ERR};
	int fds[3] = {io->in, io->out, io->err};
	int r = 0;

	for (uint32_t i = 0; i < 3 && r == 0; i++) {
		struct stream_id id = {WORKLOAD, p->number, i};
		if (fds[i] < 0)
			continue;
		int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		if (fd < 0)
			return err_sys(err, "duplicate a stream");
		*ret_bits |= bits[i];
		r = i == 0 ? wire_source(a->wire, &id, fd, err) : wire_sink(a->wire, &id, fd, err);
	}
	return r;
}

static void launch(struct agent *a, const struct call *call, struct machine_order *order, bool tty,
		   const struct process_io *io)
{
	struct err err = ERR_INIT;
	struct process *p = process_add(a, call->process, &err);
	int r = p ? 0 : -err.code;

	if (p) {
		r = tty ? make_terminal(a, p, &err) : make_streams(a, p, io, &order->streams, &err);
		if (r == 0)
			r = give(a, call, order, &err);
		if (r < 0) {
			wire_drop(a->wire, WORKLOAD, p->number, UINT32_MAX);
			process_remove(a, p);
		}
	}
	if (r < 0)
		call->reply(call->ctx, &err, NULL);
}

void agent_start(struct agent *agent, const struct plan_process *what, const struct process_io *io,
		 isolation_reply *reply, void *ctx)
{
	struct call call = {.type = FRAME_START, .reply = reply, .ctx = ctx};
	struct machine_order order = {0};

	launch(agent, &call, &order, what->tty, io);
}

void agent_exec(struct agent *agent, uint32_t process, const struct plan_process *what,
		const struct process_io *io, isolation_reply *reply, void *ctx)
{
	struct call call = {.type = FRAME_EXEC, .process = process, .reply = reply, .ctx = ctx};
	struct machine_order order = {.process = *what}; /* borrowed */

	launch(agent, &call, &order, what->tty, io);
}

int agent_console(struct agent *agent, uint32_t process, struct err *err)
{
	struct process *p = process_find(agent, process);

	if (!p || p->console < 0)
		return err_set(err, ENOENT, "process %u has no terminal", process);
	return TAKE_FD(p->console);
}

int agent_resize(struct agent *agent, uint32_t process, uint32_t rows, uint32_t cols,
		 struct err *err)
{
	if (!process_find(agent, process))
		return err_set(err, ESRCH, "process %u does not run", process);
	return give(agent, &(struct call){.type = FRAME_RESIZE, .process = process},
		    &(struct machine_order){.rows = rows, .cols = cols}, err);
}

int agent_signal(struct agent *agent, uint32_t process, int sig, bool all, struct err *err)
{
	if (!process_find(agent, process))
		return err_set(err, ESRCH, "process %u does not run", process);
	return give(agent, &(struct call){.type = FRAME_SIGNAL, .process = process},
		    &(struct machine_order){.signal = (uint32_t)sig, .all = all}, err);
}

void agent_pause(struct agent *agent, bool paused, isolation_reply *reply, void *ctx)
{
	uint16_t type = paused ? FRAME_PAUSE : FRAME_RESUME;

	ask(agent, &(struct call){.type = type, .reply = reply, .ctx = ctx},
	    &(struct machine_order){0});
}

void agent_update(struct agent *agent, const struct plan_limits *limits, uint32_t cpus,
		  isolation_reply *reply, void *ctx)
{
	struct plan_limits inside = *limits;

	inside.blkio = (struct list){0};
	ask(agent, &(struct call){.type = FRAME_UPDATE, .reply = reply, .ctx = ctx},
	    &(struct machine_order){.limits = inside, .cpus = cpus});
}

void agent_show_disk(struct agent *agent, struct machine_order *order, isolation_reply *reply,
		     void *ctx)
{
	ask(agent, &(struct call){.type = FRAME_DISK, .reply = reply, .ctx = ctx}, order);
}

void agent_hide_disk(struct agent *agent, struct machine_order *order, isolation_reply *reply,
		     void *ctx)
{
	ask(agent, &(struct call){.type = FRAME_UNDISK, .reply = reply, .ctx = ctx}, order);
}

void agent_show_interface(struct agent *agent, struct machine_order *order, isolation_reply *reply,
			  void *ctx)
{
	ask(agent, &(struct call){.type = FRAME_NET, .reply = reply, .ctx = ctx}, order);
}

void agent_hide_interface(struct agent *agent, struct machine_order *order, isolation_reply *reply,
			  void *ctx)
{
	ask(agent, &(struct call){.type = FRAME_UNNET, .reply = reply, .ctx = ctx}, order);
}

void agent_stats(struct agent *agent, isolation_reply *reply, void *ctx)
{
	ask(agent, &(struct call){.type = FRAME_STATS, .reply = reply, .ctx = ctx},
	    &(struct machine_order){0});
}

void agent_top(struct agent *agent, isolation_reply *reply, void *ctx)
{
	ask(agent, &(struct call){.type = FRAME_TOP, .reply = reply, .ctx = ctx},
	    &(struct machine_order){0});
}

uint64_t agent_hello_us(const struct agent *agent)
{
	return agent->hello_us;
}

int agent_poweroff(struct agent *agent, struct err *err)
{
	struct stream_id machine = {0};

	return wire_send(agent->wire, FRAME_POWEROFF, &machine, NULL, NULL, err);
}

/* --- making and ending --- */

static int share(struct plan_mount *m, struct strv *shares, struct err *err)
{
	char *entry = NULL;

	if (asprintf(&entry, "%s/%zu", MACHINE_SHARE, shares->n) < 0)
		return err_set(err, ENOMEM, "out of memory");
	int r = strv_add(shares, m->source, err);
	free(m->source);
	m->source = entry;
	m->make_source = false;
	m->source_real = false;
	return r;
}

static int share_binds(struct plan *plan, struct strv *shares, struct err *err)
{
	struct plan_mount *m = plan->mounts.items;
	int r = 0;

	for (size_t i = 0; i < plan->mounts.n && r == 0; i++) {
		if (!m[i].type || strcmp(m[i].type, "bind") == 0)
			r = share(&m[i], shares, err);
	}
	return r;
}

int agent_prepare(const struct plan *plan, const char *tag, struct machine_setup *ret,
		  struct strv *shares, struct err *err)
{
	struct machine_setup setup = {0};
	struct plan bare = *plan; /* borrowed, like all of its members */
	uint8_t seed[SEED_SIZE];

	bare.machine = (struct plan_machine){0};
	bare.joins = (struct list){0};
	bare.root.layers = bare.root.lower = (struct strv){0};
	bare.root.path = bare.root.upper = bare.root.work = NULL;
	bare.root.size_max = 0;
	bare.limits.blkio = (struct list){0}; /* of the host's devices: the monitor's matter */
	bare.namespaces &= ~(uint64_t)CLONE_NEWNET; /* the machine is that */
	int r = record_copy(&plan_record, &bare, &setup.plan, err);
	if (r == 0)
		r = share_binds(&setup.plan, shares, err);
	if (r == 0 && shares->n > 0 && !(setup.share_tag = strdup(tag)))
		r = err_set(err, ENOMEM, "out of memory");
	if (r == 0 && getrandom(seed, sizeof(seed), 0) == SEED_SIZE)
		r = bytes_set(&setup.seed, seed, sizeof(seed), err);
	if (r < 0) {
		record_done(&machine_setup_record, &setup);
		return r;
	}
	*ret = setup;
	return 0;
}

int agent_new(const struct agent_config *config, struct agent **ret, struct err *err)
{
	static const struct wire_events events = {take_frame, settled, lost};
	AUTO_CLOSE int fd = config->fd;

	AUTO(auto_agent_free) struct agent *a = calloc(1, sizeof(*a));
	if (!a)
		return err_set(err, ENOMEM, "out of memory");
	a->config = *config;
	int r = wire_new(&(struct wire_config){.loop = config->loop,
					       .fd = TAKE_FD(fd),
					       .side = CHANNEL_HOST,
					       .program = HULL_VERSION,
					       .events = &events,
					       .ctx = a},
			 &a->wire, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(a);
	return 0;
}

void agent_free(struct agent *agent)
{
	if (!agent)
		return;
	if (agent->gone)
		*agent->gone = true;
	while (agent->calls)
		call_free(agent, agent->calls);
	while (agent->processes)
		process_remove(agent, agent->processes);
	wire_free(agent->wire);
	free(agent);
}

void agent_end(struct agent *agent, const char *reason)
{
	bool gone = false;
	bool *outer = agent->gone;
	struct err err = ERR_INIT;
	AUTO_FREE char *why = reason ? strdup(reason) : NULL;
	struct process_exit killed = {.status = KILLED, .reason = why};

	(void)err_set(&err, ECONNRESET, "the machine has ended%s%s", reason ? ": " : "",
		      reason ? reason : "");
	wire_close(agent->wire);
	agent->gone = &gone;
	while (!gone && agent->calls)
		call_done(agent, agent->calls, &err, NULL);
	if (gone) {
		if (outer)
			*outer = true;
		return;
	}
	agent->gone = outer;
	for (struct process *p = agent->processes; p; p = p->next) {
		if (p->ended)
			continue;
		if (record_copy(&process_exit_record, &killed, &p->exit, &err) < 0)
			p->exit.status = KILLED; /* without its reason */
		p->exit.process = p->number;
		p->ended = true;
		wire_drop(agent->wire, WORKLOAD, p->number, 1U << 0);
		wire_settle(agent->wire, WORKLOAD, p->number);
	}
}
