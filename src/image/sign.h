/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signing images and judging their signatures, and the OCI artifact in which registries keep them
 * (tag "sha256-HEX.sig", or as a referrer): one layer for each signature, holding the payload, with
 * the signature as an annotation.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/str.h"
#include "image/image_priv.h"
#include "image/signature.h"

struct buf;
struct err;
struct image;
struct sign_key;
struct store;

/* The keys that may have signed. All owned. */
struct trusted {
	struct sign_key **keys;
	size_t n;
};

/* Reads public keys: paths of PEM files, or "data:" and a PEM file in base64. The caller releases
 * *ret with trusted_done(). */
int trusted_open(const char *const *keys, size_t n, struct trusted *ret, struct err *err)
	HULL_MUST_CHECK;

/* Frees what it owns; a zeroed one is fine. */
void trusted_done(struct trusted *trusted);

/* Digests (hex) of what may be signed so that an image is: its manifest, then the indexes that name
 * that, or an index that does. */
struct signable {
	char digest[1 + INDEXES_MAX][DIGEST_HEX + 1];
	size_t n;
};

/*
 * Finds those of the indexes (texts; nobody has judged them) that lead to the manifest: by its
 * digest, as an image, and for the platform that the image itself is for, or none.
 */
int signable_find(const struct strv *indexes, const char *manifest_digest,
		  const struct image *image, struct signable *ret, struct err *err) HULL_MUST_CHECK;

/*
 * Whether a signature is one of a trusted key over any of `what` for `repository` (NULL: for any):
 * 1, or 0 with the reason in why.
 */
int signature_judge(const struct signature *signature, const struct trusted *trusted,
		    const struct signable *what, const char *repository, struct err *why,
		    struct err *err) HULL_MUST_CHECK;

/* How many of the list hold, in that sense; why: what the last of the others lacks, or that there
 * is none. */
int signatures_judge(const struct signatures *list, const struct trusted *trusted,
		     const struct signable *what, const char *repository, struct err *why,
		     struct err *err) HULL_MUST_CHECK;

/* Signs the manifest or index `digest` (hex) for the repository of `name`, and appends the
 * signature.
 */
int sign_digest(const struct sign_key *key, const char *name, const char *digest,
		struct signatures *to, struct err *err) HULL_MUST_CHECK;

/* Signs the image `what` for `repository` with the private key, and keeps the signature. */
int sign_image(const struct store *store, const char *what, const char *repository,
	       const struct sign_key *key, struct err *err) HULL_MUST_CHECK;

/*
 * Signs what the full name means at its registry, be it a manifest or an index, for `repository`
 * (NULL: the one of the name), and sends the signature there. ret_digest (hex) is of what was
 * signed.
 */
int sign_remote(const char *name, bool no_verify, const char *repository,
		const struct sign_key *key, char ret_digest[DIGEST_HEX + 1], struct err *err)
	HULL_MUST_CHECK;

/* signatures_judge() of those that the store keeps for the image. */
int verify_image(const struct store *store, const char *what, const char *repository,
		 const struct trusted *trusted, struct err *why, struct err *err) HULL_MUST_CHECK;

/* The artifact's own type, where something refers to an image. */
#define ARTIFACT_TYPE "application/vnd.dev.cosign.artifact.sig.v1+json"

/* The documents of the artifact: layer i is the payload of signature i, behind all that base (an
 * artifact's manifest, NULL: none) has. Appends config and manifest; subject (a descriptor as JSON,
 * NULL: none) makes it a referrer. */
int artifact_write(const struct signatures *list, const char *base, const char *subject,
		   struct buf *config, struct buf *manifest, struct err *err) HULL_MUST_CHECK;

/* What an artifact's manifest says of one layer: the payload is to be fetched by its digest. */
struct artifact_layer {
	char digest[DIGEST_HEX + 1];
	uint64_t size;
	char *base64; /* the signature; owned */
};

/* Reads an artifact's manifest from outside; layers that are no signatures are passed over. The
 * caller frees *ret and each base64. */
int artifact_parse(const char *text, size_t n, struct artifact_layer **ret, size_t *ret_n,
		   struct err *err) HULL_MUST_CHECK;
