/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's driver without a guest: guest memory of a few mebibytes, a device set up through its
 * registers, and chains put into its queues by hand, as hostile as a test likes.
 */
#pragma once

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/gmem.h"
#include "vmm/virtio.h"

enum {
	RIG_MEMORY = 4 << 20,
	RIG_RINGS = 0x10000, /* of queue 0; those of queue i are i * RIG_RINGS_SIZE further */
	RIG_RINGS_SIZE = 0x4000,
	RIG_DATA = 0x100000, /* free for a test's buffers */
	RIG_SIZE = 16, /* entries of a queue */
};

/* One queue as the driver sees it. */
struct rig_queue {
	struct vring_desc *desc;
	uint16_t *avail; /* flags, idx, ring, used_event */
	uint16_t *used;
	uint16_t seen; /* used entries that were taken */
	uint16_t next; /* free descriptor */
};

/* Memory, aborting when there is none. */
struct gmem *rig_memory(void);

/* Guest memory at gpa. */
void *rig_at(const struct gmem *mem, uint64_t gpa);

/* Where queue i's rings are, all empty; enabled by nobody yet. */
struct rig_queue rig_queue(const struct gmem *mem, unsigned i);

/* Reads and writes a register as a vCPU does, 32 bits wide. */
uint32_t rig_read(struct virtio *v, uint32_t at);
void rig_write(struct virtio *v, uint32_t at, uint32_t value);

/* Resets the device, agrees on all it offers but `without`, and enables its queues. */
void rig_start(struct virtio *v, uint64_t without);

/* A descriptor, linked to the one added after it when `more`. */
void rig_buffer(struct rig_queue *q, uint64_t gpa, uint32_t len, bool in, bool more);

/* Makes the chain that begins at descriptor `head` available. */
void rig_offer(struct rig_queue *q, uint16_t head);

/* How many used elements are new; takes them. The last one's length in *len (NULL: never mind). */
unsigned rig_used(struct rig_queue *q, uint32_t *len);

/* Whether the device has interrupted since this was asked last, and why (bits of
 * InterruptStatus, which are acknowledged). */
uint32_t rig_interrupt(struct virtio *v);
