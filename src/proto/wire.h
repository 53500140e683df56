/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A channel at work: over a descriptor, in an event loop, with the streams of processes. A stream's
 * source reads a local descriptor and sends, its sink takes what came and writes; a sink holds at
 * most CHANNEL_WINDOW bytes that its descriptor did not take yet and its source sends no more than
 * that, so the channel itself never stands still behind a slow reader. The program ignores SIGPIPE.
 */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "proto/channel.h"

struct err;
struct loop;
struct record;
struct wire;

/* One stream of a process; a terminal is number 0 (input) and 1 (output). */
struct stream_id {
	uint32_t workload, process;
	uint32_t number; /* 0 to 2 */
};

struct wire_events {
	/* A frame that belongs to no stream, as frame_fn. */
	frame_fn *frame;
	/* See wire_settle(). */
	void (*settled)(void *ctx, uint32_t workload, uint32_t process);
	/* The other side is gone or broke the rules; nothing comes from it any more. Once. */
	void (*lost)(void *ctx, const struct err *why);
};

struct wire_config {
	struct loop *loop;
	int fd; /* both ways; made non-blocking */
	enum channel_side side;
	const char *program; /* version */
	const struct wire_events *events;
	void *ctx;
};

/* Starts a channel. Takes config->fd, on failure too; the caller frees, also from within an event.
 */
int wire_new(const struct wire_config *config, struct wire **ret, struct err *err) HULL_MUST_CHECK;

/* Closes the channel and all its streams without a word; NULL is fine. */
void wire_free(struct wire *wire);

/* Ends the talk without `lost`; sinks go on writing what came. */
void wire_close(struct wire *wire);

/* Sends a message of `type`: obj as a record, or nothing when record is NULL. */
int wire_send(struct wire *wire, enum frame_type type, const struct stream_id *to,
	      const struct record *record, const void *obj, struct err *err) HULL_MUST_CHECK;

/* The same, after all stream data that was sent before it. */
int wire_send_ordered(struct wire *wire, enum frame_type type, const struct stream_id *to,
		      const struct record *record, const void *obj, struct err *err)
	HULL_MUST_CHECK;

/* Sends a number as it is. */
int wire_send_u64(struct wire *wire, enum frame_type type, uint64_t value, struct err *err)
	HULL_MUST_CHECK;

/* Sends bytes as they are, or drops them when the other side does not keep up. */
void wire_send_log(struct wire *wire, uint32_t workload, const char *text, size_t n);

/* Sends what is read from fd, and its end. Takes fd, on failure too. */
int wire_source(struct wire *wire, const struct stream_id *id, int fd, struct err *err)
	HULL_MUST_CHECK;

/* Writes what comes to fd, which is closed at the stream's end. Takes fd, on failure too. */
int wire_sink(struct wire *wire, const struct stream_id *id, int fd, struct err *err)
	HULL_MUST_CHECK;

/* Closes the streams of a process whose numbers have a bit in mask; the other side is not told. */
void wire_drop(struct wire *wire, uint32_t workload, uint32_t process, uint32_t mask);

/* Calls `settled` once, when the process's sources have sent all there is to read now and its sinks
 * have written all that came; always from the loop. */
void wire_settle(struct wire *wire, uint32_t workload, uint32_t process);

DEFINE_AUTO(struct wire, wire_free)
