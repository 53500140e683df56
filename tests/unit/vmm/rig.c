/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

struct gmem *rig_memory(void)
{
	struct gmem *mem = NULL;
	struct err err = ERR_INIT;

	if (gmem_new(RIG_MEMORY, &mem, &err) < 0)
		abort();
	return mem;
}

void *rig_at(const struct gmem *mem, uint64_t gpa)
{
	void *at = gmem_at(mem, gpa, 1);

	if (!at)
		abort();
	return at;
}

static uint64_t rings(unsigned i, unsigned part)
{
	return RIG_RINGS + (uint64_t)i * RIG_RINGS_SIZE + part * 0x1000;
}

struct rig_queue rig_queue(const struct gmem *mem, unsigned i)
{
	struct rig_queue q = {.desc = rig_at(mem, rings(i, 0)),
			      .avail = rig_at(mem, rings(i, 1)),
			      .used = rig_at(mem, rings(i, 2))};

	memset(q.desc, 0, 0x3000);
	return q;
}

uint32_t rig_read(struct virtio *v, uint32_t at)
{
	uint32_t value = 0;

	virtio_read(v, at, &value, sizeof(value));
	return value;
}

void rig_write(struct virtio *v, uint32_t at, uint32_t value)
{
	virtio_write(v, at, &value, sizeof(value));
}

static void set_queue(struct virtio *v, unsigned i)
{
	static const uint32_t registers[] = {VIRTIO_MMIO_QUEUE_DESC_LOW,
					     VIRTIO_MMIO_QUEUE_AVAIL_LOW,
					     VIRTIO_MMIO_QUEUE_USED_LOW};

	rig_write(v, VIRTIO_MMIO_QUEUE_SEL, i);
	rig_write(v, VIRTIO_MMIO_QUEUE_NUM, RIG_SIZE);
	for (unsigned part = 0; part < 3; part++) {
		rig_write(v, registers[part], (uint32_t)rings(i, part));
		rig_write(v, registers[part] + 4, 0);
	}
	rig_write(v, VIRTIO_MMIO_QUEUE_READY, 1);
}

void rig_start(struct virtio *v, uint64_t without)
{
	uint32_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	rig_write(v, VIRTIO_MMIO_STATUS, 0);
	rig_write(v, VIRTIO_MMIO_STATUS, status);
	for (uint32_t half = 0; half < 2; half++) {
		rig_write(v, VIRTIO_MMIO_DEVICE_FEATURES_SEL, half);
		uint32_t offered = rig_read(v, VIRTIO_MMIO_DEVICE_FEATURES);
		rig_write(v, VIRTIO_MMIO_DRIVER_FEATURES_SEL, half);
		rig_write(v, VIRTIO_MMIO_DRIVER_FEATURES,
			  offered & ~(uint32_t)(without >> 32 * half));
	}
	status |= VIRTIO_CONFIG_S_FEATURES_OK;
	rig_write(v, VIRTIO_MMIO_STATUS, status);
	for (unsigned i = 0; i < v->ops->n_queues; i++)
		set_queue(v, i);
	rig_write(v, VIRTIO_MMIO_STATUS, status | VIRTIO_CONFIG_S_DRIVER_OK);
}

void rig_buffer(struct rig_queue *q, uint64_t gpa, uint32_t len, bool in, bool more)
{
	uint16_t at = q->next++ % RIG_SIZE;

	q->desc[at] = (struct vring_desc){.addr = gpa,
					  .len = len,
					  .flags = (uint16_t)((in ? VRING_DESC_F_WRITE : 0) |
							      (more ? VRING_DESC_F_NEXT : 0)),
					  .next = q->next % RIG_SIZE};
}

void rig_offer(struct rig_queue *q, uint16_t head)
{
	q->avail[2 + q->avail[1] % RIG_SIZE] = head;
	__atomic_store_n(&q->avail[1], (uint16_t)(q->avail[1] + 1), __ATOMIC_RELEASE);
}

unsigned rig_used(struct rig_queue *q, uint32_t *len)
{
	uint16_t now = __atomic_load_n(&q->used[1], __ATOMIC_ACQUIRE);
	unsigned n = (uint16_t)(now - q->seen);

	if (n > 0 && len)
		memcpy(len, &q->used[2 + 4 * ((now - 1) % RIG_SIZE) + 2], sizeof(*len));
	q->seen = now;
	return n;
}

uint32_t rig_interrupt(struct virtio *v)
{
	uint64_t times = 0;

	if (read(v->irq, &times, sizeof(times)) != sizeof(times))
		return 0;
	uint32_t why = rig_read(v, VIRTIO_MMIO_INTERRUPT_STATUS);
	rig_write(v, VIRTIO_MMIO_INTERRUPT_ACK, why);
	return why;
}
