/* SPDX-License-Identifier: Apache-2.0 */
#include "image/oci.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"

enum { INDEX_MAX = 1000, BLOB_MAX_BITS = 50 };

#define OCI    "application/vnd.oci.image."
#define DOCKER "application/vnd.docker."

enum oci_kind oci_kind(const char *media_type)
{
	static const struct {
		const char *type;
		enum oci_kind kind;
	} known[] = {
		{OCI "index.v1+json", OCI_INDEX},
		{OCI "manifest.v1+json", OCI_MANIFEST},
		{OCI "config.v1+json", OCI_CONFIG},
		{OCI "layer.v1.tar", OCI_LAYER},
		{OCI "layer.v1.tar+gzip", OCI_LAYER_GZIP},
		{OCI "layer.v1.tar+zstd", OCI_LAYER_ZSTD},
		{DOCKER "distribution.manifest.list.v2+json", OCI_INDEX},
		{DOCKER "distribution.manifest.v2+json", OCI_MANIFEST},
		{DOCKER "container.image.v1+json", OCI_CONFIG},
		{DOCKER "image.rootfs.diff.tar", OCI_LAYER},
		{DOCKER "image.rootfs.diff.tar.gzip", OCI_LAYER_GZIP},
		{DOCKER "image.rootfs.diff.tar.zstd", OCI_LAYER_ZSTD},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(media_type, known[i].type) == 0)
			return known[i].kind;
	}
	return OCI_OTHER;
}

static void descriptor_done(struct oci_descriptor *d)
{
	free(d->os);
	free(d->architecture);
	free(d->variant);
	free(d->ref);
}

static void descriptors_done(struct oci_descriptor *items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		descriptor_done(&items[i]);
	free(items);
}

void oci_index_done(struct oci_index *index)
{
	descriptors_done(index->items, index->n);
	*index = (struct oci_index){0};
}

void oci_manifest_done(struct oci_manifest *manifest)
{
	descriptor_done(&manifest->config);
	descriptors_done(manifest->layers, manifest->n);
	*manifest = (struct oci_manifest){0};
}

static int copy_str(struct json_object *obj, const char *key, char **ret, struct err *err)
{
	const char *s = NULL;

	int r = json_get_str(obj, key, &s, err);
	if (r <= 0)
		return r;
	*ret = strdup(s);
	return *ret ? 1 : err_set(err, ENOMEM, "out of memory");
}

static int parse_digest(struct json_object *obj, char ret[DIGEST_HEX + 1], struct err *err)
{
	const char *digest = NULL;
	const char *hex = NULL;

	int r = json_need(json_get_str(obj, "digest", &digest, err), "digest", err);
	if (r < 0)
		return r;
	if (!str_prefix(digest, "sha256:", &hex) || !digest_is_hex(hex, strlen(hex)))
		return err_set(err, EINVAL, "digest: '%.80s' is not 'sha256:' and 64 hex digits",
			       digest);
	memcpy(ret, hex, DIGEST_HEX + 1);
	return 0;
}

static int parse_platform(struct json_object *obj, struct oci_descriptor *ret, struct err *err)
{
	struct json_object *platform = NULL;

	int r = json_get_obj(obj, "platform", &platform, err);
	if (r <= 0)
		return r;
	r = json_need(copy_str(platform, "os", &ret->os, err), "os", err);
	if (r > 0)
		r = json_need(copy_str(platform, "architecture", &ret->architecture, err),
			      "architecture", err);
	if (r > 0)
		r = copy_str(platform, "variant", &ret->variant, err);
	return r < 0 ? err_wrap(err, "platform") : 0;
}

static int parse_annotations(struct json_object *obj, struct oci_descriptor *ret, struct err *err)
{
	struct json_object *notes = NULL;
	const char *type = NULL;

	int r = json_get_obj(obj, "annotations", &notes, err);
	if (r <= 0)
		return r;
	r = json_get_str(notes, "vnd.docker.reference.type", &type, err);
	if (r >= 0) {
		ret->is_attestation = type != NULL;
		r = copy_str(notes, "io.containerd.image.name", &ret->ref, err);
	}
	if (r == 0)
		r = copy_str(notes, "org.opencontainers.image.ref.name", &ret->ref, err);
	return r < 0 ? err_wrap(err, "annotations") : 0;
}

