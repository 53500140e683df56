/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A split virtqueue (virtio 1.2 section 2.7), the device's side. Rings and descriptors are written
 * by the guest while they are read here: each is copied once, and what is judged is the copy. Not
 * locked: whoever owns the device serialises.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/attr.h"

struct gmem;

enum { QUEUE_MAX = 256 }; /* entries; also the longest chain, indirect ones included */

struct queue {
	/* what the driver wrote, judged by queue_enable() */
	uint32_t size;
	uint64_t desc_at, avail_at, used_at;

	bool ready;
	bool broken; /* the guest broke the rules: nothing more is taken until the device is reset
		      */
	bool event_idx; /* VIRTIO_RING_F_EVENT_IDX was agreed on */
	uint16_t next_avail, next_used;
	uint16_t told_used; /* next_used when the guest was last interrupted */
	const struct gmem *mem; /* borrowed */
	/* the rings, translated and checked once: guest memory never moves */
	const volatile struct vring_desc *desc;
	volatile uint16_t *avail; /* flags, idx, ring[size], used_event */
	volatile uint16_t *used; /* flags, idx, elements of 8 bytes, avail_event */
};

/* One chain of buffers: n_out that the device reads, then n_in that it writes. */
struct chain {
	uint16_t head;
	uint16_t n_out, n_in;
	size_t out_bytes, in_bytes;
	struct iovec iov[QUEUE_MAX];
};

/* As large as it is, and no larger. */
void chain_copy(struct chain *to, const struct chain *from);

/* What queue_pop() answers. */
enum { QUEUE_EMPTY, QUEUE_CHAIN };

/* As after power on. */
void queue_reset(struct queue *q);

/* Puts the queue to use when size and addresses are right; else it stays as it is (the driver reads
 * `ready`). */
void queue_enable(struct queue *q, const struct gmem *mem, bool event_idx);

/*
 * Takes the next chain into *ret, whose buffers are pointers into guest memory. QUEUE_CHAIN,
 * QUEUE_EMPTY, or -EINVAL when the guest broke the rules (the queue is broken then).
 */
int queue_pop(struct queue *q, struct chain *ret) HULL_MUST_CHECK;

/* Gives the chain last popped back to the guest's list, to be popped again. */
void queue_unpop(struct queue *q);

/* Hands a chain back, `written` bytes of which were filled. Of a queue that was switched off since,
 * nothing is done. */
void queue_push(struct queue *q, uint16_t head, uint32_t written);

/* Asks to be told of the next chain; true when one came meanwhile, so that popping must go on. */
bool queue_rearm(struct queue *q) HULL_MUST_CHECK;

/* Goes on where somebody else, who served the queue in between and in its order, has left it:
 * next_avail is the chain that is next. What the guest was told of, it is told of again. */
void queue_take_over(struct queue *q, uint16_t next_avail);

/* Whether the guest wants an interrupt for what was pushed since the last time it got one. */
bool queue_wants_interrupt(struct queue *q) HULL_MUST_CHECK;

/* Copies up to n bytes out of the chain's readable buffers, from byte `skip` on; how many came. */
size_t chain_read(const struct chain *c, size_t skip, void *to, size_t n);

/* Copies up to n bytes into its writable buffers, from byte `skip` on; how many fitted. */
size_t chain_write(const struct chain *c, size_t skip, const void *from, size_t n);

/*
 * The readable buffers of the chain (`in`: its writable ones) from byte `skip` on, `len` bytes of
 * them at most; how many entries *ret got.
 */
size_t chain_part(const struct chain *c, bool in, size_t skip, size_t len,
		  struct iovec ret[QUEUE_MAX]);
