/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device is in a written state: what it offers, what was agreed on, its queues, and what its
 * kind adds. It is read into a new device that was made of new descriptors, which must offer and
 * show what the old one did, for the guest has seen that.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <string.h>

#include "base/err.h"
#include "vmm/state.h"
#include "vmm/virtio.h"

enum {
	STATUS_KNOWN = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
		       VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK |
		       VIRTIO_CONFIG_S_FAILED | VIRTIO_CONFIG_S_NEEDS_RESET,
	PENDING_KNOWN = VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG,
};

void virtio_save_nothing(struct virtio *v, struct buf *to)
{
	(void)v;
	(void)to;
}

int virtio_load_nothing(struct virtio *v, struct state_reader *from, struct err *err)
{
	(void)v;
	(void)from;
	(void)err;
	return 0;
}

/* --- queues --- */

static void save_queue(const struct queue *q, struct buf *to)
{
	buf_le32(to, q->size);
	buf_le64(to, q->desc_at);
	buf_le64(to, q->avail_at);
	buf_le64(to, q->used_at);
	state_put_flag(to, q->ready);
	state_put_flag(to, q->broken);
	state_put_flag(to, q->event_idx);
	state_put16(to, q->next_avail);
	state_put16(to, q->next_used);
	state_put16(to, q->told_used);
}

/* Indices may be anything: what they lead to is judged when it is popped, as ever. */
static int load_queue(struct virtio *v, struct queue *q, struct state_reader *from, struct err *err)
{
	*q = (struct queue){.size = state_take32(from),
			    .desc_at = state_take64(from),
			    .avail_at = state_take64(from),
			    .used_at = state_take64(from)};
	bool ready = state_take_flag(from);
	bool broken = state_take_flag(from);
	bool event_idx = state_take_flag(from);
	if (ready)
		queue_enable(q, v->mem, event_idx);
	if (q->ready != ready)
		return err_set(err, EINVAL, "a queue lies where it cannot");
	q->broken = broken;
	q->next_avail = state_take16(from);
	q->next_used = state_take16(from);
	q->told_used = state_take16(from);
	return 0;
}

/* --- devices --- */

int virtio_save(struct virtio *v, struct buf *to, struct err *err)
{
	if (!v->ops->save)
		return err_set(err, EOPNOTSUPP, "it cannot be written down");
	buf_le32(to, v->ops->id);
	state_put_flag(to, v->absent);
	buf_le64(to, v->offered);
	buf_le32(to, v->generation);
	buf_le32(to, (uint32_t)v->config_len);
	buf_add(to, v->config, v->config_len);
	buf_le64(to, v->features);
	buf_le32(to, v->status);
	buf_le32(to, __atomic_load_n(&v->pending, __ATOMIC_SEQ_CST));
	buf_le32(to, v->features_sel);
	buf_le32(to, v->driver_sel);
	buf_le32(to, v->queue_sel);
	for (size_t i = 0; i < v->ops->n_queues; i++)
		save_queue(&v->queues[i], to);
	v->ops->save(v, to);
	return 0;
}

static bool load_config(struct virtio *v, struct state_reader *from)
{
	if (state_take32(from) != v->config_len)
		return false;
	if (!v->ops->config_is_state)
		return state_take_same(from, v->config, v->config_len);
	state_take(from, v->config, v->config_len);
	return true;
}

/* That the guest finds what it knows. */
static int load_identity(struct virtio *v, struct state_reader *from, struct err *err)
{
	if (state_take32(from) != v->ops->id)
		return err_set(err, EINVAL, "the state has a device of another kind there");
	if (state_take_flag(from) != v->absent)
		return err_set(err, EINVAL, "the state has a device where there is none, or none");
	if (state_take64(from) != v->offered)
		return err_set(err, EINVAL, "it does not offer what it did");
	v->generation = state_take32(from);
	if (!load_config(v, from))
		return err_set(err, EINVAL, "its size, address or name is another than it was");
	return 0;
}

static bool is_status(const struct virtio *v)
{
	bool agreed = !(v->features & ~v->offered) && (v->features & 1ULL << VIRTIO_F_VERSION_1);

	return !(v->status & ~(uint32_t)STATUS_KNOWN) &&
	       (agreed || !(v->status & VIRTIO_CONFIG_S_FEATURES_OK)) &&
	       ((v->status & VIRTIO_CONFIG_S_FEATURES_OK) ||
		!(v->status & VIRTIO_CONFIG_S_DRIVER_OK));
}

static int load_registers(struct virtio *v, struct state_reader *from, struct err *err)
{
	v->features = state_take64(from);
	v->status = state_take32(from);
	v->pending = state_take32(from);
	v->features_sel = state_take32(from);
	v->driver_sel = state_take32(from);
	v->queue_sel = state_take32(from);
	if (!is_status(v) || (v->pending & ~(uint32_t)PENDING_KNOWN))
		return err_set(err, EINVAL, "its registers cannot be as the state says");
	return 0;
}

int virtio_load(struct virtio *v, struct state_reader *from, struct err *err)
{
	if (!v->ops->load)
		return err_set(err, EOPNOTSUPP, "it cannot be brought back");
	int r = load_identity(v, from, err);
	if (r == 0)
		r = load_registers(v, from, err);
	for (size_t i = 0; i < v->ops->n_queues && r == 0; i++)
		r = load_queue(v, &v->queues[i], from, err);
	if (r == 0)
		r = v->ops->load(v, from, err);
	if (r == 0)
		r = state_taken(from, err);
	if (r < 0)
		return r;
	if (virtio_alive(v) && v->ops->start)
		v->ops->start(v);
	return 0;
}
