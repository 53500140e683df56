/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads EROFS files of hull's format 1 without mounting them. The file may be damaged: every number
 * in it is judged before it is used, and a failure (EUCLEAN) says what is wrong.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "image/arena.h"
#include "image/erofs.h"

struct erofs_view;
struct err;
struct xattrs;

/* One inode as it lies on disk, judged. */
struct erofs_file {
	uint64_t nid;
	uint64_t size;
	int64_t mtime;
	uint32_t mtime_nsec, uid, gid, nlink;
	uint32_t rdev; /* of a device, as Linux encodes it */
	uint32_t start_block; /* of flat content */
	uint32_t xattr_len; /* bytes behind the inode, 0: none */
	uint16_t mode;
	uint8_t chunk_bits; /* of content in chunks; 0: flat */
};

/* Reads from fd (borrowed until erofs_view_free()) and judges the super block. The caller frees. */
int erofs_view_open(int fd, struct erofs_view **ret, struct err *err) HULL_MUST_CHECK;

/* NULL is fine. */
void erofs_view_free(struct erofs_view *v);

/* What the super block says. */
const uint8_t *erofs_view_uuid(const struct erofs_view *v); /* EROFS_UUID bytes */
uint64_t erofs_view_inodes(const struct erofs_view *v);
uint64_t erofs_view_root(const struct erofs_view *v);

/* Numbers are below this; all inodes of a file can be told apart by nid * 32 / 64. */
uint64_t erofs_view_nids(const struct erofs_view *v);

/* Reads one inode. */
int erofs_view_file(const struct erofs_view *v, uint64_t nid, struct erofs_file *ret,
		    struct err *err) HULL_MUST_CHECK;

/* Gets each name of a folder in order, "." and ".." too; not NUL-terminated, borrowed. A negative
 * answer ends the listing. */
typedef int erofs_name_fn(void *ctx, const char *name, size_t len, uint64_t nid, struct err *err);
int erofs_view_names(const struct erofs_view *v, const struct erofs_file *dir, erofs_name_fn *fn,
		     void *ctx, struct err *err) HULL_MUST_CHECK;

/* Gets the content in order, n bytes at a time; bytes is NULL for a hole. */
typedef int erofs_content_fn(void *ctx, const void *bytes, size_t n, struct err *err);
int erofs_view_content(const struct erofs_view *v, const struct erofs_file *file,
		       erofs_content_fn *fn, void *ctx, struct err *err) HULL_MUST_CHECK;

/* The file's attributes but for overlayfs' own, from the arena, NULL when there are none.
 * *ret_opaque says whether it is marked as hiding what lies below. */
int erofs_view_xattrs(const struct erofs_view *v, const struct erofs_file *file,
		      struct arena *arena, struct xattrs **ret, bool *ret_opaque, struct err *err)
	HULL_MUST_CHECK;

DEFINE_AUTO(struct erofs_view, erofs_view_free)
