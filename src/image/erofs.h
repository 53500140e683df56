/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes one EROFS file, hull's format 1 (DESIGN "Images"): plain data in blocks of 4 KiB, nothing
 * inline, nothing compressed, padded to 2 MiB. First the content of the files as it comes, in any
 * number of pieces; at the end links, folders, inodes, and last the super block: a file that was
 * not finished is not mountable. The same calls give the same bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct erofs;
struct err;
struct inode;
struct tree;

enum { EROFS_UUID = 16 };

/* Writes into a new, empty regular file (borrowed), which will not grow beyond max_bytes; the
 * caller frees. */
int erofs_new(int out_fd, uint64_t max_bytes, struct erofs **ret, struct err *err) HULL_MUST_CHECK;

/* NULL is fine. */
void erofs_free(struct erofs *e);

/*
 * The content of one regular file: begin, pieces in ascending order, end. What no piece covers is
 * zeros; long runs of zeros become holes. The tree is the one the inode belongs to.
 */
int erofs_file_begin(struct erofs *e, struct inode *inode, uint64_t size, struct err *err)
	HULL_MUST_CHECK;
int erofs_file_write(struct erofs *e, uint64_t at, const void *bytes, size_t n, struct err *err)
	HULL_MUST_CHECK;
int erofs_file_end(struct erofs *e, struct tree *tree, struct err *err) HULL_MUST_CHECK;

/* Writes everything else of a sealed tree. *ret_bytes is the file's size. Not synced. */
int erofs_finish(struct erofs *e, struct tree *tree, const uint8_t uuid[EROFS_UUID],
		 uint64_t *ret_bytes, struct err *err) HULL_MUST_CHECK;

DEFINE_AUTO(struct erofs, erofs_free)
