/* SPDX-License-Identifier: Apache-2.0 */
#include "image/signature_registry.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/json.h"
#include "image/sha256.h"
#include "image/sign.h"
#include "registry/registry.h"

enum { REFERRERS_MAX = 32, TAG = DIGEST_HEX + 16 };

#define OCI_MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"
#define OCI_INDEX_TYPE    "application/vnd.oci.image.index.v1+json"

/* The layers of an artifact that are signatures. */
struct layers {
	struct artifact_layer *v;
	size_t n;
};

static void layers_done(struct layers *layers)
{
	for (size_t i = 0; i < layers->n; i++)
		free(layers->v[i].base64);
	free(layers->v);
}

static void tag_of(const char *digest, char tag[TAG])
{
	(void)snprintf(tag, TAG, "sha256-%.64s.sig", digest);
}

/* A document by a question: 1, or 0 when the registry has no such thing. */
static int get(struct registry *registry, const char *question, struct buf *to, struct err *err)
{
	char answer[REGISTRY_LINE];
	struct err failure = ERR_INIT;

	int r = registry_document(registry, question, IMAGE_JSON_MAX, to, answer, &failure);
	if (r < 0)
		return failure.code == ENOENT ? 0 : err_set(err, failure.code, "%s", failure.msg);
	r = buf_check(to, err);
	return r < 0 ? r : 1;
}

static int judge_digest(const struct buf *text, const char *wanted, struct err *err)
{
	char hex[DIGEST_HEX + 1];

	int r = sha256_hex(text->data ? text->data : "", text->len, hex, err);
	if (r == 0 && strcmp(hex, wanted) != 0)
		r = err_set(err, EINVAL, "sha256:%s has the digest %s", wanted, hex);
	return r;
}

static int fetch_payload(struct registry *registry, const struct artifact_layer *layer,
			 struct signatures *list, struct err *err)
{
	char question[REGISTRY_LINE], answer[REGISTRY_LINE];
	AUTO_BUF struct buf text = BUF_INIT;

	(void)snprintf(question, sizeof(question), "blob sha256:%s 0 %" PRIu64, layer->digest,
		       layer->size);
	int r = registry_document(registry, question, SIGNATURE_BYTES_MAX, &text, answer, err);
	if (r == 0)
		r = judge_digest(&text, layer->digest, err);
	if (r == 0 && (text.len == 0 || strlen(text.data) != text.len))
		r = err_set(err, EINVAL, "payload sha256:%s is no text", layer->digest);
	return r < 0 ? r : signatures_add(list, text.data, layer->base64, err);
}

/* The artifact `name` (a tag, or sha256:HEX), if there is one. */
static int fetch_artifact(struct registry *registry, const char *name, struct signatures *list,
			  struct err *err)
{
	AUTO(layers_done) struct layers layers = {0};
	AUTO_BUF struct buf text = BUF_INIT;
	char question[REGISTRY_LINE];
	const char *hex = NULL;

	(void)snprintf(question, sizeof(question), "manifest %s %d", name, IMAGE_JSON_MAX);
	int r = get(registry, question, &text, err);
	if (r <= 0)
		return r;
	r = str_prefix(name, "sha256:", &hex) ? judge_digest(&text, hex, err) : 0;
	if (r == 0)
		r = artifact_parse(text.data ? text.data : "", text.len, &layers.v, &layers.n, err);
	for (size_t i = 0; r == 0 && i < layers.n; i++)
		r = fetch_payload(registry, &layers.v[i], list, err);
	return r;
}

/* One line of the list of referrers; what is no signature is passed over. */
static int fetch_referrer(struct registry *registry, struct json_object *obj, size_t *left,
			  struct signatures *list, struct err *err)
{
	const char *type = NULL, *digest = NULL, *hex = NULL;

	if (!json_is_obj(obj))
		return err_set(err, EINVAL, "not an object");
	int r = json_get_str(obj, "artifactType", &type, err);
	if (r <= 0 || strcmp(type, ARTIFACT_TYPE) != 0)
		return r < 0 ? r : 0;
	r = json_need(json_get_str(obj, "digest", &digest, err), "digest", err);
	if (r < 0)
		return r;
	if (!str_prefix(digest, "sha256:", &hex) || !digest_is_hex(hex, strlen(hex)))
		return err_set(err, EINVAL, "digest '%.80s' is not 'sha256:' and 64 hex digits",
			       digest);
	if ((*left)-- == 0)
		return err_set(err, E2BIG, "more than %d signatures", REFERRERS_MAX);
	return fetch_artifact(registry, digest, list, err);
}

