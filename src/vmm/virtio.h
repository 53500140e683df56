/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all virtio devices have in common: registers as virtio-mmio shows them (virtio 1.2 section
 * 4.2), negotiation, reset, interrupts. A device is its queues and a few functions, all called with
 * its lock held: registers are written by vCPU threads, queues are served by an I/O thread.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "vmm/queue.h"

struct buf;
struct err;
struct gmem;
struct state_reader;
struct virtio;

enum {
	VIRTIO_QUEUES_MAX = 9,
	VIRTIO_CONFIG_MAX = 64,
	VIRTIO_MMIO_SIZE = 0x200, /* of the registers of one device */
	VIRTIO_MMIO_NOTIFY = 0x50, /* the register whose writes become the eventfd `kick` */
};

/* What makes a kind of device. */
struct virtio_ops {
	uint32_t id; /* section 5 */
	uint64_t features; /* offered beside what every device has */
	uint16_t n_queues;
	/* Serves the queues; after a notification, from the device's I/O thread. */
	void (*serve)(struct virtio *v);
	/* Does what is to be done while the machine stands still, which is nothing for the guest;
	 * after virtio_kick(), from the same thread. NULL: nothing. */
	void (*serve_held)(struct virtio *v);
	/* The driver is ready: what was agreed on is in v->features. NULL: nothing to do. */
	void (*start)(struct virtio *v);
	/* Forgets all that the driver told. NULL: nothing to do. */
	void (*reset)(struct virtio *v);
	/* Queues are about to be forgotten or to stand still: what others than `serve` do with them
	 * ends here and now. From any thread. NULL: nobody else serves. */
	void (*stop)(struct virtio *v);
	/* Whether somebody outside of this process is at one of its chains: before the machine
	 * stands still none is, which `back` tells; a reset does not wait for it. NULL: nobody. */
	bool (*busy)(const struct virtio *v);
	/* The driver wrote n bytes at `at` of the configuration, inside of it. NULL: it may not. */
	void (*configure)(struct virtio *v, size_t at, const void *bytes, size_t n);
	/* What this kind adds to a written state, and takes from one into a new device, which it
	 * judges. NULL: a machine with such a device cannot be written down. */
	void (*save)(struct virtio *v, struct buf *to);
	int (*load)(struct virtio *v, struct state_reader *from, struct err *err);
	/* Its configuration is nothing that the guest knows it by, and comes from the state. */
	bool config_is_state;
};

/* Embedded in a device; virtio_init() and virtio_done(). */
struct virtio {
	const struct virtio_ops *ops;
	const struct gmem *mem; /* borrowed */
	const char *label; /* a disk's serial, a share's tag, a port's name; borrowed; NULL: none */
	pthread_mutex_t lock;
	int kick; /* eventfd: the guest notifies, by edges; owned */
	const int *kicks; /* eventfds for each queue's notifications, where they do not all go to
			   * `kick`; watched by the device itself; borrowed; NULL: they do */
	int irq; /* eventfd: interrupts the guest; owned */
	uint64_t offered, features; /* features: those agreed on */
	bool absent; /* a place for a device: the guest reads the device id 0 (section 4.2.3.1) */
	uint32_t status;
	uint64_t ready_us; /* when its driver was ready first, by clock_us(); 0: not yet */
	bool held; /* the machine stands still: no queue is served */
	unsigned resting; /* so many wait for `away` to come back: none is either */
	unsigned away; /* chains that other threads carry out, for virtio_finish() */
	pthread_cond_t back; /* none is away any more, or it is not `busy` */
	uint32_t pending; /* why it interrupts; atomic, the only register read without the lock */
	uint32_t unseen; /* reasons that somebody else interrupts for, at any time; atomic */
	uint32_t features_sel, driver_sel, queue_sel;
	struct queue queues[VIRTIO_QUEUES_MAX];
	uint8_t config[VIRTIO_CONFIG_MAX]; /* little-endian */
	size_t config_len;
	uint32_t generation; /* another one whenever `config` is */
};

/* mem is borrowed. offered: beside ops->features. */
int virtio_init(struct virtio *v, const struct virtio_ops *ops, uint64_t offered,
		const struct gmem *mem, struct err *err) HULL_MUST_CHECK;

