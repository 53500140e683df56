/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests and indexes as a registry has them: nothing that it says of one is believed, the text
 * is hashed and judged. */
#pragma once

#include "base/attr.h"
#include "base/buf.h"
#include "image/oci.h"

struct err;
struct json_object;
struct registry;

struct document {
	struct buf text; /* owned */
	char digest[DIGEST_HEX + 1]; /* of the text */
	char type[128]; /* the media type by the header, which may say nothing */
};

#define DOCUMENT_INIT ((struct document){.text = BUF_INIT})

/* Frees what it owns. */
void document_done(struct document *d);

/* Fetches the manifest or index that `what` (a tag or sha256:HEX) names into *ret, an empty one;
 * the caller releases it, on failure too. */
int document_fetch(struct registry *registry, const char *what, struct document *ret,
		   struct err *err) HULL_MUST_CHECK;

/* Whether it is OCI_MANIFEST or OCI_INDEX: what the registry calls it and what it calls itself (doc
 * is its text, parsed) have to agree. */
int document_kind(const struct document *d, struct json_object *doc, enum oci_kind *ret,
		  struct err *err) HULL_MUST_CHECK;
