/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "image/sha256.h"
#include "image/sign.h"

#define SIGNATURE_TYPE "application/vnd.dev.cosign.simplesigning.v1+json"
#define SIGNATURE_NOTE "dev.cosignproject.cosign/signature"

static void put_blob(struct json_out *out, const char *type, const char *digest, size_t size)
{
	json_put_str(out, "mediaType", type);
	json_put_str(out, "digest", digest);
	json_put_uint(out, "size", size);
}

/* An image's config, as cosign has it: its layers are the payloads. */
static void put_config(struct buf *to, const struct strv *digests)
{
	struct json_out out = JSON_OUT(to, false);

	json_begin(&out, NULL);
	json_put_str(&out, "architecture", "");
	json_put_time(&out, "created", 0);
	json_put_str(&out, "os", "");
	json_begin(&out, "rootfs");
	json_put_str(&out, "type", "layers");
	json_put_strv(&out, "diff_ids", digests);
	json_end(&out);
	json_begin(&out, "config");
	json_end(&out);
	json_end(&out);
}

static int put_subject(struct json_out *out, const char *subject, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;

	int r = json_parse(subject, strlen(subject), IMAGE_JSON_MAX, "subject", &doc, err);
	if (r == 0)
		json_put_value(out, "subject", doc);
	return r;
}

/* The layers of a manifest, borrowed of *ret_doc, and their digests. */
static int read_base(const char *base, struct json_object **ret_doc, struct json_object **ret,
		     struct strv *digests, struct err *err)
{
	const char *digest = NULL;

	int r = json_parse(base, strlen(base), IMAGE_JSON_MAX, "signatures' manifest", ret_doc,
			   err);
	if (r == 0 && !json_is_obj(*ret_doc))
		r = err_set(err, EINVAL, "signatures' manifest: not an object");
	if (r == 0)
		r = json_need(json_get_array(*ret_doc, "layers", ret, err), "layers", err);
	for (size_t i = 0; r >= 0 && i < json_len(*ret); i++) {
		r = json_is_obj(json_at(*ret, i)) ? 0 : err_set(err, EINVAL, "not an object");
		if (r == 0)
			r = json_need(json_get_str(json_at(*ret, i), "digest", &digest, err),
				      "digest", err);
		if (r >= 0)
			r = strv_add(digests, digest, err);
	}
	return r < 0 ? r : 0;
}

static void put_layers(struct json_out *out, struct json_object *old, const struct signatures *list,
		       const struct strv *digests)
{
	json_begin_array(out, "layers");
	for (size_t i = 0; old && i < json_len(old); i++)
		json_put_value(out, NULL, json_at(old, i));
	for (size_t i = 0; i < list->n; i++) {
		json_begin(out, NULL);
		put_blob(out, SIGNATURE_TYPE, digests->v[digests->n - list->n + i],
			 strlen(list->v[i].payload));
		json_begin(out, "annotations");
		json_put_str(out, SIGNATURE_NOTE, list->v[i].base64);
		json_end(out);
		json_end(out);
	}
	json_end_array(out);
}

/* "sha256:HEX" of the text. */
static int name_digest(const char *text, size_t n, char ret[DIGEST_HEX + 8], struct err *err)
{
	static const char prefix[] = "sha256:";

	memcpy(ret, prefix, sizeof(prefix));
	return sha256_hex(text, n, ret + strlen(prefix), err);
}

static int add_digest(struct strv *digests, const char *text, struct err *err)
{
	char digest[DIGEST_HEX + 8];

	int r = name_digest(text, strlen(text), digest, err);
	return r < 0 ? r : strv_add(digests, digest, err);
}

int artifact_write(const struct signatures *list, const char *base, const char *subject,
		   struct buf *config, struct buf *manifest, struct err *err)
{
	struct json_out out = JSON_OUT(manifest, false);
	AUTO(auto_json_free) struct json_object *doc = NULL;
	struct json_object *old = NULL;
	AUTO_STRV struct strv digests = {0};
	char own[DIGEST_HEX + 8];
	size_t at = config->len;

