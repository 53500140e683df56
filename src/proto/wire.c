/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "proto/record.h"
#include "proto/wire_impl.h"

enum { READ_SIZE = 64 * 1024, LOG_ROOM = 64 * 1024, LOG_MAX = 4096 };

static void stream_free(struct stream *s)
{
	watch_remove(&s->watch);
	auto_close(&s->fd);
	buf_done(&s->data);
	free(s);
}

void stream_kill(struct stream *s)
{
	watch_remove(&s->watch);
	auto_close(&s->fd);
	s->dead = true;
	s->wire->dirty = true;
}

void wire_enter(struct wire *w)
{
	w->inside++;
}

static void release(struct wire *w)
{
	while (w->streams) {
		struct stream *s = w->streams;
		w->streams = s->next;
		stream_free(s);
	}
	while (w->settles) {
		struct settle *s = w->settles;
		w->settles = s->next;
		free(s);
	}
	watch_remove(&w->watch);
	auto_close(&w->fd);
	timer_cancel(&w->later);
	channel_free(w->channel);
	free(w->in);
	free(w->out);
	free(w);
}

void wire_leave(struct wire *w)
{
	if (--w->inside > 0)
		return;
	if (w->freed) {
		release(w);
		return;
	}
	for (struct stream **at = &w->streams; w->dirty && *at;) {
		struct stream *s = *at;
		if (!s->dead) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		stream_free(s);
	}
	w->dirty = false;
}

void wire_free(struct wire *wire)
{
	if (!wire)
		return;
	wire_enter(wire);
	wire->freed = true;
	for (struct stream *s = wire->streams; s; s = s->next)
		stream_kill(s);
	watch_remove(&wire->watch);
	timer_cancel(&wire->later);
	auto_close(&wire->fd);
	wire_leave(wire);
}

/* --- the channel's own descriptor --- */

/* Writes what can be written. Of a failure the watch of fd tells, so it is not told here. */
void wire_flush(struct wire *w)
{
	bool blocked = w->fd < 0;

	while (!blocked) {
		size_t n;
		const void *p = channel_output(w->channel, &n);
		if (!p)
			break;
		ssize_t done = write(w->fd, p, n);
		if (done > 0)
			channel_sent(w->channel, (size_t)done);
		else if (done == 0 || errno != EINTR)
			blocked = true;
	}
	if (blocked == w->wants_write || w->fd < 0)
		return;
	struct err ignored = ERR_INIT; /* a change of what is watched already needs no memory */
	if (watch_events(w->watch, blocked ? EPOLLIN | EPOLLOUT : EPOLLIN, &ignored) == 0)
		w->wants_write = blocked;
}

void wire_close(struct wire *wire)
{
	wire->broken = true;
	watch_remove(&wire->watch);
	auto_close(&wire->fd);
}

void wire_lose(struct wire *w, const struct err *why)
{
	if (w->broken)
		return;
	wire_close(w);
	w->events.lost(w->ctx, why);
}

/* For frames without which the channel is of no use. */
void wire_must_send(struct wire *w, const struct frame *f)
{
	struct err err = ERR_INIT;

	if (w->broken || w->freed || channel_send(w->channel, f, false, &err) == 0)
		return;
	wire_lose(w, &err);
}

struct frame wire_head(enum frame_type type, const struct stream_id *to)
{
	return (struct frame){.type = (uint16_t)type,
			      .flags = (uint16_t)to->number,
			      .workload = to->workload,
			      .process = to->process};
}

/* --- settling --- */

static bool unsettled(const struct wire *w, uint32_t workload, uint32_t process)
{
	for (const struct stream *s = w->streams; s; s = s->next) {
		if (!s->dead && s->id.workload == workload && s->id.process == process &&
		    (s->sink ? s->data.len > s->head : s->draining))
			return true;
	}
	return false;
}

/* Tells of each process that has settled by now. */
static void check_settles(struct wire *w)
{
	for (struct settle **at = &w->settles; !w->freed && *at;) {
		struct settle *s = *at;
		if (unsettled(w, s->workload, s->process)) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		uint32_t workload = s->workload, process = s->process;
		free(s);
		w->events.settled(w->ctx, workload, process);
		at = &w->settles; /* the list may have changed */
	}
}

