/* SPDX-License-Identifier: Apache-2.0 */
/* The documents of an OCI layout or docker-archive, each checked by its digest, into a spec. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "image/bundle.h"
#include "image/import_spec.h"
#include "image/sha256.h"

void import_spec_done(struct import_spec *spec)
{
	for (size_t i = 0; i < spec->n; i++)
		free(spec->layers[i].file);
	free(spec->layers);
	free(spec->config);
	free(spec->manifest);
	*spec = (struct import_spec){0};
}

static int out_of_memory(struct err *err)
{
	return err_set(err, ENOMEM, "out of memory");
}

static int alloc_layers(struct import_spec *spec, size_t n, struct err *err)
{
	spec->layers = calloc(n + 1, sizeof(*spec->layers));
	if (!spec->layers)
		return out_of_memory(err);
	spec->n = n;
	return 0;
}

static char *blob_name(const char *hex)
{
	char *name = NULL;

	return asprintf(&name, "blobs/sha256/%s", hex) < 0 ? NULL : name;
}

/* The document d points at, with size and digest as announced. */
static int read_document(const struct bundle *bundle, const struct oci_descriptor *d,
			 struct buf *text, struct err *err)
{
	AUTO_FREE char *name = blob_name(d->digest);
	char digest[DIGEST_HEX + 1];

	if (!name)
		return out_of_memory(err);
	if (d->size > IMAGE_JSON_MAX)
		return err_set(err, EFBIG, "'%s' is announced with %ju bytes, at most %d", name,
			       (uintmax_t)d->size, IMAGE_JSON_MAX);
	int r = bundle_read(bundle, name, IMAGE_JSON_MAX, text, err);
	if (r == 0 && text->len != d->size)
		return err_set(err, EINVAL, "'%s' has %zu bytes, not the announced %ju", name,
			       text->len, (uintmax_t)d->size);
	if (r == 0)
		r = sha256_hex(text->data, text->len, digest, err);
	if (r == 0 && strcmp(digest, d->digest) != 0)
		return err_set(err, EINVAL, "'%s' has the digest %s", name, digest);
	return r;
}

static int parse_text(const struct buf *text, const char *what, struct json_object **ret,
		      struct err *err)
{
	return json_parse(text->data, text->len, IMAGE_JSON_MAX, what, ret, err);
}

/* The name that picks one of several images when the user did not: if one is called like the image
 * to be. */
static const char *implied_ref(const struct oci_index *index, const struct reference *name)
{
	for (size_t i = 0; index->n > 1 && i < index->n; i++) {
		const char *ref = index->items[i].ref;
		if (ref &&
		    (strcmp(ref, name->name) == 0 || (name->tag && strcmp(ref, name->tag) == 0)))
			return ref;
	}
	return NULL;
}

static int find_in_index(const struct buf *text, const struct image_import *what, bool top,
			 struct oci_index *index, const struct oci_descriptor **ret,
			 struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	AUTO(platform_done) struct platform platform = {0};
	AUTO_REFERENCE struct reference name = {0};

	int r = parse_text(text, "index", &doc, err);
	if (r == 0)
		r = oci_parse_index(doc, index, err);
	if (r == 0)
		r = platform_parse(what->platform, &platform, err);
	if (r == 0)
		r = reference_parse(what->name, &name, err);
	if (r != 0)
		return r;
	const char *ref = !top ? NULL : what->ref ? what->ref : implied_ref(index, &name);
	return oci_select(index, &platform, what->platform != NULL, ref, ret, err);
}

/* Follows index.json down to a manifest, whose text is left in *text. */
static int find_manifest(const struct bundle *bundle, const struct image_import *what,
			 struct buf *text, char ret_digest[DIGEST_HEX + 1], struct err *err)
{
	enum { NESTED_MAX = 4 };

	int r = bundle_read(bundle, "index.json", IMAGE_JSON_MAX, text, err);
	for (int depth = 0; r == 0; depth++) {
		AUTO(oci_index_done) struct oci_index index = {0};
		const struct oci_descriptor *found = NULL;
		if (depth == NESTED_MAX)
			return err_set(err, ELOOP, "an index in an index, %d deep", depth);
		r = find_in_index(text, what, depth == 0, &index, &found, err);
		if (r != 0)
			return r;
		buf_clear(text);
		r = read_document(bundle, found, text, err);
		if (r == 0 && found->kind == OCI_MANIFEST) {
			memcpy(ret_digest, found->digest, DIGEST_HEX + 1);
			return 0;
		}
	}
	return r;
}

/* Compares the layers with the config's diff-ids, and notes those. */
static int join_config(struct import_spec *spec, const struct image_import *what, struct err *err)
{
	AUTO(platform_done) struct platform platform = {0};
	AUTO(auto_json_free) struct json_object *doc = NULL;
	AUTO_IMAGE struct image image = {0};

	int r = json_parse(spec->config, strlen(spec->config), IMAGE_JSON_MAX, "image config", &doc,
			   err);
	if (r == 0)
		r = image_parse_config(doc, &image, err);
	if (r == 0)
		r = platform_parse(what->platform, &platform, err);
	if (r != 0)
		return r;
	if (what->platform && !platform_is(&platform, image.os, image.architecture))
		return err_set(err, ENOENT, "the image is for %s/%s, not for %s", image.os,
			       image.architecture, what->platform);
	if (image.diff_ids.n != spec->n)
		return err_set(err, EINVAL, "%zu layers, but %zu diff-ids in the config", spec->n,
			       image.diff_ids.n);
	for (size_t i = 0; i < spec->n; i++)
		memcpy(spec->layers[i].diff_id, image.diff_ids.v[i], DIGEST_HEX + 1);
	return 0;
}

