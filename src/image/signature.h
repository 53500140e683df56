/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures of images in the form of cosign ("simple signing"): a payload, which is a JSON text
 * that names a repository and the digest of a manifest, and a signature over that text's bytes. A
 * store keeps them beside its images, and the indexes by which those came, for a signature may be
 * over one of them; whether all this is worth anything is another matter (sign.h).
 */
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "base/str.h"

struct buf;
struct err;
struct store;

enum { SIGNATURES_MAX = 128, SIGNATURE_BYTES_MAX = 64 << 10, INDEXES_MAX = 8 };

/* Both strings are owned. */
struct signature {
	char *payload; /* as it was signed */
	char *base64; /* of the signature, DER */
};

struct signatures {
	struct signature *v;
	size_t n;
	struct strv indexes; /* texts of indexes, each once; at most INDEXES_MAX, newest last */
};

/* Frees all; a zeroed list is fine. */
void signatures_done(struct signatures *list);

/* Appends a copy; one that is there already is not added again. */
int signatures_add(struct signatures *list, const char *payload, const char *base64,
		   struct err *err) HULL_MUST_CHECK;

/* Appends the text of an index, n bytes; the oldest goes when there are too many. */
int signatures_add_index(struct signatures *list, const char *text, size_t n, struct err *err)
	HULL_MUST_CHECK;

/* Reads what the store keeps for the image `id` (nothing: an empty list); the caller releases *ret.
 */
int signatures_read(const struct store *store, const char *id, struct signatures *ret,
		    struct err *err) HULL_MUST_CHECK;

/* Adds all of `more` to what the store keeps for the image `id`, on disk when it returns. */
int signatures_keep(const struct store *store, const char *id, const struct signatures *more,
		    struct err *err) HULL_MUST_CHECK;

/* Removes the signatures of images that are not in the store. */
int signatures_sweep(const struct store *store, struct err *err) HULL_MUST_CHECK;

/* Appends the payload that says: `digest` (hex, of a manifest) is what `repository` has. */
void payload_write(const char *repository, const char *digest, struct buf *to);

/* What a payload says; all owned, released with payload_done(). */
struct payload {
	char *repository; /* critical.identity.docker-reference, "" when there is none */
	char *digest; /* hex */
};

/* Reads a payload from outside. */
int payload_parse(const char *text, size_t n, struct payload *ret, struct err *err) HULL_MUST_CHECK;

/* Frees what payload owns. */
void payload_done(struct payload *payload);

#define AUTO_SIGNATURES AUTO(signatures_done)