static int fetch_referrers(struct registry *registry, const char *digest, struct signatures *list,
			   struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	struct json_object *manifests = NULL;
	AUTO_BUF struct buf text = BUF_INIT;
	char question[REGISTRY_LINE];
	size_t left = REFERRERS_MAX;

	(void)snprintf(question, sizeof(question), "referrers sha256:%s %d", digest,
		       IMAGE_JSON_MAX);
	int r = get(registry, question, &text, err);
	if (r <= 0)
		return r;
	r = json_parse(text.data ? text.data : "", text.len, IMAGE_JSON_MAX, "referrers", &doc,
		       err);
	if (r == 0 && !json_is_obj(doc))
		r = err_set(err, EINVAL, "referrers: not an object");
	if (r == 0)
		r = json_need(json_get_array(doc, "manifests", &manifests, err), "manifests", err);
	for (size_t i = 0; r >= 0 && i < json_len(manifests); i++)
		r = fetch_referrer(registry, json_at(manifests, i), &left, list, err);
	return r < 0 ? err_wrap(err, "what refers to it") : 0;
}

int signatures_fetch(struct registry *registry, const char *digest, struct signatures *list,
		     struct err *err)
{
	char tag[TAG];

	tag_of(digest, tag);
	int r = fetch_artifact(registry, tag, list, err);
	if (r == 0)
		r = fetch_referrers(registry, digest, list, err);
	return r < 0 ? err_wrap(err, "its signatures") : 0;
}

/* --- the other way --- */

/* A copy of those over that manifest which no layer of the artifact `there` (empty: none) has. */
static int select_new(const struct signatures *list, const char *digest, const struct buf *there,
		      struct signatures *ret, struct err *err)
{
	AUTO(layers_done) struct layers layers = {0};

	int r = there->len > 0 ? artifact_parse(there->data, there->len, &layers.v, &layers.n, err)
			       : 0;
	for (size_t i = 0; r == 0 && i < list->n; i++) {
		const struct signature *s = &list->v[i];
		AUTO(payload_done) struct payload payload = {0};
		struct err ignored = ERR_INIT; /* what is no payload is of no manifest */
		bool known = payload_parse(s->payload, strlen(s->payload), &payload, &ignored) <
				     0 ||
			     strcmp(payload.digest, digest) != 0;
		for (size_t k = 0; !known && k < layers.n; k++)
			known = strcmp(layers.v[k].base64, s->base64) == 0;
		if (!known)
			r = signatures_add(ret, s->payload, s->base64, err);
	}
	return r;
}

/* A question with text to be given, and its answer. */
static int give(struct registry *registry, const char *question, const char *text,
		char ret[REGISTRY_LINE], struct err *err)
{
	AUTO(registry_call_done) struct registry_call call = REGISTRY_CALL_INIT;

	AUTO_CLOSE int fd = registry_text(text, err);
	if (fd < 0)
		return fd;
	int r = registry_ask(registry, question, fd, &call, err);
	return r == 0 ? registry_answer(&call, ret, err) : r;
}

static int send_blob(struct registry *registry, const char *text, struct err *err)
{
	char question[REGISTRY_LINE], answer[REGISTRY_LINE], hex[DIGEST_HEX + 1];

	int r = sha256_hex(text, strlen(text), hex, err);
	(void)snprintf(question, sizeof(question), "upload sha256:%s %zu -", hex, strlen(text));
	return r < 0 ? r : give(registry, question, text, answer, err);
}

/* A manifest or index, by a tag or its digest. */
static int put(struct registry *registry, const char *name, const char *type, const char *text,
	       char ret[REGISTRY_LINE], struct err *err)
{
	char question[REGISTRY_LINE];

	(void)snprintf(question, sizeof(question), "put %s %s", name, type);
	return give(registry, question, text, ret, err);
}

/* What an artifact is sent by. */
struct outgoing {
	const struct signatures *list;
	const struct buf *there; /* the artifact that it goes on, or nothing */
	const char *subject; /* the descriptor of what it refers to; NULL: it has a tag for that */
};

/* Sends an artifact with what it names first. tag: NULL, it goes by its digest. */
static int send_artifact(struct registry *registry, const struct outgoing *o, const char *tag,
			 struct buf *manifest, char answer[REGISTRY_LINE], struct err *err)
{
	AUTO_BUF struct buf config = BUF_INIT;
	char hex[DIGEST_HEX + 1], name[DIGEST_HEX + 16];

	int r = artifact_write(o->list, o->there->len > 0 ? o->there->data : NULL, o->subject,
			       &config, manifest, err);
	for (size_t i = 0; r == 0 && i < o->list->n; i++)
		r = send_blob(registry, o->list->v[i].payload, err);
	if (r == 0)
		r = send_blob(registry, config.data, err);
	if (r == 0)
		r = sha256_hex(manifest->data, manifest->len, hex, err);
	if (r < 0)
		return r;
	(void)snprintf(name, sizeof(name), "sha256:%s", hex);
	return put(registry, tag ? tag : name, OCI_MANIFEST_TYPE, manifest->data, answer, err);
}

static void put_descriptor(struct json_out *out, const struct signed_manifest *m)
{
	char digest[DIGEST_HEX + 16];

	(void)snprintf(digest, sizeof(digest), "sha256:%.64s", m->digest);
	json_put_str(out, "mediaType", m->type);
	json_put_str(out, "digest", digest);
	json_put_uint(out, "size", m->size);
}