static void sources_resume(struct wire *w)
{
	for (struct stream *s = w->streams; s && !w->freed; s = s->next) {
		if (!s->sink && !s->dead && !s->watch)
			source_resume(s);
	}
}

/* Writes, and lets sources fill the room that made. */
static void move(struct wire *w)
{
	if (w->freed || w->broken)
		return;
	wire_flush(w);
	if (channel_has_room(w->channel))
		sources_resume(w);
	wire_flush(w);
}

/* What every entry from the loop ends with. */
void wire_finish(struct wire *w)
{
	move(w);
	check_settles(w);
	wire_leave(w);
}

static int look_again(void *ctx, struct err *unused)
{
	struct wire *w = ctx;

	w->later = NULL;
	wire_enter(w);
	wire_finish(w);
	return 0;
}

/* What every entry from outside ends with: nothing is told before its caller is done. */
static void wire_finish_later(struct wire *w)
{
	struct err ignored = ERR_INIT; /* without memory the next event looks */

	move(w);
	if (w->settles && !w->later && !w->freed &&
	    loop_timer(w->loop, 0, look_again, w, &w->later, &ignored) < 0)
		w->later = NULL;
	wire_leave(w);
}

/* --- messages --- */

static int send_frame(struct wire *w, const struct frame *f, bool ordered, struct err *err)
{
	if (w->broken)
		return err_set(err, EPIPE, "the channel is closed");
	wire_enter(w);
	int r = channel_send(w->channel, f, ordered, err);
	wire_finish_later(w);
	return r;
}

static int send_record(struct wire *w, const struct frame *head, const struct record *record,
		       const void *obj, bool ordered, struct err *err)
{
	AUTO_BUF struct buf b = BUF_INIT;
	struct frame f = *head;

	if (record)
		record_encode(record, obj, &b);
	int r = buf_check(&b, err);
	if (r < 0)
		return r;
	if (b.len > UINT32_MAX)
		return err_set(err, EMSGSIZE, "a message for the machine is too long");
	f.len = (uint32_t)b.len;
	f.payload = b.data;
	return send_frame(w, &f, ordered, err);
}

int wire_send(struct wire *wire, enum frame_type type, const struct stream_id *to,
	      const struct record *record, const void *obj, struct err *err)
{
	struct frame f = wire_head(type, to);

	return send_record(wire, &f, record, obj, false, err);
}

int wire_send_ordered(struct wire *wire, enum frame_type type, const struct stream_id *to,
		      const struct record *record, const void *obj, struct err *err)
{
	struct frame f = wire_head(type, to);

	return send_record(wire, &f, record, obj, true, err);
}

int wire_send_u64(struct wire *wire, enum frame_type type, uint64_t value, struct err *err)
{
	uint8_t le[8];
	struct frame f = {.type = (uint16_t)type, .len = sizeof(le), .payload = le};

	for (size_t i = 0; i < sizeof(le); i++)
		le[i] = (uint8_t)(value >> (8 * i));
	return send_frame(wire, &f, false, err);
}

void wire_send_log(struct wire *wire, uint32_t workload, const char *text, size_t n)
{
	struct err ignored = ERR_INIT; /* a lost line of a log is no failure */

	if (channel_waiting(wire->channel) > LOG_ROOM)
		return;
	(void)send_frame(wire,
			 &(struct frame){.type = FRAME_LOG,
					 .workload = workload,
					 .len = n > LOG_MAX ? LOG_MAX : (uint32_t)n,
					 .payload = text},
			 false, &ignored);
}

/* --- what comes in --- */

static struct stream *find(struct wire *w, const struct frame *f, bool sink)
{
	for (struct stream *s = w->streams; s; s = s->next) {
		if (!s->dead && s->sink == sink && s->id.workload == f->workload &&
		    s->id.process == f->process && s->id.number == (f->flags & FRAME_STREAM))
			return s;
	}
	return NULL;
}

