/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes and content of a file that lies on a mounted file system. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "image/arena.h"
#include "image/xattr.h"

struct erofs;
struct err;
struct inode;
struct tree;

/*
 * All extended attributes of an open file (O_PATH will do) that a layer keeps. With skip_overlay
 * those of overlayfs are left out, else refused.
 */
int hostfile_xattrs(int fd, bool skip_overlay, struct xattr_set *set, uint64_t *ret_ignored,
		    struct err *err) HULL_MUST_CHECK;

/* Gets the content in order, n bytes at a time; bytes is NULL for a hole. */
typedef int hostfile_tee_fn(void *ctx, const void *bytes, size_t n, struct err *err);

/* Where content goes: into the layer, and into tee as well (may be NULL). */
struct hostfile_to {
	struct tree *tree;
	struct erofs *erofs;
	hostfile_tee_fn *tee;
	void *ctx;
};

/* The first `size` bytes of a regular file open for reading become the inode's content, its holes
 * as holes. */
int hostfile_content(int fd, uint64_t size, struct inode *inode, const struct hostfile_to *to,
		     struct err *err) HULL_MUST_CHECK;
