/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/session.h"
#include "guest/cpus.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "base/path.h"
#include "proto/control.h"
#include "proto/message.h"
#include "proto/wire.h"

enum { PROCESSES_MAX = 4096, CALLS_MAX = 4096 };

/* An order that was handed to the isolation and is not answered yet. */
struct call {
	struct session *session;
	struct call *next;
	uint16_t type; /* of the order */
	uint32_t number, workload, process;
};

struct process {
	struct process *next;
	uint32_t process;
	bool tty;
	bool ended;
	struct process_exit exit;
};

struct session {
	struct session_config config;
	struct wire *wire;
	struct isolation *isolation; /* NULL: nothing set up */
	struct machine_setup setup; /* its plan is what the isolation borrows */
	uint32_t workload; /* the host's number of it */
	struct process *processes;
	struct call *calls;
	size_t n_processes, n_calls;
	bool over;
};

/* --- answers --- */

static void end(struct session *s, const struct err *why)
{
	if (s->over)
		return;
	s->over = true;
	s->config.over(s->config.ctx, why);
}

static void send_answer(struct session *s, uint32_t workload, const struct machine_answer *answer)
{
	struct err err = ERR_INIT;
	struct stream_id to = {.workload = workload};

	int r = wire_send(s->wire, FRAME_ANSWER, &to, &machine_answer_record, answer, &err);
	if (r == -EMSGSIZE) { /* a list of processes without end */
		struct machine_answer brief = {.number = answer->number,
					       .code = EMSGSIZE,
					       .message = err.msg};
		err.code = 0;
		r = wire_send(s->wire, FRAME_ANSWER, &to, &machine_answer_record, &brief, &err);
	}
	if (r < 0)
		end(s, &err);
}

static void answer(struct session *s, uint32_t workload, uint32_t number, const struct err *failure)
{
	struct err copy = failure ? *failure : ERR_INIT;

	send_answer(s, workload,
		    &(struct machine_answer){.number = number,
					     .code = (uint32_t)copy.code,
					     .message = copy.code ? copy.msg : NULL});
}

/* --- processes --- */

static struct process *process_find(struct session *s, uint32_t number)
{
	for (struct process *p = s->processes; p; p = p->next) {
		if (p->process == number)
			return p;
	}
	return NULL;
}

