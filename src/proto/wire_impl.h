/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the wire*.c files share. Whatever calls out (frame, settled, lost) may free the wire. So
 * everything that can call out stands between wire_enter() and wire_leave() or a wire_finish():
 * within, streams and the wire itself are only marked dead, and the last to leave frees them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "proto/wire.h"

struct timer;
struct watch;

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

/* Around whatever may call out. */
void wire_enter(struct wire *w);
void wire_leave(struct wire *w);

/* What every entry from the loop ends with: write, let sources fill the room, tell who has settled,
 * leave. */
void wire_finish(struct wire *w);

/* Writes what can be written. Of a failure the watch of the descriptor tells. */
void wire_flush(struct wire *w);

/* Tells that the other side is lost, if that was not told yet. */
void wire_lose(struct wire *w, const struct err *why);

/* Sends a frame without which the channel is of no use. */
void wire_must_send(struct wire *w, const struct frame *f);

/* A frame of `type` for a stream, without payload. */
struct frame wire_head(enum frame_type type, const struct stream_id *to);

/* Makes a stream around `taken`, which is closed on failure too. It belongs to w. */
int stream_new(struct wire *w, const struct stream_id *id, int taken, bool sink,
	       struct stream **ret, struct err *err) HULL_MUST_CHECK;

/* Closes a stream; it is freed later. */
void stream_kill(struct stream *s);

/* Sends the end of a source's stream and closes it. */
void source_end(struct stream *s);

/* Lets a source read, now that there may be room or credit again. */
void source_resume(struct stream *s);

/* A frame for a source: more credit. */
int source_take_credit(struct stream *s, const struct frame *f, struct err *err) HULL_MUST_CHECK;

/* A frame for a sink: data. */
int sink_take(struct stream *s, const struct frame *f, struct err *err) HULL_MUST_CHECK;
