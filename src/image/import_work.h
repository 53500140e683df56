/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work of an import: each layer of a spec becomes a finished EROFS file in the importer's own
 * folder, or is found in the store; then all of it is moved into place and recorded at once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "image/bundle.h"
#include "image/import_spec.h"

struct err;
struct import_pull;
struct layer;
struct mounter;
struct store;

/* One layer made, or found. */
struct import_made {
	bool reused; /* stands in the store already: only key and sizes are filled */
	bool chain; /* key is the chain-id */
	char key[DIGEST_HEX + 1];
	char diff_id[DIGEST_HEX + 1];
	char blob[DIGEST_HEX + 1]; /* "": no blob is kept */
	uint64_t blob_bytes;
	uint64_t image_bytes, entries;
	int fd; /* the layer file; -1 when reused */
	char file[BUNDLE_NAME],
		blob_file[BUNDLE_NAME]; /* names in the importer's folder; "": none */
	struct layer *layer; /* still to be finished; NULL otherwise */
};

struct import_work {
	const struct store *store; /* borrowed, as all pointers here but made */
	const struct bundle *bundle; /* NULL: the source is a registry */
	struct import_pull *pull; /* NULL: it is not */
	struct mounter *mounter;
	const struct import_spec *spec;
	int dir; /* the importer's folder */
	const char *path; /* the same */
	struct import_made *made; /* spec->n; owned */
};

/* Makes all layers; work's borrowed members are set, the caller releases it with
 * import_work_done(). */
int import_make(struct import_work *work, struct err *err) HULL_MUST_CHECK;

/* Frees what work owns. */
void import_work_done(struct import_work *work);

/* Moves the files into the store and records image `id` (of that config) as `name` (NULL: without
 * one). */
int import_commit(struct import_work *work, const char *id, const char *config, const char *name,
		  struct err *err) HULL_MUST_CHECK;

/* Told of each name that an image got; NULL when it has none. */
typedef int import_loaded_fn(void *ctx, const char *id, const char *name, struct err *err);

struct import_loading {
	const char *source, *platform; /* as in struct image_import */
	struct mounter *mounter;
	int dir; /* the importer's folder */
	const char *path; /* the same */
	import_loaded_fn *loaded;
	void *ctx;
};

/* Imports every image of an OCI layout or docker-archive, one after the other, with all its names;
 * what came in before a failure stays. */
int import_load(const struct store *store, const struct bundle *bundle,
		const struct import_loading *what, struct err *err) HULL_MUST_CHECK;
