/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's own service of a pair of network queues (/dev/vhost-net): between vhost_start() and
 * vhost_stop() it moves frames between them and a tap, and nobody else may. It is told where guest
 * memory is and reaches nothing else: addresses in rings and descriptors are judged by the kernel.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct err;
struct gmem;
struct queue;

enum { VHOST_QUEUES = 2 };

/* Embedded; not locked: whoever owns the device serialises. */
struct vhost {
	int fd; /* borrowed; -1: the host has none */
	bool owned; /* it has a thread, and knows the memory */
	unsigned serving; /* queues; all or none */
};

/* What a pair stands on; all borrowed until vhost_stop(). */
struct vhost_pair {
	struct queue *queues[VHOST_QUEUES]; /* to the guest, and from it; both ready */
	const int *kicks; /* eventfds: the guest notifies of each */
	int call; /* eventfd: interrupts the guest */
	int fault; /* eventfd: the guest broke the rules of a queue */
	int tap;
	uint64_t features; /* that were agreed on */
};

/* Over fd (borrowed), which is /dev/vhost-net, freshly opened. EOPNOTSUPP when it lacks what guests
 * are offered. */
int vhost_init(struct vhost *h, int fd, struct err *err) HULL_MUST_CHECK;

/* Serves the pair from now on. On failure nobody does. */
int vhost_start(struct vhost *h, const struct vhost_pair *pair, const struct gmem *mem,
		struct err *err) HULL_MUST_CHECK;

/* Serves it no more when this returns; the queues are where they were left. From any thread;
 * nothing when it does not run. */
void vhost_stop(struct vhost *h, const struct vhost_pair *pair);