static int add_oci_layers(struct import_spec *spec, const struct oci_manifest *manifest,
			  struct err *err)
{
	int r = alloc_layers(spec, manifest->n, err);

	for (size_t i = 0; r == 0 && i < manifest->n; i++) {
		const struct oci_descriptor *d = &manifest->layers[i];
		struct import_layer *layer = &spec->layers[i];
		layer->file = blob_name(d->digest);
		layer->kind = d->kind;
		layer->size = d->size;
		memcpy(layer->blob, d->digest, DIGEST_HEX + 1);
		if (!layer->file)
			r = out_of_memory(err);
	}
	return r;
}

int import_parse_manifest(const struct buf *text, struct oci_manifest *ret, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;

	int r = parse_text(text, "manifest", &doc, err);
	if (r < 0)
		return r;
	r = oci_parse_manifest(doc, ret, err);
	return r < 0 ? err_wrap(err, "manifest") : 0;
}

int import_fill(struct import_spec *spec, const struct oci_manifest *manifest, struct buf *text,
		struct buf *config, const struct image_import *what, struct err *err)
{
	int r = add_oci_layers(spec, manifest, err);

	if (r < 0)
		return r;
	spec->config = buf_take(config);
	spec->manifest = buf_take(text);
	return spec->config && spec->manifest ? join_config(spec, what, err) : out_of_memory(err);
}

static int read_oci(const struct bundle *bundle, const struct image_import *what,
		    struct import_spec *spec, struct err *err)
{
	AUTO(oci_manifest_done) struct oci_manifest manifest = {0};
	AUTO_BUF struct buf text = BUF_INIT;
	AUTO_BUF struct buf config = BUF_INIT;

	int r = find_manifest(bundle, what, &text, spec->manifest_digest, err);
	if (r == 0)
		r = import_parse_manifest(&text, &manifest, err);
	if (r == 0)
		r = read_document(bundle, &manifest.config, &config, err);
	return r == 0 ? import_fill(spec, &manifest, &text, &config, what, err) : r;
}

/* Where a name of an archive holds a digest, the file has to have it. */
static int check_named_digest(const char *name, const struct buf *text, struct err *err)
{
	const char *slash = strrchr(name, '/');
	const char *base = slash ? slash + 1 : name;
	char digest[DIGEST_HEX + 1];

	int r = sha256_hex(text->data, text->len, digest, err);
	if (r == 0 && strnlen(base, DIGEST_HEX) == DIGEST_HEX && digest_is_hex(base, DIGEST_HEX) &&
	    strncmp(base, digest, DIGEST_HEX) != 0)
		return err_set(err, EINVAL, "'%.200s' has the digest %s", name, digest);
	return r;
}

static int add_docker_layers(struct import_spec *spec, const struct docker_image *image,
			     struct err *err)
{
	int r = alloc_layers(spec, image->layers.n, err);

	for (size_t i = 0; r == 0 && i < image->layers.n; i++) {
		spec->layers[i].file = strdup(image->layers.v[i]);
		if (!spec->layers[i].file)
			r = out_of_memory(err);
	}
	return r;
}

static int read_docker(const struct bundle *bundle, const struct image_import *what,
		       struct import_spec *spec, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	AUTO(docker_archive_done) struct docker_archive archive = {0};
	AUTO_REFERENCE struct reference name = {0};
	AUTO_BUF struct buf text = BUF_INIT;
	const struct docker_image *image = NULL;

	int r = reference_parse(what->name, &name, err);
	if (r == 0)
		r = bundle_read(bundle, "manifest.json", IMAGE_JSON_MAX, &text, err);
	if (r == 0)
		r = parse_text(&text, "manifest.json", &doc, err);
	if (r == 0) {
		r = docker_parse_archive(doc, &archive, err);
		if (r == 0)
			r = docker_select(&archive, what->ref, name.name, &image, err);
		if (r < 0)
			(void)err_wrap(err, "manifest.json");
	}
	buf_clear(&text);
	if (r == 0)
		r = bundle_read(bundle, image->config, IMAGE_JSON_MAX, &text, err);
	if (r == 0)
		r = check_named_digest(image->config, &text, err);
	if (r == 0)
		r = add_docker_layers(spec, image, err);
	if (r < 0)
		return r;
	spec->config = buf_take(&text);
	return spec->config ? join_config(spec, what, err) : out_of_memory(err);
}

int import_read(const struct bundle *bundle, const struct image_import *what,
		struct import_spec *ret, struct err *err)
{
	struct import_spec spec = {0};
	int r = -EINVAL;

	switch (bundle_kind(bundle)) {
	case BUNDLE_OCI:
		r = read_oci(bundle, what, &spec, err);
		break;
	case BUNDLE_DOCKER:
		r = read_docker(bundle, what, &spec, err);
		break;
	case BUNDLE_TAR:
	case BUNDLE_FOLDER:
		r = alloc_layers(&spec, 1, err);
		break;
	}
	if (r < 0) {
		import_spec_done(&spec);
		return r;
	}
	*ret = spec;
	return 0;
}
