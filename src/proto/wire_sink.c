/* SPDX-License-Identifier: Apache-2.0 */
/* Streams from the other side to here. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "proto/wire_impl.h"

static watch_fn sink_ready;

static void give_credit(struct stream *s, uint32_t n)
{
	struct frame f = wire_head(FRAME_CREDIT, &s->id);
	uint8_t le[4] = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24)};

	f.len = sizeof(le);
	f.payload = le;
	s->credit += n;
	wire_must_send(s->wire, &f);
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
	struct frame f = wire_head(FRAME_CLOSED, &s->id);

	watch_remove(&s->watch);
	auto_close(&s->fd);
	buf_done(&s->data);
	s->head = 0;
	if (s->end)
		stream_kill(s);
	else
		wire_must_send(s->wire, &f);
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

	wire_enter(w);
	if (s->data.len > s->head)
		sink_run(s);
	else if (events & (EPOLLERR | EPOLLHUP))
		sink_break(s);
	wire_finish(w);
	return 0;
}

int sink_take(struct stream *s, const struct frame *f, struct err *err)
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

int wire_sink(struct wire *wire, const struct stream_id *id, int fd, struct err *err)
{
	struct stream *s;

	int r = stream_new(wire, id, fd, true, &s, err);
	if (r < 0)
		return r;
	wire_enter(wire);
	sink_arm(s);
	wire_leave(wire);
	return 0;
}
