/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel keeps from one start to the next is its thread and the memory; the rest is told
 * anew. Only the backend (the tap) makes it serve a queue.
 */
#include "vmm/vhost.h"

#include <errno.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <sys/ioctl.h>

#include "base/err.h"
#include "vmm/gmem.h"
#include "vmm/queue.h"

/* Of what is agreed on, what the one who serves the queues has to know; the rest is the tap's. */
#define KNOWN                                                                                      \
	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_EVENT_IDX |                            \
	 1ULL << VIRTIO_RING_F_INDIRECT_DESC | 1ULL << VIRTIO_NET_F_MRG_RXBUF)

int vhost_init(struct vhost *h, int fd, struct err *err)
{
	uint64_t has = 0;

	if (ioctl(fd, VHOST_GET_FEATURES, &has) < 0)
		return err_sys(err, "descriptor %d is no /dev/vhost-net", fd);
	if (KNOWN & ~has)
		return err_set(err, EOPNOTSUPP, "/dev/vhost-net lacks what a guest is offered");
	*h = (struct vhost){.fd = fd};
	return 0;
}

/* Memory that comes later has its room in the table already, as it has with KVM. */
static int tell_memory(const struct vhost *h, const struct gmem *mem, struct err *err)
{
	struct gmem_run runs[GMEM_RUNS + 1];
	union {
		struct vhost_memory table;
		char bytes[sizeof(struct vhost_memory) +
			   (GMEM_RUNS + 1) * sizeof(struct vhost_memory_region)];
	} told = {.table = {0}};
	size_t n = gmem_runs(mem, runs);
	struct gmem_run room = gmem_room(mem);

	if (room.size > 0)
		runs[n++] = room;
	told.table.nregions = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		told.table.regions[i] =
			(struct vhost_memory_region){.guest_phys_addr = runs[i].gpa,
						     .memory_size = runs[i].size,
						     .userspace_addr = (uintptr_t)runs[i].host};
	return ioctl(h->fd, VHOST_SET_MEM_TABLE, &told) < 0 ? err_sys(err, "tell vhost the memory")
							    : 0;
}

static int own(struct vhost *h, const struct gmem *mem, struct err *err)
{
	if (h->owned)
		return 0;
	if (ioctl(h->fd, VHOST_SET_OWNER) < 0)
		return err_sys(err, "start vhost");
	int r = tell_memory(h, mem, err);
	h->owned = r == 0;
	return r;
}

static int tell_queue(const struct vhost *h, const struct vhost_pair *pair, unsigned i,
		      struct err *err)
{
	const struct queue *q = pair->queues[i];
	struct vhost_vring_state size = {.index = i, .num = q->size};
	struct vhost_vring_state base = {.index = i, .num = q->next_avail};
	struct vhost_vring_addr rings = {.index = i,
					 .desc_user_addr = (uintptr_t)q->desc,
					 .avail_user_addr = (uintptr_t)q->avail,
					 .used_user_addr = (uintptr_t)q->used};
	struct vhost_vring_file kick = {.index = i, .fd = pair->kicks[i]};
	struct vhost_vring_file call = {.index = i, .fd = pair->call};
	struct vhost_vring_file fault = {.index = i, .fd = pair->fault};

	if (ioctl(h->fd, VHOST_SET_VRING_NUM, &size) < 0 ||
	    ioctl(h->fd, VHOST_SET_VRING_BASE, &base) < 0 ||
	    ioctl(h->fd, VHOST_SET_VRING_ADDR, &rings) < 0 ||
	    ioctl(h->fd, VHOST_SET_VRING_CALL, &call) < 0 ||
	    ioctl(h->fd, VHOST_SET_VRING_ERR, &fault) < 0 ||
	    ioctl(h->fd, VHOST_SET_VRING_KICK, &kick) < 0)
		return err_sys(err, "tell vhost of queue %u", i);
	return 0;
}

static int set_backend(const struct vhost *h, unsigned i, int tap)
{
	struct vhost_vring_file backend = {.index = i, .fd = tap};

	return ioctl(h->fd, VHOST_NET_SET_BACKEND, &backend);
}

int vhost_start(struct vhost *h, const struct vhost_pair *pair, const struct gmem *mem,
		struct err *err)
{
	uint64_t features = pair->features & KNOWN;

	int r = own(h, mem, err);
	if (r < 0)
		return r;
	if (ioctl(h->fd, VHOST_SET_FEATURES, &features) < 0)
		return err_sys(err, "tell vhost what was agreed on");
	for (unsigned i = 0; i < VHOST_QUEUES && r == 0; i++)
		r = tell_queue(h, pair, i, err);
	for (unsigned i = 0; i < VHOST_QUEUES && r == 0; i++) {
		if (set_backend(h, i, pair->tap) < 0)
			r = err_sys(err, "give vhost the tap");
		else
			h->serving++;
	}
	if (r < 0)
		vhost_stop(h, pair);
	return r;
}

void vhost_stop(struct vhost *h, const struct vhost_pair *pair)
{
	for (unsigned i = 0; i < h->serving; i++) {
		struct vhost_vring_state base = {.index = i};
		struct vhost_vring_file deaf = {.index = i, .fd = VHOST_FILE_UNBIND};
		(void)set_backend(h, i, -1); /* waits for what it is at */
		(void)ioctl(h->fd, VHOST_SET_VRING_KICK, &deaf);
		if (ioctl(h->fd, VHOST_GET_VRING_BASE, &base) == 0)
			queue_take_over(pair->queues[i], (uint16_t)base.num);
	}
	h->serving = 0;
}