static int take_frame(void *ctx, const struct frame *f, struct err *err)
{
	struct wire *w = ctx;
	struct stream *s;
	int r = 0;

	switch (f->type) {
	case FRAME_DATA: /* for a stream that was dropped meanwhile: thrown away */
		s = find(w, f, true);
		r = s ? sink_take(s, f, err) : 0;
		break;
	case FRAME_CREDIT:
		if (f->len != 4)
			return err_set(err, EPROTO, "credit of %u bytes' length", f->len);
		s = find(w, f, false);
		r = s ? source_take_credit(s, f, err) : 0;
		break;
	case FRAME_CLOSED:
		s = find(w, f, false);
		if (s)
			source_end(s);
		break;
	default:
		r = w->events.frame(w->ctx, f, err);
		break;
	}
	/* stops the channel's reading of what is no longer ours */
	if (r == 0 && (w->freed || w->broken))
		r = err_set(err, ECANCELED, "the channel is closed");
	return r;
}

static int channel_ready(void *ctx, int fd, uint32_t events, struct err *unused)
{
	struct wire *w = ctx;
	struct err err = ERR_INIT;
	int r = 0;

	wire_enter(w);
	ssize_t n = read(fd, w->in, READ_SIZE);
	if (n > 0)
		r = channel_receive(w->channel, w->in, (size_t)n, &err);
	else if (n == 0)
		r = err_set(&err, ECONNRESET, "the other end closed the channel");
	else if (errno != EAGAIN && errno != EINTR)
		r = err_sys(&err, "read the channel");
	if (r < 0 && !w->freed)
		wire_lose(w, &err);
	wire_finish(w);
	return 0;
}

/* --- making and ending --- */

int wire_new(const struct wire_config *config, struct wire **ret, struct err *err)
{
	AUTO_CLOSE int fd = config->fd;
	AUTO(auto_wire_free) struct wire *w = calloc(1, sizeof(*w));
	if (!w)
		return err_set(err, ENOMEM, "out of memory");
	w->fd = -1;
	w->loop = config->loop;
	w->events = *config->events;
	w->ctx = config->ctx;
	w->in = malloc(READ_SIZE);
	w->out = malloc(FRAME_DATA_MAX);
	if (!w->in || !w->out)
		return err_set(err, ENOMEM, "out of memory");
	int r = channel_new(config->side, config->program, take_frame, w, &w->channel, err);
	if (r < 0)
		return r;
	if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return err_sys(err, "make the channel non-blocking");
	r = loop_watch(w->loop, fd, EPOLLIN, channel_ready, w, &w->watch, err);
	if (r < 0)
		return r;
	w->fd = TAKE_FD(fd);
	wire_flush(w);
	*ret = TAKE_PTR(w);
	return 0;
}

int stream_new(struct wire *w, const struct stream_id *id, int taken, bool sink,
	       struct stream **ret, struct err *err)
{
	AUTO_CLOSE int fd = taken;

	assert(id->number <= FRAME_STREAM);
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return err_sys(err, "make a stream non-blocking");
	struct stream *s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	s->wire = w;
	s->id = *id;
	s->sink = sink;
	s->credit = CHANNEL_WINDOW;
	s->fd = TAKE_FD(fd);
	s->next = w->streams;
	w->streams = s;
	*ret = s;
	return 0;
}

void wire_drop(struct wire *wire, uint32_t workload, uint32_t process, uint32_t mask)
{
	wire_enter(wire);
	for (struct stream *s = wire->streams; s; s = s->next) {
		if (!s->dead && s->id.workload == workload && s->id.process == process &&
		    (mask & (1U << s->id.number)))
			stream_kill(s);
	}
	wire_leave(wire);
}

void wire_settle(struct wire *wire, uint32_t workload, uint32_t process)
{
	struct settle *new = calloc(1, sizeof(*new));

	wire_enter(wire);
	if (!new) { /* better early than never */
		wire->events.settled(wire->ctx, workload, process);
		wire_leave(wire);
		return;
	}
	new->workload = workload;
	new->process = process;
	new->next = wire->settles;
	wire->settles = new;
	for (struct stream *s = wire->streams; s; s = s->next) {
		if (s->dead || s->sink || s->id.workload != workload || s->id.process != process)
			continue;
		s->draining = !wire->broken;
		source_resume(s);
	}
	wire_finish_later(wire);
}
