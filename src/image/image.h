/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door to images: names, what an image says about running it, its layer files, and bringing
 * images in and out of the store. An image is known by its id (the digest of its config, 64 hex
 * digits) and by any number of names. Archives are only ever read by the program hull-import, which
 * image_import() starts.
 *
 * A layer file that a record names is complete and never changes. Whoever writes a record that
 * needs an image (a workload) checks in the same transaction that the manifest is still there:
 * image_pin().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct buf;
struct db;
struct err;
struct json_object;
struct store;

/* An image's name, "[registry/]repository[:tag][@sha256:hex]". All members are owned. */
struct reference {
	char *registry; /* "example.org:5000"; NULL: none was named, and none is guessed */
	char *repository; /* "library/nginx" */
	char *tag; /* "latest" when the text had neither tag nor digest; NULL with a digest alone */
	char *digest; /* 64 hex digits, or NULL */
	char *name; /* without digest, as the store knows it: "example.org:5000/nginx:latest" */
};

/* Parses and checks a name (EINVAL says what is wrong); the caller releases with reference_done().
 */
int reference_parse(const char *text, struct reference *ret, struct err *err) HULL_MUST_CHECK;

/* Frees what ref owns; a zeroed one is fine. */
void reference_done(struct reference *ref);

struct image_health {
	struct strv test; /* empty: none; else "NONE", or "CMD" or "CMD-SHELL" and words */
	uint64_t interval_ns, timeout_ns, start_period_ns; /* 0: not said */
	uint32_t retries; /* 0: not said */
};

/* What the image says about running it. All members are owned. */
struct image_config {
	struct strv entrypoint, cmd, env;
	struct strv exposed; /* "80/tcp" */
	struct strv volumes; /* paths */
	struct strv labels; /* "KEY=VALUE" */
	char *workdir, *user, *stop_signal; /* NULL: not said */
	struct image_health health;
};

struct image {
	char *id;
	char *name; /* the name it was found by, or the first it has; NULL: it has none */
	struct strv names;
	char *os, *architecture, *variant; /* variant may be NULL */
	uint64_t created_ns, imported_ns; /* created: 0 when the image does not say */
	uint64_t size; /* bytes of its layer files */
	struct image_config config;
	struct strv layers; /* EROFS files, absolute paths, lowest first */
	struct strv layer_keys; /* the same by key, the file's name without ".erofs" */
	struct strv diff_ids; /* 64 hex digits each, lowest first */
	char *manifest_digest; /* hex, of the manifest it came with; or NULL */
	char *json; /* its config document, whole */
};

/*
 * Finds an image by name, by id ("sha256:" in front is fine), by a beginning of its id that no
 * other has, or by name@digest. ENOENT when there is none. The caller releases with image_done().
 */
int image_find(const struct store *store, const char *what, struct image *ret, struct err *err)
	HULL_MUST_CHECK;

/* Frees what image owns; a zeroed one is fine. */
void image_done(struct image *image);

/* Whether the image `id` is (still) in the database, asked within the transaction that needs it;
 * ENOENT if not. Undoes a removal that waited for the last workload. */
int image_pin(struct db *txn, const char *id, struct err *err) HULL_MUST_CHECK;

/* This host's architecture as images name it: "amd64", "arm64"; "unknown" when hull has no word. */
const char *image_host_architecture(void);

/* Whether this host can run the image: its os and architecture (ENOEXEC says which it needs). */
int image_check_platform(const struct image *image, struct err *err) HULL_MUST_CHECK;

/* One line of a listing: a name, or an image without any (name NULL). Borrowed for the call. */
struct image_row {
	const char *id, *name, *os, *architecture;
	uint64_t created_ns, imported_ns, size;
	uint32_t workloads; /* how many are made from it */
};

/* A negative answer ends image_list() with it. */
typedef int image_row_fn(void *ctx, const struct image_row *row, struct err *err);

/* Tells all images, newest import first; with pattern only names that match it (fnmatch). */
int image_list(const struct store *store, const char *pattern, image_row_fn *fn, void *ctx,
	       struct err *err) HULL_MUST_CHECK;

/* Appends docker's form of an image as JSON to *to (buf_check() tells whether memory sufficed). */
int image_inspect(const struct image *image, struct buf *to, bool pretty, struct err *err)
	HULL_MUST_CHECK;

/* Gives the image `what` the further name `name`, taking it from another image if need be. */
int image_tag(const struct store *store, const char *what, const char *name, struct err *err)
	HULL_MUST_CHECK;

/*
 * Removes a name, or an image with all its names by its id; the image goes with its last name.
 * EBUSY when a workload is made from it, or (by id) when it has several names; with force the names
 * go at once and the content when the last workload went. What was done is appended to *done:
 * "Untagged: NAME", "Deleted: sha256:ID".
 */
int image_remove(const struct store *store, const char *what, bool force, struct strv *done,
		 struct err *err) HULL_MUST_CHECK;

/* Removes every image without a name that no workload is made from; appends to *done as above. */
int image_prune(const struct store *store, struct strv *done, struct err *err) HULL_MUST_CHECK;

/*
 * Removes what no record needs: unfinished work of importers that died, layer files and blobs of
 * removed images. Does what it can without waiting: while an import is under way, only the former.
 */
int image_gc(const struct store *store, struct err *err) HULL_MUST_CHECK;

/* What to import and as what; all borrowed. Strings may be NULL, lists empty: as the source says.
 */
struct image_import {
	const char *source; /* OCI layout or docker-archive or root tar or folder; "-": standard
			       input */
	const char *name;
	const char *platform; /* "linux/arm64[/v8]": which of several, or what a root tar is for */
	const char *ref; /* which of several images of an archive, by the name it has there */
	const char *cmd, *entrypoint; /* a JSON array; or one word; or a line for /bin/sh -c */
	struct strv env, expose, labels, volumes; /* added to what the source has */
	const char *workdir, *user, *stop_signal;
};

/* Imports; *ret_id is the image's id, caller frees. Whole or not at all. */
int image_import(const struct store *store, const struct image_import *what, char **ret_id,
		 struct err *err) HULL_MUST_CHECK;

#define AUTO_IMAGE     AUTO(image_done)
#define AUTO_REFERENCE AUTO(reference_done)
