/* SPDX-License-Identifier: Apache-2.0 */
/* What erofs.c and erofs_meta.c share. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "image/out.h"
#include "image/tree.h"

struct erofs {
	struct out out;
	uint64_t max_bytes;
	uint64_t end; /* of what is given out so far: a multiple of the block */
	bool chunked; /* some file has holes */

	/* the file being written */
	struct inode *inode;
	uint64_t at; /* no piece may begin before */
	unsigned int chunk_bits;
	uint64_t next_chunk; /* first chunk without a place */
	uint64_t chunk_base; /* where the last placed chunk lies */
	struct run *runs; /* owned, reused */
	size_t n_runs, runs_size;
};

/* Gives out n bytes (rounded up to blocks) and returns where, in *ret. */
int erofs_place(struct erofs *e, uint64_t n, uint64_t *ret, struct err *err) HULL_MUST_CHECK;

/* What the super block says of the rest. */
struct erofs_meta {
	uint32_t block; /* where the inodes begin */
	uint16_t root_nid;
	uint64_t inodes;
};

/* Places and writes links, folders and inodes of a sealed tree. */
int erofs_write_meta(struct erofs *e, struct tree *tree, struct erofs_meta *ret, struct err *err)
	HULL_MUST_CHECK;
