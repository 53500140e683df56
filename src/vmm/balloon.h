/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A memory balloon (virtio 1.2 section 5.5): the guest hands pages over when it is asked to, and
 * reports those it has freed; both go back to the host. What it says is a favour: a page that it
 * hands over and uses again is only another page that it takes.
 */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "vmm/virtio.h"

struct err;

struct balloon {
	struct virtio v; /* first */
};

/* Makes the device, asking for nothing; release with balloon_done(). */
int balloon_init(struct balloon *b, const struct gmem *mem, struct err *err) HULL_MUST_CHECK;

/* Zeroed is fine. */
void balloon_done(struct balloon *b);

/* Asks the guest to hand over so many bytes in all (whole pages of 4 KiB, 16 TiB at most). From any
 * thread. */
void balloon_ask(struct balloon *b, uint64_t bytes);

/* How many bytes it has handed over of those, by its own account. From any thread. */
uint64_t balloon_holds(struct balloon *b);
