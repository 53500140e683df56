/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image of the store as documents and blobs again, for all that leaves the store: archives,
 * layouts, registries. Kept blobs go out as they came, and with all of them the manifest too. A
 * layer without its blob goes out as the tar of its layer file: of a folder that is what its
 * diff-id names; of another tar it is a new layer, so that the image's config and id are new as
 * well (`changed`).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "image/image.h"
#include "image/image_priv.h"
#include "image/layer.h"

struct err;
struct store;

struct kept_layer {
	char digest[DIGEST_HEX + 1]; /* of what goes out */
	char diff_id[DIGEST_HEX + 1];
	uint64_t size;
	const char *media_type; /* static */
	bool blob; /* kept: a file of blobs/; else the tar of the layer file */
};

/* All members are owned. */
struct kept {
	struct image image;
	char *config, *manifest; /* the documents */
	char id[DIGEST_HEX + 1]; /* digest of config */
	char manifest_digest[DIGEST_HEX + 1];
	struct kept_layer *layers; /* image.layers.n, lowest first */
	bool changed; /* id is not image.id */
};

/* Finds the image `what` and makes its documents. The caller releases *ret with kept_done(). */
int kept_open(const struct store *store, const char *what, struct kept *ret, struct err *err)
	HULL_MUST_CHECK;

/* Frees what kept owns; a zeroed one is fine. */
void kept_done(struct kept *kept);

/*
 * Gives the bytes of layer i to `write`. EUCLEAN at the end when they were not what the digest
 * says: what was written is then to be thrown away.
 */
int kept_write(const struct store *store, const struct kept *kept, size_t i, layer_write_fn *write,
	       void *ctx, struct err *err) HULL_MUST_CHECK;

/* Opens the file of a kept blob, or of the layer `key`; the caller closes. */
int kept_open_blob(const struct store *store, const char *hex, struct err *err) HULL_MUST_CHECK;
int kept_open_layer(const struct store *store, const char *key, struct err *err) HULL_MUST_CHECK;

#define AUTO_KEPT AUTO(kept_done)
