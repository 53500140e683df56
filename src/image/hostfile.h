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

/* The content of a regular file open for reading, its holes as holes. */
int hostfile_content(int fd, uint64_t size, struct inode *inode, struct tree *tree,
		     struct erofs *erofs, struct err *err) HULL_MUST_CHECK;
