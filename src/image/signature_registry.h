/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures of images at a registry, beside the images: cosign's artifact in the image's
 * repository, by the tag "sha256-HEX.sig" or as a referrer of the manifest. What comes from there
 * has been judged by nobody (sign.h).
 */
#pragma once

#include "base/attr.h"
#include "image/signature.h"

struct err;
struct registry;

/* Adds to *list (the caller's to release, on failure too) what the registry keeps for the manifest
 * `digest` (hex). That it keeps nothing is no failure. */
int signatures_fetch(struct registry *registry, const char *digest, struct signatures *list,
		     struct err *err) HULL_MUST_CHECK;

/* A manifest at a registry. Strings are borrowed. */
struct signed_manifest {
	const char *digest; /* hex */
	const char *type; /* its media type */
	size_t size;
};

/*
 * Puts those of the list that are over the manifest below its tag, beside what is there, and as
 * what refers to it: where the registry does not keep the list of referrers itself, that is done
 * under the tag for it (distribution-spec 1.1, "Unavailable Referrers API"). Returns how many were
 * new there.
 */
int signatures_send(struct registry *registry, const struct signed_manifest *manifest,
		    const struct signatures *list, struct err *err) HULL_MUST_CHECK;
