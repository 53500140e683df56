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

/* Parses and checks a name (EINVAL says what is wrong); released with reference_done(). */
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
	const char *load; /* for image_load() alone */
};

/* Imports; *ret_id is the image's id, caller frees. Whole or not at all. */
int image_import(const struct store *store, const struct image_import *what, char **ret_id,
		 struct err *err) HULL_MUST_CHECK;

/* --- registries --- */

/*
 * The full name that people mean by `text`, in *ret; the caller frees. A name with a registry is
 * itself (docker.io/x is docker.io/library/x); of others /etc/hull/registries says by an alias, or
 * by the one place to search, which registry is meant (registry_config). EINVAL when it does not:
 * nothing is guessed.
 */
int image_full_name(const char *text, char **ret, struct err *err) HULL_MUST_CHECK;

/* What to pull; strings are borrowed. */
struct image_pull {
	const char *name; /* full: see image_full_name() */
	const char *platform; /* NULL: this host's */
	bool no_verify; /* plain HTTP and unknown certificates will do */
	bool quiet; /* no progress on standard error */
};

/* Pulls an image; *ret_id is its id, caller frees. Whole or not at all, but what has come of its
 * layers is kept for the next attempt. EACCES when the policy refuses it; the signatures that the
 * policy demands are kept with the image. */
int image_pull(const struct store *store, const struct image_pull *what, char **ret_id,
	       struct err *err) HULL_MUST_CHECK;

enum image_pull_policy { IMAGE_PULL_MISSING, IMAGE_PULL_ALWAYS, IMAGE_PULL_NEVER };

/* Reads "missing", "always" or "never". */
int image_pull_policy(const char *text, enum image_pull_policy *ret, struct err *err)
	HULL_MUST_CHECK;

/* What a workload is to be made from; strings are borrowed. */
struct image_wanted {
	const char *name; /* as image_find() takes it */
	const char *platform; /* NULL: of what is in the store any, else this host's */
	enum image_pull_policy policy;
};

/* image_find() that pulls, by its full name, what the policy says; the caller releases *ret. */
int image_ensure(const struct store *store, const struct image_wanted *wanted, struct image *ret,
		 struct err *err) HULL_MUST_CHECK;

/* What to push; strings are borrowed. */
struct image_push {
	const char *image; /* as image_find() takes it */
	const char *to; /* full name, or NULL: the name it is found by */
	bool no_verify; /* as for image_pull */
	void (*told)(void *ctx,
		     const char *line); /* what became of a layer; NULL: nobody listens */
	void *ctx;
};

/*
 * Pushes an image with the very bytes it came with: its manifest has the same digest afterwards. A
 * layer whose blob is not kept goes as a tar made of its layer file, always the same. The
 * signatures kept of the manifest go with it. *ret_digest, "sha256:HEX", is the manifest's, caller
 * frees.
 */
int image_push(const struct store *store, const struct image_push *what, char **ret_digest,
	       struct err *err) HULL_MUST_CHECK;

/* --- what leaves the store, and how the store is kept whole --- */

/* Imports every image of an OCI layout or docker-archive ("-": standard input), with its names;
 * "ID NAME" is appended to *loaded for each name ("ID " for an image without), on failure too. */
int image_load(const struct store *store, const char *source, const char *platform,
	       struct strv *loaded, struct err *err) HULL_MUST_CHECK;

/* Writes images to `out` as one archive that is an OCI layout and a docker-archive. */
int image_save(const struct store *store, const struct strv *names, int out, struct err *err)
	HULL_MUST_CHECK;

/* Looks for damage; each is a line on `out`. quick: without reading all content. Answers 1 when
 * there is some. */
int image_check(const struct store *store, bool quick, int out, struct err *err) HULL_MUST_CHECK;

/* Mends what image_check() finds: makes layers again of kept blobs, and removes what cannot be
 * mended. Each thing found or done is a line on `out`. Answers 1 when some damage stays. */
int image_repair(const struct store *store, int out, struct err *err) HULL_MUST_CHECK;

/* What the store's images take; bytes as the file system counts them. */
struct image_usage {
	uint64_t images, images_active; /* active: a workload is made from it */
	uint64_t layers, layer_bytes, layer_bytes_active;
	uint64_t blobs, blob_bytes;
};

/* Counts it all; no file is read. */
int image_usage(const struct store *store, struct image_usage *ret, struct err *err)
	HULL_MUST_CHECK;

/* Removes every image that no workload is made from, named or not; appends as image_remove(). */
int image_prune_all(const struct store *store, struct strv *done, struct err *err) HULL_MUST_CHECK;

/* Removes the kept blobs: images stay, but leave the store in another form from then on. *ret_bytes
 * is what that freed. -EBUSY while an image is being imported. */
int image_prune_blobs(const struct store *store, uint64_t *ret_bytes, struct err *err)
	HULL_MUST_CHECK;

/* A root to be made of Debian packages; all borrowed. */
struct image_packages {
	const char *name;
	struct strv packages; /* beside the essential ones */
	const char *suite; /* "bookworm" */
	const char *mirror; /* as mmdebstrap takes it; NULL: Debian's */
	const char *cmd; /* as in struct image_import */
	struct strv env;
};

/* Has mmdebstrap make it and imports it; *ret_id as image_import(). Uses up standard input. */
int image_from_packages(const struct store *store, const struct image_packages *p, char **ret_id,
			struct err *err) HULL_MUST_CHECK;

/* --- signatures (cosign's: ECDSA P-256 over a "simple signing" payload) --- */

/* Signs the image `what` for `repository` (NULL: the one of its name) with the private key in the
 * file `key`, and keeps the signature. Its passphrase is $COSIGN_PASSWORD or asked for. */
int image_sign(const struct store *store, const char *what, const char *repository, const char *key,
	       struct err *err) HULL_MUST_CHECK;

/* What to sign at a registry: a full name; the rest as for image_sign() and image_pull. */
struct image_sign_remote {
	const char *name, *repository, *key;
	bool no_verify;
};

/* Signs what the name means there (of an image for several platforms: the index), and sends the
 * signature. *ret_digest, "sha256:HEX", is of what was signed, caller frees. */
int image_sign_remote(const struct store *store, const struct image_sign_remote *what,
		      char **ret_digest, struct err *err) HULL_MUST_CHECK;

/* Whether one of the keys (files of public keys, or "data:" and base64 of one) has signed the image
 * for `repository` (NULL: for any): 1; or 0, and why says why not. */
int image_verify(const struct store *store, const char *what, const char *repository,
		 const struct strv *keys, struct err *why, struct err *err) HULL_MUST_CHECK;

/* Makes a key pair: PREFIX.key (0600; sealed by a passphrase, as image_sign() gets it) and
 * PREFIX.pub. EEXIST when there is one of them. */
int image_key_new(const struct store *store, const char *prefix, bool sealed, struct err *err)
	HULL_MUST_CHECK;

/*
 * Whether /etc/hull/policy.json allows the image to be run under the name (NULL: under all it has,
 * or, if it has none, at all): EACCES says why not. Without such a file everything is allowed; one
 * that is not understood allows nothing.
 */
int image_policy_check(const struct store *store, const struct image *image, const char *name,
		       struct err *err) HULL_MUST_CHECK;

#define AUTO_IMAGE     AUTO(image_done)
#define AUTO_REFERENCE AUTO(reference_done)