static struct process *process_add(struct session *s, uint32_t number, bool tty, struct err *err)
{
	if (process_find(s, number)) {
		(void)err_set(err, EEXIST, "process %u is in use", number);
		return NULL;
	}
	if (s->n_processes >= PROCESSES_MAX) {
		(void)err_set(err, EAGAIN, "the machine holds %d processes already", PROCESSES_MAX);
		return NULL;
	}
	struct process *p = calloc(1, sizeof(*p));
	if (!p) {
		(void)err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	p->process = number;
	p->tty = tty;
	p->next = s->processes;
	s->processes = p;
	s->n_processes++;
	return p;
}

static void process_remove(struct session *s, struct process *p)
{
	for (struct process **at = &s->processes; *at; at = &(*at)->next) {
		if (*at != p)
			continue;
		*at = p->next;
		s->n_processes--;
		record_done(&process_exit_record, &p->exit);
		free(p);
		return;
	}
}

/* The process did not start: nothing of it is kept. */
static void process_forget(struct session *s, uint32_t number)
{
	struct process *p = process_find(s, number);

	wire_drop(s->wire, s->workload, number, UINT32_MAX);
	if (p)
		process_remove(s, p);
}

static void exited(void *ctx, const struct process_exit *how)
{
	struct session *s = ctx;
	struct process *p = process_find(s, how->process);
	struct err err = ERR_INIT;

	if (!p || p->ended)
		return;
	if (record_copy(&process_exit_record, how, &p->exit, &err) < 0)
		p->exit = (struct process_exit){.process = how->process, .status = how->status};
	p->ended = true;
	wire_drop(s->wire, s->workload, p->process, 1U << 0);
	wire_settle(s->wire, s->workload, p->process);
}

static void settled(void *ctx, uint32_t workload, uint32_t number)
{
	struct session *s = ctx;
	struct process *p = process_find(s, number);
	struct stream_id to = {.workload = workload, .process = number};
	struct err err = ERR_INIT;

	if (!p)
		return;
	if (wire_send_ordered(s->wire, FRAME_EXITED, &to, &process_exit_record, &p->exit, &err) < 0)
		end(s, &err);
	process_remove(s, p);
}

static void message(void *ctx, const char *line)
{
	struct session *s = ctx;

	wire_send_log(s->wire, s->workload, line, strlen(line));
}

static const struct isolation_events isolation_events = {exited, message};

/* --- replies of the isolation --- */

static struct call *call_new(struct session *s, const struct frame *f, uint32_t number,
			     struct err *err)
{
	if (s->n_calls >= CALLS_MAX) {
		(void)err_set(err, EAGAIN, "%d orders wait already", CALLS_MAX);
		return NULL;
	}
	struct call *c = calloc(1, sizeof(*c));
	if (!c) {
		(void)err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	c->session = s;
	c->type = f->type;
	c->workload = f->workload;
	c->process = f->process;
	c->number = number;
	c->next = s->calls;
	s->calls = c;
	s->n_calls++;
	return c;
}

static void call_remove(struct call *c)
{
	struct session *s = c->session;

	for (struct call **at = &s->calls; *at; at = &(*at)->next) {
		if (*at != c)
			continue;
		*at = c->next;
		s->n_calls--;
		free(c);
		return;
	}
}

/* Connects a terminal that has just started. */
static int attach_console(struct session *s, uint32_t process, struct err *err)
{
	struct stream_id in = {s->workload, process, 0}, out = {s->workload, process, 1};

	AUTO_CLOSE int fd = s->config.ops->console(s->isolation, process, err);
	if (fd < 0)
		return fd;
	int both = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (both < 0)
		return err_sys(err, "duplicate the terminal");
	int r = wire_sink(s->wire, &in, both, err);
	return r < 0 ? r : wire_source(s->wire, &out, TAKE_FD(fd), err);
}

static void started(void *ctx, const struct err *failure, const void *nothing)
{
	struct call *c = ctx;
	struct session *s = c->session;
	struct process *p = process_find(s, c->process);
	struct err err = failure ? *failure : ERR_INIT;

	if (!failure && p && p->tty && attach_console(s, c->process, &err) < 0) {
		struct err ignored = ERR_INIT; /* it may have ended by itself */
		(void)s->config.ops->signal(s->isolation, c->process, 9, false, &ignored);
	}
	if (failure)
		process_forget(s, c->process);
	answer(s, c->workload, c->number, err.code ? &err : NULL);
	call_remove(c);
}

static void done(void *ctx, const struct err *failure, const void *what)
{
	struct call *c = ctx;
	struct machine_answer a = {.number = c->number};

	if (failure) {
		answer(c->session, c->workload, c->number, failure);
	} else {
		if (what && c->type == FRAME_STATS)
			a.stats = *(const struct isolation_stats *)what;
		if (what && c->type == FRAME_TOP)
			a.top = *(const struct isolation_top *)what;
		send_answer(c->session, c->workload, &a);
	}
	call_remove(c);
}

/* --- orders --- */

/* One end of a new pipe to or from the process is given to the wire, the other to *ret. */
static int make_stream(struct session *s, const struct stream_id *id, int *ret, struct err *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, "create a pipe");
	bool in = id->number == 0;
	*ret = ends[in ? 0 : 1];
	return in ? wire_sink(s->wire, id, ends[1], err) : wire_source(s->wire, id, ends[0], err);
}

static int make_streams(struct session *s, uint32_t process, uint32_t which, int fds[3],
			struct err *err)
{
	static const uint32_t bits[3] = {STREAM_IN, STREAM_OUT, STREAM_ERR};
	int r = 0;

