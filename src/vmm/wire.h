/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a network device's frames come from and go to: a tap (tap.h) or a stream (stream.h). On
 * this side a frame has the header of virtio in front of it (virtio 1.2 section 5.1.6). Not locked:
 * whoever owns the device serialises.
 */
#pragma once

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chain;
struct wire;

enum {
	WIRE_HEADER = sizeof(struct virtio_net_hdr_mrg_rxbuf),
	/* The largest frame: 64 KiB of an offloaded segment, its headers, and that of virtio. */
	WIRE_FRAME_MAX = 65536 + 64,
};

/* What makes a kind of wire. */
struct wire_ops {
	/* The next frame, to which *ret points until the next call: its bytes, or 0 when there is
	 * none now. */
	size_t (*next)(struct wire *w, const uint8_t **ret);
	/* Whether another frame may be sent; if not, it may when fd is writable. NULL: always. */
	bool (*is_ready)(struct wire *w);
	/* Sends the frame that the chain's readable buffers hold, ETH_HLEN to WIRE_FRAME_MAX bytes
	 * with the header; when is_ready(). What cannot be sent is lost, as on any wire. */
	void (*send)(struct wire *w, const struct chain *c);
	/* The driver agreed on these features of virtio. From any thread. NULL: all are kept. */
	void (*agree)(struct wire *w, uint64_t features);
	/* Frames come by this wire from now on, or none do, of a device's several; false when it
	 * cannot be told so. NULL: there is never more than one of the kind in a device. */
	bool (*attach)(struct wire *w, bool on);
};

/* Embedded in a kind, first. */
struct wire {
	const struct wire_ops *ops;
	int fd; /* borrowed; -1: a place for one */
	const char *lost; /* why no frame passes any more, a sentence; NULL: they do */
};