	int r = base ? read_base(base, &doc, &old, &digests, err) : 0;
	if (r == 0 && digests.n + list->n > SIGNATURES_MAX)
		r = err_set(err, E2BIG, "more than %d signatures", SIGNATURES_MAX);
	for (size_t i = 0; r == 0 && i < list->n; i++)
		r = add_digest(&digests, list->v[i].payload, err);
	put_config(config, &digests);
	if (r == 0)
		r = buf_check(config, err);
	if (r == 0)
		r = name_digest(config->data + at, config->len - at, own, err);
	if (r < 0)
		return r;
	json_begin(&out, NULL);
	json_put_int(&out, "schemaVersion", 2);
	json_put_str(&out, "mediaType", "application/vnd.oci.image.manifest.v1+json");
	if (subject)
		json_put_str(&out, "artifactType", ARTIFACT_TYPE);
	json_begin(&out, "config");
	put_blob(&out, "application/vnd.oci.image.config.v1+json", own, config->len - at);
	json_end(&out);
	put_layers(&out, old, list, &digests);
	r = subject ? put_subject(&out, subject, err) : 0;
	json_end(&out);
	return r < 0 ? r : buf_check(manifest, err);
}

static int parse_layer(struct json_object *obj, struct artifact_layer *ret, struct err *err)
{
	const char *type = NULL, *digest = NULL, *hex = NULL, *base64 = NULL;
	struct json_object *notes = NULL;

	if (!json_is_obj(obj))
		return err_set(err, EINVAL, "not an object");
	int r = json_need(json_get_str(obj, "mediaType", &type, err), "mediaType", err);
	if (r >= 0)
		r = json_get_obj(obj, "annotations", &notes, err);
	if (r > 0)
		r = json_get_str(notes, SIGNATURE_NOTE, &base64, err);
	if (r <= 0 || strcmp(type, SIGNATURE_TYPE) != 0)
		return r < 0 ? r : 0;
	r = json_need(json_get_str(obj, "digest", &digest, err), "digest", err);
	if (r >= 0)
		r = json_need(json_get_uint(obj, "size", SIGNATURE_BYTES_MAX, &ret->size, err),
			      "size", err);
	if (r < 0)
		return r;
	if (!str_prefix(digest, "sha256:", &hex) || !digest_is_hex(hex, strlen(hex)))
		return err_set(err, EINVAL, "digest '%.80s' is not 'sha256:' and 64 hex digits",
			       digest);
	memcpy(ret->digest, hex, DIGEST_HEX + 1);
	ret->base64 = strdup(base64);
	return ret->base64 ? 1 : err_set(err, ENOMEM, "out of memory");
}

int artifact_parse(const char *text, size_t n, struct artifact_layer **ret, size_t *ret_n,
		   struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	struct json_object *layers = NULL;
	size_t found = 0;

	int r = json_parse(text, n, IMAGE_JSON_MAX, "signatures' manifest", &doc, err);
	if (r == 0 && !json_is_obj(doc))
		r = err_set(err, EINVAL, "signatures' manifest: not an object");
	if (r == 0)
		r = json_need(json_get_array(doc, "layers", &layers, err), "layers", err);
	if (r < 0)
		return r;
	if (json_len(layers) > SIGNATURES_MAX)
		return err_set(err, E2BIG, "layers: %zu of them, at most %d", json_len(layers),
			       SIGNATURES_MAX);
	struct artifact_layer *all = calloc(json_len(layers) + 1, sizeof(*all));
	if (!all)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; r >= 0 && i < json_len(layers); i++) {
		r = parse_layer(json_at(layers, i), &all[found], err);
		found += r > 0;
	}
	if (r >= 0) {
		*ret = all;
		*ret_n = found;
		return 0;
	}
	for (size_t i = 0; i < found; i++)
		free(all[i].base64);
	free(all);
	return err_wrap(err, "layers");
}
