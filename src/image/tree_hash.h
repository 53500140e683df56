/* SPDX-License-Identifier: Apache-2.0 */
/* Finds a name in a folder of the tree. Keyed with random bytes, so that no archive can be made
 * whose names all fall together. For tree.c. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct dent;
struct err;
struct inode;

struct tree_hash {
	struct dent **buckets; /* owned; dent.hash_next; the dents are borrowed */
	size_t n_buckets; /* a power of two */
	size_t count;
	uint64_t key[2];
};

/* Makes an empty table. */
int tree_hash_init(struct tree_hash *h, struct err *err) HULL_MUST_CHECK;

/* Releases the table, not what it points at. */
void tree_hash_done(struct tree_hash *h);

/* The dent of that name (not NUL-terminated) in parent, or NULL. */
struct dent *tree_hash_find(const struct tree_hash *h, const struct inode *parent, const char *name,
			    size_t len);

/* Adds a dent whose name is not in the table. */
void tree_hash_add(struct tree_hash *h, struct dent *d);