	for (uint32_t i = 0; i < 3 && r == 0; i++) {
		if (which & bits[i])
			r = make_stream(s, &(struct stream_id){s->workload, process, i}, &fds[i],
					err);
	}
	return r;
}

static int launch(struct session *s, const struct frame *f, const struct machine_order *order,
		  struct err *err)
{
	bool first = f->type == FRAME_START;
	const struct plan_process *what = first ? &s->setup.plan.process : &order->process;
	int fds[3] = {-1, -1, -1};

	if (first != (f->process == 0))
		return err_set(err, EINVAL, "process %u cannot be started so", f->process);
	struct process *p = process_add(s, f->process, what->tty, err);
	if (!p)
		return -err->code;
	struct call *c = call_new(s, f, order->number, err);
	int r = c ? 0 : -err->code;
	if (r == 0 && !what->tty)
		r = make_streams(s, f->process, order->streams, fds, err);
	if (r == 0) {
		struct process_io io = {fds[0], fds[1], fds[2]};
		if (first)
			s->config.ops->start(s->isolation, &io, started, c);
		else
			s->config.ops->exec(s->isolation, f->process, what, &io, started, c);
	} else {
		if (c)
			call_remove(c);
		process_forget(s, f->process);
	}
	for (int i = 0; i < 3; i++)
		auto_close(&fds[i]);
	return r;
}

static int ask(struct session *s, const struct frame *f, const struct machine_order *order,
	       struct err *err)
{
	const struct isolation_ops *ops = s->config.ops;

	int r = f->type == FRAME_UPDATE && order->cpus > 0
			? cpus_keep_online(CPUS_FOLDER, order->cpus, err)
			: 0;
	struct call *c = r < 0 ? NULL : call_new(s, f, order->number, err);
	if (!c)
		return -err->code;
	if (f->type == FRAME_PAUSE || f->type == FRAME_RESUME)
		ops->pause(s->isolation, f->type == FRAME_PAUSE, done, c);
	else if (f->type == FRAME_UPDATE)
		ops->update(s->isolation, &order->limits, done, c);
	else if (f->type == FRAME_STATS)
		ops->stats(s->isolation, done, c);
	else
		ops->top(s->isolation, done, c);
	return 0;
}

static int change_disk(struct session *s, const struct frame *f, const struct machine_order *order,
		       struct err *err)
{
	if (!order->serial || !order->target || !path_is_clean(order->target, false))
		return err_set(err, EINVAL, "a disk without a serial number or a place");
	return s->config.disk(s->config.ctx, s->isolation, order, f->type == FRAME_DISK, err);
}

static int change_interface(struct session *s, const struct frame *f,
			    const struct machine_order *order, struct err *err)
{
	bool show = f->type == FRAME_NET;

	if (!order->target || !path_is_clean(order->target, true) ||
	    (show && (!order->mac || !order->address)))
		return err_set(err, EINVAL, "an interface without a name or an address");
	return s->config.interface(s->config.ctx, order, show, err);
}

/* Answers 1 when the answer is given later. */
static int carry_out(struct session *s, const struct frame *f, const struct machine_order *order,
		     struct err *err)
{
	int r = 0;