/* Whether a line of the index is of that artifact. */
static bool is_line_of(struct json_object *line, const char *digest)
{
	const char *text = NULL, *hex = NULL;
	struct err ignored = ERR_INIT; /* a line of something else stays as it is */

	return json_is_obj(line) && json_get_str(line, "digest", &text, &ignored) > 0 &&
	       str_prefix(text, "sha256:", &hex) && strcmp(hex, digest) == 0;
}

/* Appends the index of referrers that is there, as text (empty: none), with one more at its end. */
static int write_referrers(const struct buf *there, const struct signed_manifest *more,
			   struct buf *to, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	struct json_out out = JSON_OUT(to, false);
	struct json_object *old = NULL;

	int r = there->len == 0 ? 0
				: json_parse(there->data, there->len, IMAGE_JSON_MAX, "referrers",
					     &doc, err);
	if (r == 0 && doc && !json_is_obj(doc))
		r = err_set(err, EINVAL, "referrers: not an object");
	if (r == 0 && doc)
		r = json_need(json_get_array(doc, "manifests", &old, err), "manifests", err);
	if (r < 0)
		return r;
	json_begin(&out, NULL);
	json_put_int(&out, "schemaVersion", 2);
	json_put_str(&out, "mediaType", OCI_INDEX_TYPE);
	json_begin_array(&out, "manifests");
	for (size_t i = 0; old && i < json_len(old); i++) {
		if (!is_line_of(json_at(old, i), more->digest))
			json_put_value(&out, NULL, json_at(old, i));
	}
	json_begin(&out, NULL);
	put_descriptor(&out, more);
	json_put_str(&out, "artifactType", ARTIFACT_TYPE);
	json_end(&out);
	json_end_array(&out);
	json_end(&out);
	return buf_check(to, err);
}

/* Lists an artifact where the registry keeps no list itself. */
static int list_referrer(struct registry *registry, const char *digest, const struct buf *artifact,
			 struct err *err)
{
	AUTO_BUF struct buf there = BUF_INIT;
	AUTO_BUF struct buf index = BUF_INIT;
	char question[REGISTRY_LINE], answer[REGISTRY_LINE], hex[DIGEST_HEX + 1], tag[TAG];

	(void)snprintf(tag, sizeof(tag), "sha256-%.64s", digest);
	(void)snprintf(question, sizeof(question), "manifest %s %d", tag, IMAGE_JSON_MAX);
	int r = get(registry, question, &there, err);
	if (r >= 0)
		r = sha256_hex(artifact->data, artifact->len, hex, err);
	if (r == 0)
		r = write_referrers(&there,
				    &(struct signed_manifest){hex, OCI_MANIFEST_TYPE,
							      artifact->len},
				    &index, err);
	return r < 0 ? r : put(registry, tag, OCI_INDEX_TYPE, index.data, answer, err);
}

static int send_referrer(struct registry *registry, const struct signed_manifest *manifest,
			 const struct signatures *list, struct err *err)
{
	const struct buf nothing = BUF_INIT;
	AUTO_BUF struct buf subject = BUF_INIT;
	AUTO_BUF struct buf artifact = BUF_INIT;
	struct json_out out = JSON_OUT(&subject, false);
	char answer[REGISTRY_LINE];

	json_begin(&out, NULL);
	put_descriptor(&out, manifest);
	json_end(&out);
	int r = buf_check(&subject, err);
	if (r == 0)
		r = send_artifact(registry, &(struct outgoing){list, &nothing, subject.data}, NULL,
				  &artifact, answer, err);
	if (r < 0)
		return r;
	/* "DIGEST SUBJECT": a registry that lists it says so. */
	const char *listed = strchr(answer, ' ');
	return listed && strcmp(listed + 1, "-") != 0
		       ? 0
		       : list_referrer(registry, manifest->digest, &artifact, err);
}

int signatures_send(struct registry *registry, const struct signed_manifest *manifest,
		    const struct signatures *list, struct err *err)
{
	AUTO_SIGNATURES struct signatures fresh = {0};
	AUTO_BUF struct buf there = BUF_INIT;
	AUTO_BUF struct buf artifact = BUF_INIT;
	char question[REGISTRY_LINE], answer[REGISTRY_LINE], tag[TAG];

	if (list->n == 0)
		return 0;
	tag_of(manifest->digest, tag);
	(void)snprintf(question, sizeof(question), "manifest %s %d", tag, IMAGE_JSON_MAX);
	int r = get(registry, question, &there, err);
	if (r >= 0)
		r = select_new(list, manifest->digest, &there, &fresh, err);
	if (r == 0 && fresh.n > 0) /* first what no tag names: broken off here, all is sent again */
		r = send_referrer(registry, manifest, &fresh, err);
	if (r == 0 && fresh.n > 0)
		r = send_artifact(registry, &(struct outgoing){&fresh, &there, NULL}, tag,
				  &artifact, answer, err);
	return r < 0 ? err_wrap(err, "its signatures") : (int)fresh.n;
}
