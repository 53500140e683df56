/* SPDX-License-Identifier: Apache-2.0 */
/* Streams from here to the other side. */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "proto/wire_impl.h"

static watch_fn source_ready;

void source_end(struct stream *s)
{
	struct frame f = wire_head(FRAME_DATA, &s->id);
	struct err err = ERR_INIT;

	f.flags |= FRAME_END;
	s->draining = false;
	stream_kill(s);
	if (!s->wire->broken && channel_send(s->wire->channel, &f, true, &err) < 0)
		wire_lose(s->wire, &err);
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
	struct frame f = wire_head(FRAME_DATA, &s->id);
	f.len = (uint32_t)n;
	f.payload = w->out;
	s->credit -= f.len;
	if (channel_send(w->channel, &f, true, &err) < 0) {
		wire_lose(w, &err);
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
void source_resume(struct stream *s)
{
	while (s->draining && source_may_read(s) && source_read(s))
		wire_flush(s->wire);
	source_arm(s);
}

static int source_ready(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct stream *s = ctx;
	struct wire *w = s->wire;

	wire_enter(w);
	if (source_may_read(s))
		(void)source_read(s);
	if (!s->dead)
		source_arm(s);
	wire_finish(w);
	return 0;
}

int source_take_credit(struct stream *s, const struct frame *f, struct err *err)
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

int wire_source(struct wire *wire, const struct stream_id *id, int fd, struct err *err)
{
	struct stream *s;

	int r = stream_new(wire, id, fd, false, &s, err);
	if (r < 0)
		return r;
	wire_enter(wire);
	source_arm(s);
	wire_leave(wire);
	return 0;
}
