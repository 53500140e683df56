/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever calls out (frame, settled, lost) may free the wire. So everything that can call out
 * stands between enter() and leave(): within, streams and the wire itself are only marked dead, and
 * leave() frees them when nobody is left inside.
 */
#include "proto/wire.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "proto/record.h"

enum { READ_SIZE = 64 * 1024, LOG_ROOM = 64 * 1024, LOG_MAX = 4096 };

struct stream {
	struct wire *wire;
	struct stream *next;
	struct stream_id id;
	bool sink, dead;
	int fd; /* -1: a sink whose reader is gone */
	struct watch *watch; /* NULL: not waiting for fd */
	uint32_t credit; /* source: may still be sent; sink: may still come */
	bool draining; /* source: part of a settling, and more may be readable */
	struct buf data; /* sink: not written yet */
	size_t head; /* what of data is written */
	uint32_t eaten; /* written since credit was last given */
	bool end; /* sink: nothing follows data */
};

struct settle {
	struct settle *next;
	uint32_t workload, process;
};

struct wire {
	struct loop *loop;
	int fd;
	struct watch *watch;
	bool wants_write;
	bool broken; /* `lost` was told */
	bool freed;
	bool dirty; /* some stream is dead */
	unsigned inside;
	struct channel *channel;
	struct wire_events events;
	void *ctx;
	struct stream *streams;
	struct settle *settles;
	struct timer *later; /* to look at the settles from the loop */
	char *in; /* READ_SIZE bytes, of the channel */
	char *out; /* FRAME_DATA_MAX bytes, of a source */
};

static void stream_free(struct stream *s)
{
	watch_remove(&s->watch);
	auto_close(&s->fd);
	buf_done(&s->data);
	free(s);
}

static void stream_kill(struct stream *s)
{
	watch_remove(&s->watch);
	auto_close(&s->fd);
	s->dead = true;
	s->wire->dirty = true;
}

static void enter(struct wire *w)
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

static void leave(struct wire *w)
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
	enter(wire);
	wire->freed = true;
	for (struct stream *s = wire->streams; s; s = s->next)
		stream_kill(s);
	watch_remove(&wire->watch);
	timer_cancel(&wire->later);
	auto_close(&wire->fd);
	leave(wire);
}

/* --- the channel's own descriptor --- */

/* Writes what can be written. Of a failure the watch of fd tells, so it is not told here. */
static void flush(struct wire *w)
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

static void lose(struct wire *w, const struct err *why)
{
	if (w->broken)
		return;
	wire_close(w);
	w->events.lost(w->ctx, why);
}

/* For frames without which the channel is of no use. */
static void must_send(struct wire *w, const struct frame *f)
{
	struct err err = ERR_INIT;

	if (w->broken || w->freed || channel_send(w->channel, f, false, &err) == 0)
		return;
	lose(w, &err);
}

static struct frame head_of(enum frame_type type, const struct stream_id *to)
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

/* --- sources --- */

static watch_fn source_ready;

static void source_end(struct stream *s)
{
	struct frame f = head_of(FRAME_DATA, &s->id);
	struct err err = ERR_INIT;

	f.flags |= FRAME_END;
	s->draining = false;
	stream_kill(s);
	if (!s->wire->broken && channel_send(s->wire->channel, &f, true, &err) < 0)
		lose(s->wire, &err);
}

/* Reads once; answers whether there may be more. */
static bool source_read(struct stream *s)
{
	struct wire *w = s->wire;
	size_t most = s->credit < FRAME_DATA_MAX ? s->credit : FRAME_DATA_MAX;
	struct err err = ERR_INIT;

	ssize_t n = read(s->fd, w->out, most);
	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && errno == EAGAIN) {
		s->draining = false;
		return false;
	}
	if (n <= 0) { /* the end; so is EIO of a terminal that nobody holds open */
		source_end(s);
		return false;
	}
	struct frame f = head_of(FRAME_DATA, &s->id);
	f.len = (uint32_t)n;
	f.payload = w->out;
	s->credit -= f.len;
	if (channel_send(w->channel, &f, true, &err) < 0) {
		lose(w, &err);
		return false;
	}
	return true;
}

static bool source_may_read(const struct stream *s)
{
	return !s->dead && !s->wire->broken && s->credit > 0 && channel_has_room(s->wire->channel);
}

/* A source that may not read is not watched at all: a hang-up would be told without end. */
static void source_arm(struct stream *s)
{
	struct err err = ERR_INIT;

	if (!source_may_read(s))
		watch_remove(&s->watch);
	else if (!s->watch &&
		 loop_watch(s->wire->loop, s->fd, EPOLLIN, source_ready, s, &s->watch, &err) < 0)
		source_end(s);
}

