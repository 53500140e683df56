/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"

#define EVERY_DEVICE                                                                               \
	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_EVENT_IDX |                            \
	 1ULL << VIRTIO_RING_F_INDIRECT_DESC)

enum { MAGIC = 0x74726976, VENDOR = 0x6c6c7568, VERSION = 2 };

int virtio_init(struct virtio *v, const struct virtio_ops *ops, uint64_t offered,
		const struct gmem *mem, struct err *err)
{
	*v = (struct virtio){.ops = ops,
			     .mem = mem,
			     .kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
			     .irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
			     .offered = ops->features | offered | EVERY_DEVICE};
	(void)pthread_mutex_init(&v->lock, NULL);
	(void)pthread_cond_init(&v->back, NULL);
	if (v->kick >= 0 && v->irq >= 0)
		return 0;
	int r = err_sys(err, "make a device's eventfd");
	virtio_done(v);
	return r;
}

void virtio_done(struct virtio *v)
{
	if (!v->ops)
		return;
	auto_close(&v->kick);
	auto_close(&v->irq);
	(void)pthread_cond_destroy(&v->back);
	(void)pthread_mutex_destroy(&v->lock);
	v->ops = NULL;
}

static void interrupt(struct virtio *v, uint32_t why)
{
	uint64_t one = 1;

	(void)__atomic_fetch_or(&v->pending, why, __ATOMIC_SEQ_CST);
	ssize_t n = write(v->irq, &one, sizeof(one)); /* full means: one is on its way */
	(void)n;
}

void virtio_elsewhere(struct virtio *v, bool on)
{
	__atomic_store_n(&v->unseen, on ? VIRTIO_MMIO_INT_VRING : 0, __ATOMIC_SEQ_CST);
	if (!on) /* the last one may be on its way */
		interrupt(v, VIRTIO_MMIO_INT_VRING);
}

