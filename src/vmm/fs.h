/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file system device (virtio 1.2 section 5.11). Whole FUSE messages go to hull-share over a
 * socket that keeps their bounds, and its answers come back in any order. With the answer to an
 * open comes the file's descriptor: what the host has of it in memory is read here, straight into
 * the guest's buffers, and written straight out of them; what takes waiting is the share's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "vmm/fs_files.h"
#include "vmm/virtio.h"

struct err;
struct fs_request;
struct loop;
struct watch;

enum {
	FS_TAG_MAX = 36,
	FS_MESSAGE_MAX = 192 * 1024,
	FS_REQUESTS_MAX = 64, /* with the share at one time */
	FS_FORGETS_MAX = 128, /* told to the share in one message */
};

/* What the guest has forgotten and the share is to hear of, as <linux/fuse.h> writes it. */
struct fs_forgotten {
	uint64_t node, lookups;
};

/* That the share's state be written. */
struct fs_saving {
	int file;
	struct err *err;
	bool done;
	int answer; /* as fs_save() answers */
};

struct fs {
	struct virtio v; /* first */
	int share; /* borrowed; -1 once it is gone */
	struct watch *watch; /* of the loop; NULL once the share is gone */
	struct fs_request *requests; /* owned; FS_REQUESTS_MAX */
	uint16_t n_free;
	uint8_t free[FS_REQUESTS_MAX]; /* which of them are, the one used last on top */
	unsigned n_wide; /* of those that are not: whose answer may be a large one */
	uint32_t generation; /* counts resets: answers to questions before one are nobody's */
	uint32_t n_forgotten;
	struct fs_forgotten forgotten[FS_FORGETS_MAX];
	bool full; /* the socket takes no more for now */
	uint64_t sent; /* messages to the share */
	struct fs_saving *saving; /* of fs_save(), which waits; NULL: nobody does */
	uint32_t written; /* the checksum of the share's state, by fs_save() */
	struct fs_files files;
};

/* Makes the device over the SOCK_SEQPACKET `share`, watched in `loop`, which serves the device and
 * is borrowed; tag too, as long as the device. Release with fs_done(). */
int fs_init(struct fs *f, int share, const char *tag, struct loop *loop, const struct gmem *mem,
	    struct err *err) HULL_MUST_CHECK;

/*
 * Has the share write its state into the file (borrowed): before virtio_save(), of a device that is
 * held, from another thread than the loop's, which asks the share. A device that is loaded takes a
 * share only that was made from that very state: to any other one, the guest's numbers would be
 * other files.
 */
int fs_save(struct fs *f, int file, struct err *err) HULL_MUST_CHECK;

/* Zeroed is fine. */
void fs_done(struct fs *f);