/* Goes on after there is room or credit again. */
static void source_resume(struct stream *s)
{
	while (s->draining && source_may_read(s) && source_read(s))
		flush(s->wire);
	source_arm(s);
}

static void resume_sources(struct wire *w)
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
	flush(w);
	if (channel_has_room(w->channel))
		resume_sources(w);
	flush(w);
}

/* What every entry from the loop ends with. */
static void finish(struct wire *w)
{
	move(w);
	check_settles(w);
	leave(w);
}

static int look_again(void *ctx, struct err *unused)
{
	struct wire *w = ctx;

	w->later = NULL;
	enter(w);
	finish(w);
	return 0;
}

/* What every entry from outside ends with: nothing is told before its caller is done. */
static void finish_later(struct wire *w)
{
	struct err ignored = ERR_INIT; /* without memory the next event looks */

	move(w);
	if (w->settles && !w->later && !w->freed &&
	    loop_timer(w->loop, 0, look_again, w, &w->later, &ignored) < 0)
		w->later = NULL;
	leave(w);
}

static int source_ready(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct stream *s = ctx;
	struct wire *w = s->wire;

	enter(w);
	if (source_may_read(s))
		(void)source_read(s);
	if (!s->dead)
		source_arm(s);
	finish(w);
	return 0;
}

/* --- messages --- */

static int send_frame(struct wire *w, const struct frame *f, bool ordered, struct err *err)
{
	if (w->broken)
		return err_set(err, EPIPE, "the channel is closed");
	enter(w);
	int r = channel_send(w->channel, f, ordered, err);
	finish_later(w);
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
	struct frame f = head_of(type, to);

	return send_record(wire, &f, record, obj, false, err);
}

int wire_send_ordered(struct wire *wire, enum frame_type type, const struct stream_id *to,
		      const struct record *record, const void *obj, struct err *err)
{
	struct frame f = head_of(type, to);

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

/* --- sinks --- */

static watch_fn sink_ready;

static void give_credit(struct stream *s, uint32_t n)
{
	struct frame f = head_of(FRAME_CREDIT, &s->id);
	uint8_t le[4] = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24)};

	f.len = sizeof(le);
	f.payload = le;
	s->credit += n;
	must_send(s->wire, &f);
}

static void sink_ate(struct stream *s, size_t n)
{
	s->eaten += (uint32_t)n;
	if (s->eaten < CHANNEL_WINDOW / 2 || s->end)
		return;
	give_credit(s, s->eaten);
	s->eaten = 0;
}

/* The reader is gone: what still comes is thrown away. */
static void sink_break(struct stream *s)
{
	struct frame f = head_of(FRAME_CLOSED, &s->id);

	watch_remove(&s->watch);
	auto_close(&s->fd);
	buf_done(&s->data);
	s->head = 0;
	if (s->end)
		stream_kill(s);
	else
		must_send(s->wire, &f);
}

/* Writes n bytes as far as they are taken; answers how many were, negative when nobody reads. */
static ssize_t sink_write(struct stream *s, const char *p, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t w = write(s->fd, p + done, n - done);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0 && errno == EAGAIN)
			break;
		if (w < 0)
			return -1;
		done += (size_t)w;
	}
	if (done > 0)
		sink_ate(s, done);
	return (ssize_t)done;
}

/* Waits for room while something is to be written, and else for the reader to go away. */
static void sink_arm(struct stream *s)
{
	struct err err = ERR_INIT;
	uint32_t events = s->data.len > s->head ? EPOLLOUT : 0;
	int r = 0;

	if (s->dead || s->fd < 0)
		return;
	if (!s->watch)
		r = loop_watch(s->wire->loop, s->fd, events, sink_ready, s, &s->watch, &err);
	else
		r = watch_events(s->watch, events, &err);
	if (r < 0)
		sink_break(s);
}

/* After the last byte was written. Whoever reads a socket sees its end although a source of the
 * same socket is still open. */
static void sink_end(struct stream *s)
{
	(void)shutdown(s->fd, SHUT_WR);
	stream_kill(s);
}

static void sink_run(struct stream *s)
{
	ssize_t n = sink_write(s, s->data.data + s->head, s->data.len - s->head);

	if (n < 0) {
		sink_break(s);
		return;
	}
	s->head += (size_t)n;
	if (s->head == s->data.len) {
		buf_clear(&s->data);
		s->head = 0;
		if (s->end) {
			sink_end(s);
			return;
		}
	}
	sink_arm(s);
}

