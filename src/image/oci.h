/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The documents around an image: index and manifest (OCI image-spec 1.1, Docker schema 2) and the
 * manifest.json of a docker-archive. All of it comes from outside: what a document claims to be is
 * compared with what it was fetched as, and a document that could be read as two kinds is refused.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "image/image_priv.h"
#include "image/platform.h"

struct err;
struct json_object;

enum oci_kind {
	OCI_OTHER, /* known to nobody here: skipped in an index, refused elsewhere */
	OCI_INDEX,
	OCI_MANIFEST,
	OCI_CONFIG,
	OCI_LAYER, /* a plain tar */
	OCI_LAYER_GZIP,
	OCI_LAYER_ZSTD,
};

/* The kind that a media type names. */
enum oci_kind oci_kind(const char *media_type);

/* Points at a blob. Strings are owned. */
struct oci_descriptor {
	enum oci_kind kind;
	char digest[DIGEST_HEX + 1];
	uint64_t size;
	char *os, *architecture, *variant; /* NULL: no platform is said */
	char *ref; /* annotation org.opencontainers.image.ref.name or Docker's name; NULL: none */
	bool is_attestation; /* no image: says something about one (BuildKit) */
};

struct oci_index {
	struct oci_descriptor *items;
	size_t n;
};

struct oci_manifest {
	struct oci_descriptor config;
	struct oci_descriptor *layers; /* lowest first */
	size_t n;
};

/* One image of a docker-archive; layers are names of files in it, lowest first. */
struct docker_image {
	char *config;
	struct strv layers, tags;
};

struct docker_archive {
	struct docker_image *images;
	size_t n;
};

/* Each fills *ret, which the caller releases with its _done(). */
int oci_parse_index(struct json_object *doc, struct oci_index *ret, struct err *err)
	HULL_MUST_CHECK;
int oci_parse_manifest(struct json_object *doc, struct oci_manifest *ret, struct err *err)
	HULL_MUST_CHECK;
int docker_parse_archive(struct json_object *doc, struct docker_archive *ret, struct err *err)
	HULL_MUST_CHECK;

/* Each frees what its struct owns and zeroes it; a zeroed one is fine. */
void oci_index_done(struct oci_index *index);
void oci_manifest_done(struct oci_manifest *manifest);
void docker_archive_done(struct docker_archive *archive);

/* Whether it is an image, or an index of some: no attestation, and nothing unknown. */
bool oci_is_image(const struct oci_descriptor *d);

/* Whether it may be for that platform: one that does not say may be, its config will tell. */
bool oci_platform_matches(const struct oci_descriptor *d, const struct platform *p);

/*
 * Picks the image for `platform` (wanted: the user asked for it) of an index, by the name it has
 * there, or as "@sha256:HEX", when ref is not NULL. A single image is taken whatever it is for,
 * unless asked otherwise. *ret points into index. ENOENT and EINVAL say what there is to choose
 * from.
 */
int oci_select(const struct oci_index *index, const struct platform *platform, bool wanted,
	       const char *ref, const struct oci_descriptor **ret, struct err *err) HULL_MUST_CHECK;

/* The one image of a docker-archive, or the one tagged ref (or "@sha256:HEX" of its config); `name`
 * decides if there are several. */
int docker_select(const struct docker_archive *archive, const char *ref, const char *name,
		  const struct docker_image **ret, struct err *err) HULL_MUST_CHECK;
