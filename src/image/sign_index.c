/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An index names manifests by their digests, so whoever has signed it has signed them. Which
 * indexes lead to an image is found from below: first what names its manifest, then what names
 * that. Only bytes count: an index that was changed has another digest, and is one that nobody has
 * signed.
 */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "image/image.h"
#include "image/oci.h"
#include "image/sha256.h"
#include "image/sign.h"

/* Whether the index's line d leads to what is known to lead to the image. */
static bool leads(const struct oci_descriptor *d, const struct signable *known,
		  const struct image *image)
{
	const struct platform platform = {.os = image->os, .architecture = image->architecture};

	if (!oci_is_image(d) || !oci_platform_matches(d, &platform))
		return false;
	for (size_t i = 0; i < known->n; i++) {
		/* the first is the manifest, all others are indexes */
		if (d->kind == (i == 0 ? OCI_MANIFEST : OCI_INDEX) &&
		    strcmp(d->digest, known->digest[i]) == 0)
			return true;
	}
	return false;
}

/* Whether the text is an index with such a line. */
static bool is_on_the_way(const char *text, const struct signable *known, const struct image *image)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	AUTO(oci_index_done) struct oci_index index = {0};
	struct err ignored = ERR_INIT; /* what is no index leads nowhere */

	if (json_parse(text, strlen(text), IMAGE_JSON_MAX, "index", &doc, &ignored) < 0 ||
	    oci_parse_index(doc, &index, &ignored) < 0)
		return false;
	for (size_t i = 0; i < index.n; i++) {
		if (leads(&index.items[i], known, image))
			return true;
	}
	return false;
}

int signable_find(const struct strv *indexes, const char *manifest_digest,
		  const struct image *image, struct signable *ret, struct err *err)
{
	bool taken[INDEXES_MAX] = {false};
	struct signable found = {.n = 1};

	(void)snprintf(found.digest[0], sizeof(found.digest[0]), "%s", manifest_digest);
	for (bool more = true; more;) {
		more = false;
		for (size_t i = 0; i < indexes->n && i < INDEXES_MAX; i++) {
			const char *text = indexes->v[i];
			if (taken[i] || !is_on_the_way(text, &found, image))
				continue;
			int r = sha256_hex(text, strlen(text), found.digest[found.n], err);
			if (r < 0)
				return r;
			found.n++;
			taken[i] = more = true;
		}
	}
	*ret = found;
	return 0;
}
