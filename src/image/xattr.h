/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes of one inode, gathered and packed into the form EROFS keeps beside the inode.
 * What overlayfs would take as its own orders (trusted.overlay.*, user.overlay.*) never comes in
 * from outside: xattr_add() refuses it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "image/arena.h"

struct err;

/* The packed form: len bytes (a multiple of 4), header included, as they lie behind the inode. */
struct xattrs {
	uint32_t len;
	uint8_t body[];
};

/* A set being gathered. */
struct xattr_set {
	struct buf entries; /* encoded, one behind the other */
	size_t count;
};

#define XATTR_SET_INIT ((struct xattr_set){.entries = BUF_INIT})

enum { XATTR_IGNORED = 1 };

/*
 * Adds a copy of one attribute by its full name ("user.x"); a name already there is replaced.
 * Answers XATTR_IGNORED for a name space that EROFS cannot hold. Refuses overlayfs' names and what
 * is longer than the kernel allows.
 */
int xattr_add(struct xattr_set *set, const char *name, const void *value, size_t n, struct err *err)
	HULL_MUST_CHECK;

/* Empties the set, keeps its memory. */
void xattr_set_clear(struct xattr_set *set);

/* Releases the set. */
void xattr_set_done(struct xattr_set *set);

/* Packs the set, ordered by name, into *ret (from the arena; NULL for the empty set). */
int xattr_pack(const struct xattr_set *set, struct arena *arena, struct xattrs **ret,
	       struct err *err) HULL_MUST_CHECK;

/* *ret becomes `old` (may be NULL) with the marks of an opaque folder added, from the arena. */
int xattr_pack_opaque(const struct xattrs *old, struct arena *arena, struct xattrs **ret,
		      struct err *err) HULL_MUST_CHECK;

/* One attribute of a packed set; all borrowed from it. */
struct xattr_view {
	const char *space; /* "user." … */
	const char *name; /* the rest, name_len bytes */
	size_t name_len;
	const void *value;
	size_t n;
};

/* The attribute at *at (0 for the first, moved on to the next); false behind the last. */
bool xattr_next(const struct xattrs *x, size_t *at, struct xattr_view *ret);