static int sink_ready(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct stream *s = ctx;
	struct wire *w = s->wire;

	enter(w);
	if (s->data.len > s->head)
		sink_run(s);
	else if (events & (EPOLLERR | EPOLLHUP))
		sink_break(s);
	finish(w);
	return 0;
}

/* --- frames of streams --- */

static struct stream *find(struct wire *w, const struct frame *f, bool sink)
{
	for (struct stream *s = w->streams; s; s = s->next) {
		if (!s->dead && s->sink == sink && s->id.workload == f->workload &&
		    s->id.process == f->process && s->id.number == (f->flags & FRAME_STREAM))
			return s;
	}
	return NULL;
}

static int take_data(struct stream *s, const struct frame *f, struct err *err)
{
	const char *p = f->payload;
	size_t n = f->len;

	if (s->end)
		return err_set(err, EPROTO, "more of a stream after its end");
	if (f->len > s->credit)
		return err_set(err, EPROTO, "%u bytes of a stream where %u were allowed", f->len,
			       s->credit);
	s->credit -= f->len;
	s->end = f->flags & FRAME_END;
	if (s->fd < 0) {
		if (s->end)
			stream_kill(s);
		return 0;
	}
	if (s->data.len == s->head && n > 0) {
		ssize_t done = sink_write(s, p, n);
		if (done < 0) {
			sink_break(s);
			return 0;
		}
		p += done;
		n -= (size_t)done;
	}
	if (s->head > CHANNEL_WINDOW) {
		buf_consume(&s->data, s->head);
		s->head = 0;
	}
	buf_add(&s->data, p, n);
	if (buf_check(&s->data, err) < 0)
		return -err->code;
	if (s->end && s->data.len == s->head)
		sink_end(s);
	else
		sink_arm(s);
	return 0;
}

static int take_credit(struct stream *s, const struct frame *f, struct err *err)
{
	const uint8_t *p = f->payload;

	uint32_t n = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
		     (uint32_t)p[3] << 24;
	if (n > CHANNEL_WINDOW - s->credit)
		return err_set(err, EPROTO, "credit of %u bytes beyond the window", n);
	s->credit += n;
	source_resume(s);
	return 0;
}

static int take_frame(void *ctx, const struct frame *f, struct err *err)
{
	struct wire *w = ctx;
	struct stream *s;
	int r = 0;

	switch (f->type) {
	case FRAME_DATA: /* for a stream that was dropped meanwhile: thrown away */
		s = find(w, f, true);
		r = s ? take_data(s, f, err) : 0;
		break;
	case FRAME_CREDIT:
		if (f->len != 4)
			return err_set(err, EPROTO, "credit of %u bytes' length", f->len);
		s = find(w, f, false);
		r = s ? take_credit(s, f, err) : 0;
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

	enter(w);
	ssize_t n = read(fd, w->in, READ_SIZE);
	if (n > 0)
		r = channel_receive(w->channel, w->in, (size_t)n, &err);
	else if (n == 0)
		r = err_set(&err, ECONNRESET, "the other end closed the channel");
	else if (errno != EAGAIN && errno != EINTR)
		r = err_sys(&err, "read the channel");
	if (r < 0 && !w->freed)
		lose(w, &err);
	finish(w);
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
	flush(w);
	*ret = TAKE_PTR(w);
	return 0;
}

static int stream_new(struct wire *w, const struct stream_id *id, int taken, bool sink,
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

int wire_source(struct wire *wire, const struct stream_id *id, int fd, struct err *err)
{
	struct stream *s;

	int r = stream_new(wire, id, fd, false, &s, err);
	if (r < 0)
		return r;
	enter(wire);
	source_arm(s);
	leave(wire);
	return 0;
}

int wire_sink(struct wire *wire, const struct stream_id *id, int fd, struct err *err)
{
	struct stream *s;

	int r = stream_new(wire, id, fd, true, &s, err);
	if (r < 0)
		return r;
	enter(wire);
	sink_arm(s);
	leave(wire);
	return 0;
}

void wire_drop(struct wire *wire, uint32_t workload, uint32_t process, uint32_t mask)
{
	enter(wire);
	for (struct stream *s = wire->streams; s; s = s->next) {
		if (!s->dead && s->id.workload == workload && s->id.process == process &&
		    (mask & (1U << s->id.number)))
			stream_kill(s);
	}
	leave(wire);
}

void wire_settle(struct wire *wire, uint32_t workload, uint32_t process)
{
	struct settle *new = calloc(1, sizeof(*new));

	enter(wire);
	if (!new) { /* better early than never */
		wire->events.settled(wire->ctx, workload, process);
		leave(wire);
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
	finish_later(wire);
}
