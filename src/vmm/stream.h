/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connected stream socket as a wire: Ethernet frames both ways, each behind its length, a 32-bit
 * big-endian number, as passt(1) and `-netdev stream` of qemu(1) speak. There is no header of
 * virtio on it, so there are no offloads either: the one that is shown is zeros, and the one that
 * the guest writes is left out.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "vmm/wire.h"

struct err;

/* The largest frame there, without its length. */
enum { STREAM_FRAME_MAX = WIRE_FRAME_MAX - WIRE_HEADER };

/* Embedded; stream_init() and stream_done(). Who does not send is waited for, who does not read
 * makes it not ready. */
struct stream {
	struct wire wire; /* first */
	uint8_t *in; /* what was read; owned */
	size_t in_at, in_end; /* of it, what is not taken yet */
	uint8_t *out; /* the end of a frame whose beginning is sent; owned */
	size_t out_at, out_end; /* of it, what is not sent yet */
};

/* Over fd (borrowed), which becomes non-blocking. EINVAL: it is no connected AF_UNIX stream. Only
 * this allocates. */
int stream_init(struct stream *s, int fd, struct err *err) HULL_MUST_CHECK;

/* Zeroed is fine; the descriptor stays open. */
void stream_done(struct stream *s);