bool virtio_alive(const struct virtio *v)
{
	return !v->held && v->resting == 0 && (v->status & VIRTIO_CONFIG_S_DRIVER_OK) &&
	       !(v->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

void virtio_tell(struct virtio *v, struct queue *q)
{
	if (q->broken) {
		v->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
		interrupt(v, VIRTIO_MMIO_INT_CONFIG);
	} else if (queue_wants_interrupt(q)) {
		interrupt(v, VIRTIO_MMIO_INT_VRING);
	}
}

void virtio_kick(struct virtio *v)
{
	uint64_t one = 1;

	ssize_t n = write(v->kick, &one, sizeof(one)); /* never full */
	(void)n;
}

void virtio_config_changed(struct virtio *v)
{
	v->generation++;
	if (virtio_alive(v))
		interrupt(v, VIRTIO_MMIO_INT_CONFIG);
}

void virtio_each(struct virtio *v, unsigned queue, virtio_fn *fn)
{
	struct queue *q = &v->queues[queue];
	struct chain c;
	int left = QUEUE_MAX; /* a guest that never stops must not keep the others waiting */
	size_t untold = 0; /* bytes moved since the guest was told */
	int64_t written = 0;

	for (; left > 0 && queue_pop(q, &c) == QUEUE_CHAIN; left--) {
		written = fn(v, &c);
		if (written == VIRTIO_LATER) {
			queue_unpop(q);
			break;
		}
		if (written != VIRTIO_KEPT)
			queue_push(q, c.head, (uint32_t)written);
		untold += c.in_bytes + c.out_bytes;
		if (untold >= VIRTIO_TELL_BYTES) {
			virtio_tell(v, q);
			untold = 0;
		}
	}
	virtio_tell(v, q);
	if (written != VIRTIO_LATER && !q->broken && (left == 0 || queue_rearm(q)))
		virtio_kick(v);
}

void virtio_kicked(struct virtio *v)
{
	(void)pthread_mutex_lock(&v->lock);
	if (virtio_alive(v))
		v->ops->serve(v);
	else if (v->held && v->ops->serve_held)
		v->ops->serve_held(v);
	(void)pthread_mutex_unlock(&v->lock);
}

/* --- chains that other threads carry out --- */

void virtio_finish(struct virtio *v, unsigned queue, uint16_t head, uint32_t written)
{
	struct queue *q = &v->queues[queue];

	(void)pthread_mutex_lock(&v->lock);
	queue_push(q, head, written);
	virtio_tell(v, q);
	if (--v->away == 0)
		(void)pthread_cond_broadcast(&v->back);
	(void)pthread_mutex_unlock(&v->lock);
}

void virtio_wait(struct virtio *v)
{
	if (v->away == 0)
		return;
	v->resting++;
	while (v->away > 0)
		(void)pthread_cond_wait(&v->back, &v->lock);
	if (--v->resting == 0)
		virtio_kick(v); /* for what came meanwhile */
}

void virtio_settle(struct virtio *v)
{
	(void)pthread_mutex_lock(&v->lock);
	v->held = true;
	virtio_wait(v);
}

/* --- a machine that stands still --- */

static bool is_away(const struct virtio *v)
{
	return v->away > 0 || (v->ops->busy && v->ops->busy(v));
}

int virtio_hold(struct virtio *v, unsigned patience_ms, struct err *err)
{
	struct timespec until;

	/* by the wall clock, for TSan does not know pthread_mutex_clocklock(); whole seconds do */
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += patience_ms / 1000 + 1;
	int code = pthread_mutex_timedlock(&v->lock, &until);
	if (code == 0) {
		v->held = true;
		if (v->ops->stop)
			v->ops->stop(v);
		while (is_away(v) && code == 0)
			code = pthread_cond_timedwait(&v->back, &v->lock, &until);
		(void)pthread_mutex_unlock(&v->lock);
	}
	return code ? err_set(err, code, "what the device is doing does not end") : 0;
}

void virtio_release(struct virtio *v)
{
	(void)pthread_mutex_lock(&v->lock);
	v->held = false;
	/* an interrupt may have been on its way when the controllers were written down */
	if (__atomic_load_n(&v->pending, __ATOMIC_SEQ_CST))
		interrupt(v, 0);
	virtio_kick(v);
	(void)pthread_mutex_unlock(&v->lock);
}

/* --- registers --- */

static struct queue *selected(struct virtio *v)
{
	return v->queue_sel < v->ops->n_queues ? &v->queues[v->queue_sel] : NULL;
}

static uint32_t read_register(struct virtio *v, uint32_t at)
{
	const struct queue *q = selected(v);

	switch (at) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return v->absent ? 0 : v->ops->id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return v->features_sel > 1 ? 0 : (uint32_t)(v->offered >> (32 * v->features_sel));
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return q ? QUEUE_MAX : 0;
	case VIRTIO_MMIO_QUEUE_READY:
		return q && q->ready;
	case VIRTIO_MMIO_STATUS:
		return v->status;
	case VIRTIO_MMIO_SHM_LEN_LOW: /* there is no shared memory, which is a length of -1 */
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return UINT32_MAX;
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return v->generation;
	default:
		return 0;
	}
}

static void reset(struct virtio *v)
{
	if (v->ops->stop)
		v->ops->stop(v);
	virtio_wait(v);
	for (size_t i = 0; i < v->ops->n_queues; i++)
		queue_reset(&v->queues[i]);
	v->status = 0;
	v->features = 0;
	v->features_sel = v->driver_sel = v->queue_sel = 0;
	__atomic_store_n(&v->pending, 0, __ATOMIC_SEQ_CST);
	if (v->ops->reset)
		v->ops->reset(v);
}

int virtio_set_present(struct virtio *v, bool present, uint64_t offered, struct err *err)
{
	/* Linux acknowledges once more a device whose driver it has taken away */
	if (v->status & ~(uint32_t)VIRTIO_CONFIG_S_ACKNOWLEDGE)
		return err_set(err, EBUSY, "the guest's driver holds the device");
	reset(v);
	v->absent = !present;
	v->offered = v->ops->features | offered | EVERY_DEVICE;
	return 0;
}

static void write_status(struct virtio *v, uint32_t value)
{
	enum {
		KNOWN = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
			VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK |
			VIRTIO_CONFIG_S_FAILED
	};
	uint32_t was = v->status;

	if (value == 0) {
		reset(v);
		return;
	}
	if (v->absent) /* so that the device may come whenever it likes */
		return;
	value = (value & KNOWN) | was; /* a driver takes back nothing but by reset */
	bool agreed = !(v->features & ~v->offered) && (v->features & 1ULL << VIRTIO_F_VERSION_1);
	if (!agreed)
		value &= ~(uint32_t)VIRTIO_CONFIG_S_FEATURES_OK;
	if (!(value & VIRTIO_CONFIG_S_FEATURES_OK))
		value &= ~(uint32_t)VIRTIO_CONFIG_S_DRIVER_OK;
	v->status = value;
	if (!(was & VIRTIO_CONFIG_S_DRIVER_OK) && virtio_alive(v)) {
		if (v->ready_us == 0)
			v->ready_us = clock_us();
		if (v->ops->start)
			v->ops->start(v);
		virtio_kick(v);
	}
}

static void write_features(struct virtio *v, uint32_t value)
{
	unsigned shift = 32 * v->driver_sel;

	if (v->driver_sel > 1 || (v->status & VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	v->features = (v->features & ~(0xffffffffULL << shift)) | (uint64_t)value << shift;
}

static void set_half(uint64_t *address, bool high, uint32_t value)
{
	unsigned shift = high ? 32 : 0;

	*address = (*address & ~(0xffffffffULL << shift)) | (uint64_t)value << shift;
}

static void switch_off(struct virtio *v, struct queue *q)
{
	if (v->ops->stop)
		v->ops->stop(v);
	virtio_wait(v);
	queue_reset(q);
}

/* A queue in use is changed by switching it off only. */
static void write_queue(struct virtio *v, struct queue *q, uint32_t at, uint32_t value)
{
	if (at == VIRTIO_MMIO_QUEUE_READY) {
		if (!value)
			switch_off(v, q);
		else if (!q->ready)
			queue_enable(q, v->mem, v->features & 1ULL << VIRTIO_RING_F_EVENT_IDX);
		return;
	}
	if (q->ready)
		return;
	switch (at) {
	case VIRTIO_MMIO_QUEUE_NUM:
		q->size = value;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_half(&q->desc_at, at == VIRTIO_MMIO_QUEUE_DESC_HIGH, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_half(&q->avail_at, at == VIRTIO_MMIO_QUEUE_AVAIL_HIGH, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_half(&q->used_at, at == VIRTIO_MMIO_QUEUE_USED_HIGH, value);
		break;
	default: /* registers that are read-only, or not there */
		break;
	}
}

static void write_register(struct virtio *v, uint32_t at, uint32_t value)
{
	struct queue *q = selected(v);

	switch (at) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		v->features_sel = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		v->driver_sel = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		write_features(v, value);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		v->queue_sel = value;
		break;
	case VIRTIO_MMIO_STATUS:
		write_status(v, value);
		break;
	default:
		if (q)
			write_queue(v, q, at, value);
		break;
	}
}

/* Whether n bytes at `offset` are inside the configuration. */
static bool is_config(const struct virtio *v, uint32_t offset, size_t n)
{
	return offset < v->config_len && n <= v->config_len - offset;
}

void virtio_read(struct virtio *v, uint32_t at, void *bytes, size_t n)
{
	uint32_t value = 0;

	memset(bytes, 0, n);
	if (at >= VIRTIO_MMIO_CONFIG) {
		(void)pthread_mutex_lock(&v->lock);
		if (is_config(v, at - VIRTIO_MMIO_CONFIG, n))
			memcpy(bytes, v->config + (at - VIRTIO_MMIO_CONFIG), n);
		(void)pthread_mutex_unlock(&v->lock);
		return;
	}
	if (n != sizeof(value) || at % sizeof(value) != 0)
		return;
	if (at == VIRTIO_MMIO_INTERRUPT_STATUS) {
		value = __atomic_load_n(&v->pending, __ATOMIC_SEQ_CST) |
			__atomic_load_n(&v->unseen, __ATOMIC_SEQ_CST);
	} else {
		(void)pthread_mutex_lock(&v->lock);
		value = read_register(v, at);
		(void)pthread_mutex_unlock(&v->lock);
	}
	memcpy(bytes, &value, sizeof(value));
}

void virtio_write(struct virtio *v, uint32_t at, const void *bytes, size_t n)
{
	uint32_t value;

	if (at >= VIRTIO_MMIO_CONFIG) {
		(void)pthread_mutex_lock(&v->lock);
		if (v->ops->configure && is_config(v, at - VIRTIO_MMIO_CONFIG, n))
			v->ops->configure(v, at - VIRTIO_MMIO_CONFIG, bytes, n);
		(void)pthread_mutex_unlock(&v->lock);
		return;
	}
	if (n != sizeof(value) || at % sizeof(value) != 0)
		return;
	memcpy(&value, bytes, sizeof(value));
	if (at == VIRTIO_MMIO_INTERRUPT_ACK) {
		(void)__atomic_fetch_and(&v->pending, ~value, __ATOMIC_SEQ_CST);
	} else if (at == VIRTIO_MMIO_QUEUE_NOTIFY) { /* where no eventfd takes it */
		virtio_kick(v);
	} else {
		(void)pthread_mutex_lock(&v->lock);
		write_register(v, at, value);
		(void)pthread_mutex_unlock(&v->lock);
	}
}
