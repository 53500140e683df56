/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block device (virtio 1.2 section 5.2) over a disk. What needs no wait is carried out by the
 * thread that serves the device, one request after the other; reads of what the host does not have
 * in memory, flushes and the like by threads of a pool, several at one time and in any order, where
 * there is one.
 */
#pragma once

#include "base/attr.h"
#include "vmm/disk.h"
#include "vmm/pool.h"
#include "vmm/throttle.h"
#include "vmm/virtio.h"

struct err;
struct loop;

/* BLOCK_READ, BLOCK_WRITE: the ways of its throttle. */
enum { BLOCK_SERIAL_MAX = 20, BLOCK_READ = 0, BLOCK_WRITE };

struct block {
	struct virtio v; /* first */
	struct disk disk; /* owned; changed only while no chain is away */
	struct pool *pool; /* borrowed; set before anything is served; NULL: none */
	char serial[BLOCK_SERIAL_MAX + 1]; /* "": a place for a disk */
	struct disk_extent place; /* of the disk that is plugged in, whose file is closed when it
				     goes */
	struct throttle throttle;
};

/* Makes the device, served by `loop`; takes *disk (which is empty then). Without a serial it is a
 * place where block_plug() puts a disk later. The caller releases with block_done(). */
int block_init(struct block *b, struct disk *disk, const char *serial, struct loop *loop,
	       const struct gmem *mem, struct err *err) HULL_MUST_CHECK;

/* A disk of one file that comes while the machine runs. */
struct block_file {
	const char *serial;
	int fd;
	uint64_t size; /* bytes, whole sectors; a file that is shorter reads as broken */
	bool readonly;
};

/* Puts a disk into the place; takes file->fd on success. EBUSY when there is one. Neither this nor
 * what follows allocates; from any thread. */
int block_plug(struct block *b, const struct block_file *file, struct err *err) HULL_MUST_CHECK;

/* Takes such a disk away and closes its file, once the guest's driver has let go of it (EBUSY). */
int block_unplug(struct block *b, struct err *err) HULL_MUST_CHECK;

/* Its last file has so many bytes from now on, whole sectors; the guest is told. */
int block_resize(struct block *b, uint64_t size, struct err *err) HULL_MUST_CHECK;

/* Limits what is read (BLOCK_READ) or written in a second. */
void block_limit(struct block *b, unsigned way, const struct limit *limit);

/* Zeroed is fine. */
void block_done(struct block *b);