	if (!s->isolation || f->workload != s->workload)
		return err_set(err, ENOENT, "workload %u is not in this machine", f->workload);
	switch (f->type) {
	case FRAME_START:
	case FRAME_EXEC:
		r = launch(s, f, order, err);
		break;
	case FRAME_RESIZE:
		return s->config.ops->resize(s->isolation, f->process, order->rows, order->cols,
					     err);
	case FRAME_SIGNAL:
		return s->config.ops->signal(s->isolation, f->process, (int)order->signal,
					     order->all, err);
	case FRAME_DISK:
	case FRAME_UNDISK:
		return change_disk(s, f, order, err);
	case FRAME_NET:
	case FRAME_UNNET:
		return change_interface(s, f, order, err);
	default:
		r = ask(s, f, order, err);
		break;
	}
	return r < 0 ? r : 1;
}

static int take_order(struct session *s, const struct frame *f, struct err *err)
{
	struct machine_order order;
	struct err failure = ERR_INIT;

	int r = record_decode(&machine_order_record, f->payload, f->len, &order, err);
	if (r < 0)
		return r;
	if (carry_out(s, f, &order, &failure) <= 0)
		answer(s, f->workload, order.number, failure.code ? &failure : NULL);
	record_done(&machine_order_record, &order);
	return 0;
}

static int set_up(struct session *s, uint32_t workload, struct machine_setup *setup,
		  struct err *err)
{
	if (s->isolation)
		return err_set(err, EBUSY, "the machine holds workload %u already", s->workload);
	s->workload = workload;
	record_done(&machine_setup_record, &s->setup);
	s->setup = *setup;
	*setup = (struct machine_setup){0};
	int r = s->config.prepare(s->config.ctx, &s->setup, err);
	if (r < 0)
		return r;
	struct isolation_config config = {.plan = &s->setup.plan,
					  .state_fd = s->config.state_fd,
					  .state_path = s->config.state_path,
					  .layers_fd = s->config.layers_fd,
					  .loop = s->config.loop,
					  .events = &isolation_events,
					  .ctx = s};
	return s->config.ops->create(&config, &s->isolation, err);
}

static int take_setup(struct session *s, const struct frame *f, struct err *err)
{
	struct machine_setup setup;
	struct err failure = ERR_INIT;

	int r = record_decode(&machine_setup_record, f->payload, f->len, &setup, err);
	if (r < 0)
		return r;
	uint32_t number = setup.number;
	r = set_up(s, f->workload, &setup, &failure);
	answer(s, f->workload, number, r < 0 ? &failure : NULL);
	record_done(&machine_setup_record, &setup);
	return 0;
}

static int take_clock(struct session *s, const struct frame *f, struct err *err)
{
	const uint8_t *p = f->payload;
	uint64_t ns = 0;

	if (f->len != 8)
		return err_set(err, EPROTO, "a time of %u bytes", f->len);
	for (int i = 0; i < 8; i++)
		ns |= (uint64_t)p[i] << (8 * i);
	s->config.clock(s->config.ctx, ns);
	return 0;
}

static int take_frame(void *ctx, const struct frame *f, struct err *err)
{
	struct session *s = ctx;

	switch (f->type) {
	case FRAME_HELLO:
		return 0;
	case FRAME_SETUP:
		return take_setup(s, f, err);
	case FRAME_CLOCK:
		return take_clock(s, f, err);
	case FRAME_POWEROFF:
		end(s, NULL);
		return 0;
	default:
		return take_order(s, f, err);
	}
}

static void lost(void *ctx, const struct err *why)
{
	end(ctx, why);
}

/* --- making and ending --- */

int session_new(const struct session_config *config, struct session **ret, struct err *err)
{
	static const struct wire_events events = {take_frame, settled, lost};
	AUTO_CLOSE int fd = config->fd;

	AUTO(auto_session_free) struct session *s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	s->config = *config;
	s->config.fd = -1;
	int r = wire_new(&(struct wire_config){.loop = config->loop,
					       .fd = TAKE_FD(fd),
					       .side = CHANNEL_GUEST,
					       .program = HULL_VERSION,
					       .events = &events,
					       .ctx = s},
			 &s->wire, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

void session_free(struct session *session)
{
	if (!session)
		return;
	session->over = true;
	if (session->isolation)
		session->config.ops->delete (session->isolation);
	while (session->calls)
		call_remove(session->calls);
	while (session->processes)
		process_remove(session, session->processes);
	wire_free(session->wire);
	record_done(&machine_setup_record, &session->setup);
	free(session);
}
