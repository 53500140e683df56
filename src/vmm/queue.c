/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory order: the index of the avail ring is loaded before the entries it covers are read; an
 * element of the used ring is stored before its index is. What one side stores before it looks at
 * what the other stored (avail_event and the avail index; the used index and used_event) is
 * sequentially consistent (section 2.7.7), or a notification could get lost.
 */
#include "vmm/queue.h"

#include <errno.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "vmm/gmem.h"

enum { FLAGS, IDX, RING }; /* of 16-bit words: how both rings begin */

void queue_reset(struct queue *q)
{
	*q = (struct queue){0};
}

void queue_enable(struct queue *q, const struct gmem *mem, bool event_idx)
{
	uint32_t n = q->size;

	if (n == 0 || n > QUEUE_MAX || (n & (n - 1)) != 0 || q->desc_at % 16 != 0 ||
	    q->avail_at % 2 != 0 || q->used_at % 4 != 0)
		return;
	const void *desc = gmem_at(mem, q->desc_at, n * sizeof(struct vring_desc));
	void *avail = gmem_at(mem, q->avail_at, 6 + 2 * (size_t)n);
	void *used = gmem_at(mem, q->used_at, 6 + 8 * (size_t)n);
	if (!desc || !avail || !used)
		return;
	*q = (struct queue){.size = n,
			    .desc_at = q->desc_at,
			    .avail_at = q->avail_at,
			    .used_at = q->used_at,
			    .ready = true,
			    .event_idx = event_idx,
			    .mem = mem,
			    .desc = desc,
			    .avail = avail,
			    .used = used};
}

static uint16_t avail_idx(const struct queue *q)
{
	return __atomic_load_n(&q->avail[IDX], __ATOMIC_SEQ_CST);
}

/* The one copy of a descriptor, after which the guest may write what it likes. */
static struct vring_desc desc_copy(const volatile struct vring_desc *d)
{
	return (struct vring_desc){__atomic_load_n(&d->addr, __ATOMIC_RELAXED),
				   __atomic_load_n(&d->len, __ATOMIC_RELAXED),
				   __atomic_load_n(&d->flags, __ATOMIC_RELAXED),
				   __atomic_load_n(&d->next, __ATOMIC_RELAXED)};
}

static int broken(struct queue *q)
{
	q->broken = true;
	return -EINVAL;
}

static int add_buffer(const struct queue *q, struct chain *c, const struct vring_desc *d)
{
	bool in = d->flags & VRING_DESC_F_WRITE;

	if (d->len == 0)
		return 0;
	if (c->n_out + c->n_in == QUEUE_MAX || (!in && c->n_in > 0)) /* readable ones come first */
		return -EINVAL;
	void *at = gmem_at(q->mem, d->addr, d->len);
	if (!at)
		return -EINVAL;
	c->iov[c->n_out + c->n_in] = (struct iovec){at, d->len};
	if (in) {
		c->n_in++;
		c->in_bytes += d->len;
	} else {
		c->n_out++;
		c->out_bytes += d->len;
	}
	return 0;
}

/* Follows a table of n descriptors from `at`, at most `n` steps: a loop ends there. */
static int walk(const struct queue *q, const volatile struct vring_desc *table, uint32_t n,
		uint16_t at, struct chain *c, struct vring_desc *indirect)
{
	for (uint32_t steps = 0; steps < n; steps++) {
		if (at >= n)
			return -EINVAL;
		struct vring_desc d = desc_copy(&table[at]);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			/* at most one, the last, and not within another (section 2.7.5.3.1) */
			if (!indirect || d.len == 0 || (d.flags & VRING_DESC_F_NEXT))
				return -EINVAL;
			*indirect = d;
			return 0;
		}
		if (add_buffer(q, c, &d) < 0)
			return -EINVAL;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return 0;
		at = d.next;
	}
	return -EINVAL;
}

static int walk_indirect(const struct queue *q, const struct vring_desc *d, struct chain *c)
{
	size_t n = d->len / sizeof(struct vring_desc);

	if (n == 0 || n > QUEUE_MAX || d->len % sizeof(struct vring_desc) != 0 || d->addr % 16 != 0)
		return -EINVAL;
	const void *table = gmem_at(q->mem, d->addr, d->len);
	return table ? walk(q, table, (uint32_t)n, 0, c, NULL) : -EINVAL;
}

