/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel between a host and the agent inside a machine: frames over one byte stream, which
 * this end neither reads nor writes itself (proto/wire.h does). Both ends say hello first and send
 * nothing else before the other's hello was accepted. What comes in is hostile: a frame that this
 * side does not expect, or one longer than its type allows, ends the channel with an error.
 *
 * A frame is, little-endian: u32 length of what follows the header, u16 type, u16 flags, u32
 * workload, u32 process, u64 sequence. Each side counts its own frames in `sequence`, from 0
 * without gaps; a hello names where both counts stand, so that a machine restored from a saved
 * state can go on. The hello's payload has a form of its own that no version changes: u32 magic,
 * u32 version, u64 next sequence to be sent, u64 next expected, then the program's version as text.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct channel;
struct err;

enum {
	CHANNEL_VERSION = 1,
	FRAME_HEADER = 24,
	/* a whole frame is what a virtio port takes at once */
	FRAME_DATA_MAX = 32 * 1024 - FRAME_HEADER,
	CHANNEL_WINDOW = 256 * 1024, /* bytes of a stream that may be under way unread */
};

enum frame_type {
	FRAME_HELLO = 1,
	FRAME_DATA, /* bytes of a stream; flags: its number, and FRAME_END with the last of them */
	FRAME_CREDIT, /* u32: so many bytes more may be sent on a stream */
	FRAME_CLOSED, /* the stream's reader is gone */
	/* from the host, see proto/message.h */
	FRAME_SETUP = 16,
	FRAME_START,
	FRAME_EXEC,
	FRAME_RESIZE,
	FRAME_SIGNAL,
	FRAME_PAUSE,
	FRAME_RESUME,
	FRAME_UPDATE,
	FRAME_STATS,
	FRAME_TOP,
	FRAME_POWEROFF,
	FRAME_CLOCK, /* u64: CLOCK_REALTIME of the host in nanoseconds */
	FRAME_DISK, /* one was plugged in: is to be shown to the workload */
	FRAME_UNDISK, /* one is to be let go of */
	FRAME_NET, /* an interface was plugged in: is to be set up */
	FRAME_UNNET, /* one is to be let go of */
	/* from the guest */
	FRAME_ANSWER = 64,
	FRAME_EXITED,
	FRAME_LOG,
};

/* Flags of FRAME_DATA, FRAME_CREDIT and FRAME_CLOSED. */
enum { FRAME_STREAM = 3 /* mask */, FRAME_END = 0x8000 };

struct frame {
	uint16_t type; /* enum frame_type */
	uint16_t flags;
	uint32_t workload; /* 0: the machine itself */
	uint32_t process;
	uint32_t len;
	const void *payload; /* borrowed */
};

enum channel_side { CHANNEL_HOST, CHANNEL_GUEST };

/* Takes one frame of the other side, borrowed; its hello when it was accepted. A negative answer
 * ends the channel with it. */
typedef int frame_fn(void *ctx, const struct frame *frame, struct err *err);

/* Makes this side's end, its hello already in the output. program: its version, for the other's
 * error line. The caller frees. */
int channel_new(enum channel_side side, const char *program, frame_fn *fn, void *ctx,
		struct channel **ret, struct err *err) HULL_MUST_CHECK;

/* NULL is fine. Not from within frame_fn. */
void channel_free(struct channel *ch);

/* Takes bytes of the other side and calls frame_fn for each whole frame. After a failure the
 * channel is of no further use. */
int channel_receive(struct channel *ch, const void *bytes, size_t n, struct err *err)
	HULL_MUST_CHECK;

/*
 * Queues a frame. Those of FRAME_DATA and those with `ordered` keep their order; any other goes
 * before what of these still waits. ENOBUFS when the other side has long not read.
 */
int channel_send(struct channel *ch, const struct frame *frame, bool ordered, struct err *err)
	HULL_MUST_CHECK;

/* What is to be written next, *ret_n bytes, borrowed until the next call on ch; NULL and 0 when
 * there is nothing. */
const void *channel_output(struct channel *ch, size_t *ret_n);

/* Takes n bytes off the output: they were written. */
void channel_sent(struct channel *ch, size_t n);

/* Whether so little stream data waits that more should be queued. */
bool channel_has_room(const struct channel *ch);

/* How many bytes wait that are no stream data. */
size_t channel_waiting(const struct channel *ch);

DEFINE_AUTO(struct channel, channel_free)