/* Closes; zeroed is fine. */
void virtio_done(struct virtio *v);

/* A guest's read of n bytes (1, 2, 4 or 8) at register offset `at`; odd ones read as zeros. From a
 * vCPU thread. */
void virtio_read(struct virtio *v, uint32_t at, void *bytes, size_t n);

/* A guest's write; odd ones are ignored. */
void virtio_write(struct virtio *v, uint32_t at, const void *bytes, size_t n);

/* Serves the queues after a notification; from the I/O thread. */
void virtio_kicked(struct virtio *v);

/* Somebody else serves queues and interrupts by `irq`, or nobody else does any more. While it may
 * be so, the guest reads that there is something in its queues, since nobody here knows when there
 * is: a driver that is told so in vain looks, and finds nothing. Lock held. */
void virtio_elsewhere(struct virtio *v, bool on);

/* Whether queues may be served: the driver is ready and did not break the rules, and the machine
 * is not held. Lock held. */
bool virtio_alive(const struct virtio *v);

/*
 * Serves one chain: how many bytes were written to it (it goes back to the guest), VIRTIO_LATER to
 * be called with the same chain again when the device is served next, or VIRTIO_KEPT when the
 * device has made a copy of it and will push it itself.
 */
typedef int64_t virtio_fn(struct virtio *v, const struct chain *c);

enum { VIRTIO_LATER = -1, VIRTIO_KEPT = -2 };

/* One interrupt for many small chains, but none waits until so many bytes more are moved. */
enum { VIRTIO_TELL_BYTES = 64 * 1024 };

/* Hands each chain of a queue to fn, and interrupts as the guest wants: once for many small ones.
 * One call serves a bounded number; when there are more, it sees to it that the queues are served
 * again. Lock held. */
void virtio_each(struct virtio *v, unsigned queue, virtio_fn *fn);

/* config was changed: the driver, if there is one, is told so. Lock held. */
void virtio_config_changed(struct virtio *v);

/* Makes the device present or absent, once a guest's driver has let go of it (EBUSY). `offered` as
 * for virtio_init(). Lock held. */
int virtio_set_present(struct virtio *v, bool present, uint64_t offered, struct err *err)
	HULL_MUST_CHECK;

/* Sees to it that the queues are served soon, by the I/O thread. From any thread. */
void virtio_kick(struct virtio *v);

/* Interrupts the guest when it wants to hear of what was pushed to q; when q is broken, tells the
 * driver that the device needs a reset. Lock held. */
void virtio_tell(struct virtio *v, struct queue *q);

/* Hands a chain back that another thread has carried out: virtio_fn said VIRTIO_KEPT, and counted
 * it in `away`. From that thread, without the lock. Before the driver's queues are forgotten, and
 * before the machine stands still, all of them are back. */
void virtio_finish(struct virtio *v, unsigned queue, uint16_t head, uint32_t written);

/* Waits until none is away; none is sent away meanwhile. Lock held, and let go of for the wait. */
void virtio_wait(struct virtio *v);

/* The machine has ended: what is being served is done, and nothing more is. The lock stays held. */
void virtio_settle(struct virtio *v);

/*
 * Waits until what is being served is, and serves nothing more until virtio_release(). ETIMEDOUT
 * when that takes longer than patience_ms. No vCPU runs.
 */
int virtio_hold(struct virtio *v, unsigned patience_ms, struct err *err) HULL_MUST_CHECK;

/* Goes on: the queues are served, and what the guest was not told, it is told again. One that was
 * not held, too. */
void virtio_release(struct virtio *v);

/* Appends the device, which is held, to a written state. It allocates nothing as long as `to` has
 * room. */
int virtio_save(struct virtio *v, struct buf *to, struct err *err) HULL_MUST_CHECK;

/* Makes a new device what the state says, which is judged; it goes on by virtio_release(). Before
 * any thread runs. */
int virtio_load(struct virtio *v, struct state_reader *from, struct err *err) HULL_MUST_CHECK;

/* For the ops of a kind that is nothing but its queues. */
void virtio_save_nothing(struct virtio *v, struct buf *to);
int virtio_load_nothing(struct virtio *v, struct state_reader *from, struct err *err)
	HULL_MUST_CHECK;