int queue_pop(struct queue *q, struct chain *ret)
{
	struct vring_desc indirect = {0};

	if (!q->ready || q->broken)
		return QUEUE_EMPTY;
	uint16_t waiting = (uint16_t)(avail_idx(q) - q->next_avail);
	if (waiting == 0)
		return QUEUE_EMPTY;
	if (waiting > q->size)
		return broken(q);
	ret->head = __atomic_load_n(&q->avail[RING + q->next_avail % q->size], __ATOMIC_RELAXED);
	ret->n_out = ret->n_in = 0;
	ret->out_bytes = ret->in_bytes = 0;
	if (walk(q, q->desc, q->size, ret->head, ret, &indirect) < 0)
		return broken(q);
	if (indirect.len != 0 && walk_indirect(q, &indirect, ret) < 0)
		return broken(q);
	q->next_avail++;
	return QUEUE_CHAIN;
}

void queue_unpop(struct queue *q)
{
	q->next_avail--;
}

void queue_push(struct queue *q, uint16_t head, uint32_t written)
{
	if (!q->ready) /* switched off meanwhile */
		return;
	volatile uint32_t *element = (volatile void *)&q->used[RING];
	element += (size_t)2 * (q->next_used % q->size);
	element[0] = head;
	element[1] = written;
	q->next_used++;
	__atomic_store_n(&q->used[IDX], q->next_used, __ATOMIC_SEQ_CST);
}

void queue_take_over(struct queue *q, uint16_t next_avail)
{
	q->next_avail = next_avail;
	/* the guest may have written there: then it confuses itself */
	q->next_used = __atomic_load_n(&q->used[IDX], __ATOMIC_SEQ_CST);
	q->told_used = q->next_used;
	if (!q->event_idx) /* of chains that come it is told always, as queue_rearm() has it */
		__atomic_store_n(&q->used[FLAGS], 0, __ATOMIC_SEQ_CST);
}

bool queue_rearm(struct queue *q)
{
	if (!q->ready || q->broken)
		return false;
	if (q->event_idx) /* avail_event, behind the used ring's elements */
		__atomic_store_n(&q->used[RING + 4 * q->size], q->next_avail, __ATOMIC_SEQ_CST);
	return avail_idx(q) != q->next_avail;
}

bool queue_wants_interrupt(struct queue *q)
{
	uint16_t was = q->told_used;
	uint16_t now = q->next_used;

	if (!q->ready || was == now)
		return false;
	q->told_used = now;
	if (!q->event_idx)
		return !(__atomic_load_n(&q->avail[FLAGS], __ATOMIC_SEQ_CST) &
			 VRING_AVAIL_F_NO_INTERRUPT);
	/* used_event, behind the avail ring; section 2.7.7.2 */
	uint16_t event = __atomic_load_n(&q->avail[RING + q->size], __ATOMIC_SEQ_CST);
	return (uint16_t)(now - event - 1) < (uint16_t)(now - was);
}

/* Where `skip` bytes into the buffer are, and how many of the `len` wanted it has there; 0 when
 * skip (which is lessened) goes beyond it. */
static size_t piece(const struct iovec *buffer, size_t *skip, size_t len, uint8_t **at)
{
	if (*skip >= buffer->iov_len) {
		*skip -= buffer->iov_len;
		return 0;
	}
	size_t n = buffer->iov_len - *skip;
	*at = (uint8_t *)buffer->iov_base + *skip;
	*skip = 0;
	return n < len ? n : len;
}

void chain_copy(struct chain *to, const struct chain *from)
{
	size_t n = (size_t)from->n_out + from->n_in;

	memcpy(to, from, offsetof(struct chain, iov) + n * sizeof(from->iov[0]));
}

size_t chain_read(const struct chain *c, size_t skip, void *to, size_t n)
{
	uint8_t *at = NULL;
	size_t done = 0;

	for (size_t i = 0; i < c->n_out && done < n; i++) {
		size_t k = piece(&c->iov[i], &skip, n - done, &at);
		if (k > 0)
			memcpy((uint8_t *)to + done, at, k);
		done += k;
	}
	return done;
}

size_t chain_write(const struct chain *c, size_t skip, const void *from, size_t n)
{
	uint8_t *at = NULL;
	size_t done = 0;

	for (size_t i = 0; i < c->n_in && done < n; i++) {
		size_t k = piece(&c->iov[c->n_out + i], &skip, n - done, &at);
		if (k > 0)
			memcpy(at, (const uint8_t *)from + done, k);
		done += k;
	}
	return done;
}

size_t chain_part(const struct chain *c, bool in, size_t skip, size_t len,
		  struct iovec ret[QUEUE_MAX])
{
	const struct iovec *iov = in ? c->iov + c->n_out : c->iov;
	size_t n = in ? c->n_in : c->n_out;
	uint8_t *at = NULL;
	size_t entries = 0;

	for (size_t i = 0; i < n && len > 0; i++) {
		size_t k = piece(&iov[i], &skip, len, &at);
		if (k > 0)
			ret[entries++] = (struct iovec){at, k};
		len -= k;
	}
	return entries;
}