static int parse_descriptor(struct json_object *obj, struct oci_descriptor *ret, struct err *err)
{
	const char *type = NULL;
	struct json_object *urls = NULL;
	int64_t size = 0;

	if (!json_is_obj(obj))
		return err_set(err, EINVAL, "not an object");
	int r = json_need(json_get_str(obj, "mediaType", &type, err), "mediaType", err);
	if (r >= 0)
		r = parse_digest(obj, ret->digest, err);
	if (r >= 0)
		r = json_need(json_get_int(obj, "size", 0, INT64_C(1) << BLOB_MAX_BITS, &size, err),
			      "size", err);
	if (r >= 0)
		r = json_get_array(obj, "urls", &urls, err);
	if (r >= 0 && urls && json_len(urls) > 0)
		return err_set(err, EINVAL, "urls: content from elsewhere is not taken");
	if (r >= 0)
		r = parse_platform(obj, ret, err);
	if (r >= 0)
		r = parse_annotations(obj, ret, err);
	if (r < 0)
		return r;
	ret->kind = oci_kind(type);
	ret->size = (uint64_t)size;
	return 0;
}

static int parse_descriptors(struct json_object *doc, const char *key, size_t max,
			     struct oci_descriptor **ret, size_t *ret_n, struct err *err)
{
	struct json_object *list = NULL;

	int r = json_need(json_get_array(doc, key, &list, err), key, err);
	if (r < 0)
		return r;
	size_t n = json_len(list);
	if (n > max)
		return err_set(err, E2BIG, "%s: %zu of them, at most %zu", key, n, max);
	struct oci_descriptor *items = calloc(n + 1, sizeof(*items));
	if (!items)
		return err_set(err, ENOMEM, "out of memory");
	r = 0;
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = parse_descriptor(json_at(list, i), &items[i], err);
		if (r < 0)
			r = err_wrap(err, "%s: element %zu", key, i);
	}
	if (r < 0) {
		descriptors_done(items, n);
		return r;
	}
	*ret = items;
	*ret_n = n;
	return 0;
}

/*
 * What every document says of itself: schema version 2, and if it names its media type, the one
 * expected; and no member of another kind of document (CVE-2021-41190).
 */
static int check_kind(struct json_object *doc, enum oci_kind kind, const char *const *foreign,
		      struct err *err)
{
	const char *type = NULL;
	int64_t version = 0;

	if (!json_is_obj(doc))
		return err_set(err, EINVAL, "not a JSON object");
	int r = json_need(json_get_int(doc, "schemaVersion", 2, 2, &version, err), "schemaVersion",
			  err);
	if (r >= 0)
		r = json_get_str(doc, "mediaType", &type, err);
	if (r < 0)
		return r;
	if (type && oci_kind(type) != kind)
		return err_set(err, EINVAL, "mediaType: '%.80s' where %s belongs", type,
			       kind == OCI_INDEX ? "an index" : "a manifest");
	for (; *foreign; foreign++) {
		if (json_has(doc, *foreign))
			return err_set(err, EINVAL,
				       "'%s' in %s: could be read as two kinds of document",
				       *foreign, kind == OCI_INDEX ? "an index" : "a manifest");
	}
	return 0;
}

int oci_parse_index(struct json_object *doc, struct oci_index *ret, struct err *err)
{
	static const char *const foreign[] = {"config", "layers", "fsLayers", NULL};
	struct oci_index index = {0};

	int r = check_kind(doc, OCI_INDEX, foreign, err);
	if (r == 0)
		r = parse_descriptors(doc, "manifests", INDEX_MAX, &index.items, &index.n, err);
	if (r == 0)
		*ret = index;
	return r;
}

static int check_manifest(const struct oci_manifest *m, struct err *err)
{
	if (m->config.kind != OCI_CONFIG)
		return err_set(err, EINVAL, "config: not the config of a container image");
	for (size_t i = 0; i < m->n; i++) {
		enum oci_kind kind = m->layers[i].kind;
		if (kind != OCI_LAYER && kind != OCI_LAYER_GZIP && kind != OCI_LAYER_ZSTD)
			return err_set(err, EINVAL,
				       "layers: element %zu is of an unknown media type", i);
	}
	return 0;
}

int oci_parse_manifest(struct json_object *doc, struct oci_manifest *ret, struct err *err)
{
	static const char *const foreign[] = {"manifests", "fsLayers", NULL};
	struct json_object *config = NULL;
	struct oci_manifest m = {0};

	int r = check_kind(doc, OCI_MANIFEST, foreign, err);
	if (r == 0)
		r = json_need(json_get_obj(doc, "config", &config, err), "config", err);
	if (r > 0) {
		r = parse_descriptor(config, &m.config, err);
		if (r < 0)
			(void)err_wrap(err, "config");
	}
	if (r == 0)
		r = parse_descriptors(doc, "layers", IMAGE_LAYERS_MAX, &m.layers, &m.n, err);
	if (r == 0)
		r = check_manifest(&m, err);
	if (r < 0) {
		oci_manifest_done(&m);
		return r;
	}
	*ret = m;
	return 0;
}
