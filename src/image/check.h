/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking for damage in a store's images: the records, against each other and against the digests
 * they are known by; each layer file, from super block to last block, and against what it was made
 * of; each kept blob, against its name.
 */
#pragma once

#include <stdbool.h>

#include "base/attr.h"

struct err;
struct mounter;
struct store;

enum damage {
	DAMAGE_RECORDS, /* of the database; key is what SQLite names */
	DAMAGE_IMAGE, /* an image's record; key is its id */
	DAMAGE_LAYER, /* a layer file; key is its name */
	DAMAGE_BLOB, /* a kept blob; key is its digest */
};

/* One damage; borrowed for the call. A negative answer ends the check with it. */
typedef int damage_fn(void *ctx, enum damage kind, const char *key, const char *why,
		      struct err *err);

/* Tells every damage there is; quick: without reading all content. A blob that is not kept any more
 * is none. The mounter (borrowed) shows what lies below a layer. */
int store_check(const struct store *store, struct mounter *mounter, bool quick, damage_fn *fn,
		void *ctx, struct err *err) HULL_MUST_CHECK;

/* "image", "layer" … */
const char *damage_name(enum damage kind);

/*
 * Mends what store_check() finds: a damaged blob is removed, a damaged layer made again of kept
 * blobs; where that cannot be, the images that need it are removed. Damaged records are left, and
 * told as such. Each thing done is a line for say(); answers 1 when something stays damaged.
 */
int store_repair(const struct store *store, struct mounter *mounter, void (*say)(const char *line),
		 struct err *err) HULL_MUST_CHECK;
