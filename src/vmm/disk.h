/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a block device stands on: files shown back to back as one disk. The layers of an image are
 * one such disk; a writable disk has one file.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/attr.h"

struct err;

enum { DISK_SECTOR = 512 };

struct disk_extent {
	int fd; /* borrowed */
	uint64_t start, size; /* on the disk; bytes */
};

/* {0} is the empty disk; release with disk_done(). */
struct disk {
	struct disk_extent *extents; /* by start */
	size_t n;
	uint64_t size; /* bytes, whole sectors */
	bool readonly;
	bool careless; /* nobody wants it after a crash: flushing does nothing */
};

/* Appends the file fd, `size` bytes of it (0: all); whole sectors. */
int disk_add(struct disk *d, int fd, uint64_t size, struct err *err) HULL_MUST_CHECK;

/* Frees the list; descriptors stay open. */
void disk_done(struct disk *d);

/* Moves all bytes of iov[0..n) from or to the disk at `offset`; iov is used up. 0 or -errno: EIO
 * when a file is shorter than it was. */
int disk_move(const struct disk *d, bool write, struct iovec *iov, size_t n, uint64_t offset);

/* Reads likewise, but only what needs no wait for storage; EAGAIN: it would. A file of which nobody
 * knows is read in any case. */
int disk_read_now(const struct disk *d, struct iovec *iov, size_t n, uint64_t offset);

/* Whether disk_flush() has something to do. */
bool disk_keeps(const struct disk *d);

/* What was written is on stable storage. -errno. */
int disk_flush(const struct disk *d);

/* [offset, offset + len) reads as zeros from now on; `discard`: or as anything. -errno. */
int disk_zero(const struct disk *d, uint64_t offset, uint64_t len, bool discard);
