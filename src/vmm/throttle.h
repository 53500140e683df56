/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much passes a device in a second, bytes and requests, each way by itself. What is too much
 * waits in the guest's own queue, so nothing is stored here but two instants per way.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct err;
struct loop;
struct virtio;
struct watch;

/* What may pass in a second; 0: as much as there is. */
struct limit {
	uint64_t bytes, requests;
};

/* One way. Each instant is when what has passed would have, at an even pace; CLOCK_MONOTONIC, ns.
 */
struct pace {
	struct limit limit;
	uint64_t bytes_ns, requests_ns;
};

enum { THROTTLE_WAYS = 2 };

/* Embedded in a device, guarded by its lock; throttle_init() and throttle_done(). */
struct throttle {
	struct virtio *v; /* the device; borrowed */
	struct watch *watch;
	int timer; /* timerfd: something may pass again; owned */
	uint64_t due_ms; /* when it goes off; 0: nothing waits */
	struct pace ways[THROTTLE_WAYS];
};

/*
 * Counts a request of so many bytes and answers 0, or answers in how many milliseconds it may be
 * asked for again. A tenth of a second's worth may pass at once; so may one request that is larger
 * than that, and what follows waits for it.
 */
uint64_t pace_take(struct pace *p, uint64_t bytes, uint64_t now_ms);

/* Without limits; of device v (borrowed), which `loop` serves. Only this allocates. */
int throttle_init(struct throttle *t, struct virtio *v, struct loop *loop, struct err *err)
	HULL_MUST_CHECK;

/* Zeroed is fine. When the loop runs no more. */
void throttle_done(struct throttle *t);

/* Sets the limit of a way; what was in excess of the old one is forgiven. From any thread, lock
 * held; the device is to be served afterwards. */
void throttle_set(struct throttle *t, unsigned way, const struct limit *limit);

/* Whether a request of so many bytes may pass now; else the device is served again when it may.
 * From the device's I/O thread, lock held. */
bool throttle_pass(struct throttle *t, unsigned way, uint64_t bytes);
