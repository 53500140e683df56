/* SPDX-License-Identifier: Apache-2.0 */
/* What an import is to make, as its source's documents say; and the image's config document. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "image/image.h"
#include "image/oci.h"

struct buf;
struct bundle;
struct err;

struct import_layer {
	char *file; /* in the bundle; NULL: the bundle is the layer */
	enum oci_kind kind; /* which compression was announced; OCI_OTHER: any */
	char blob[DIGEST_HEX + 1]; /* what the blob has to be; "" and size 0: not announced */
	uint64_t size;
	char diff_id[DIGEST_HEX + 1]; /* what it has to hold; "": not announced */
};

/* All members are owned. */
struct import_spec {
	char *config; /* the document; NULL: to be made, of a root */
	char *manifest; /* the document; NULL: none */
	char manifest_digest[DIGEST_HEX + 1];
	struct import_layer *layers; /* lowest first */
	size_t n;
};

/* Reads the documents of the bundle and checks them against each other. The caller releases *ret
 * with import_spec_done(). */
int import_read(const struct bundle *bundle, const struct image_import *what,
		struct import_spec *ret, struct err *err) HULL_MUST_CHECK;

/* Reads a manifest's text; the caller releases *ret with oci_manifest_done(). */
int import_parse_manifest(const struct buf *text, struct oci_manifest *ret, struct err *err)
	HULL_MUST_CHECK;

/* Makes a spec (zeroed, or with its manifest_digest) of a manifest, its text and its config's, both
 * of which are taken; they are checked against each other. Released by the caller, on failure too.
 */
int import_fill(struct import_spec *spec, const struct oci_manifest *manifest, struct buf *text,
		struct buf *config, const struct image_import *what, struct err *err)
	HULL_MUST_CHECK;

/* Frees what spec owns; a zeroed one is fine. */
void import_spec_done(struct import_spec *spec);

/* Whether the user asked for anything that changes the image's config. */
bool import_changes(const struct image_import *what);

/* Checks what the user asked for, before any work is done. */
int import_check(const struct image_import *what, struct err *err) HULL_MUST_CHECK;

/*
 * The config document `base` with what the user asked for put in, in *ret; the caller frees. base
 * NULL: a new one, of one layer with that diff-id, created at created_ns.
 */
int import_config(const char *base, const struct image_import *what, const char *diff_id,
		  uint64_t created_ns, char **ret, struct err *err) HULL_MUST_CHECK;
