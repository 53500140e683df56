/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that a guest is given and takes away from while it runs (virtio-mem, virtio 1.2 section
 * 5.15): the room behind its own (gmem.h), in blocks of HOTMEM_BLOCK. The guest plugs blocks until
 * it has what it was asked to have, and unplugs what it can spare; what is unplugged has gone back
 * to the host. A guest that touches a block it has not plugged takes memory that it was not given:
 * that is bounded from outside, by the monitor's cgroup.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "vmm/virtio.h"

struct err;

#define HOTMEM_BLOCK (2ULL << 20)

struct hotmem {
	struct virtio v; /* first */
	uint64_t addr, size; /* of the room; bytes */
	uint8_t *room; /* borrowed */
	const struct gmem *mem; /* whose it is */
	uint64_t asked, plugged; /* bytes */
	uint64_t *blocks; /* a bit for each block that is plugged; owned */
};

/* Makes the device for the room of mem, all of it unplugged; release with hotmem_done(). */
int hotmem_init(struct hotmem *h, const struct gmem *mem, struct err *err) HULL_MUST_CHECK;

/* Zeroed is fine. */
void hotmem_done(struct hotmem *h);

/* Asks the guest to have so many bytes of it plugged, rounded up to blocks and down to the room.
 * From any thread. */
void hotmem_ask(struct hotmem *h, uint64_t bytes);

/* How many bytes are plugged. From any thread. */
uint64_t hotmem_plugged(struct hotmem *h);

/* What its written state takes beyond that of other devices; bytes. */
size_t hotmem_state_size(const struct hotmem *h);

/* Of the room, what is plugged is memory: written to the file that gmem_save() made, and brought
 * back from there when the device's own state has been. The machine stands still. */
int hotmem_save_memory(const struct hotmem *h, int file, struct err *err) HULL_MUST_CHECK;
int hotmem_map_memory(const struct hotmem *h, int file, struct err *err) HULL_MUST_CHECK;
