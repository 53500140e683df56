/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is fetched. Mirrors are asked first, and once; whatever one of them does wrong only means
 * that the next is asked. A blob that breaks off is gone on with where it stopped, at the same
 * place or another: its bytes are the same everywhere, or else its digest will tell.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/io.h"
#include "registry/ops.h"

#define ACCEPT                                                                                     \
	"application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "    \
	"application/vnd.docker.distribution.manifest.list.v2+json, "                              \
	"application/vnd.docker.distribution.manifest.v2+json"

int op_number(const struct op *op, int at, uint64_t *ret, struct err *err)
{
	int64_t n = 0;
	int r = op->words[at] ? parse_int(op->words[at], 0, INT64_MAX, "a number", &n, err)
			      : err_set(err, EINVAL, "a number is missing");

	*ret = (uint64_t)n;
	return r;
}

/* "TYPE DIGEST" of an answer; each "-" when it is not said in one word. */
static void describe(const struct http_response *r, char *to, size_t size)
{
	const char *type = r->header[HTTP_TYPE] ? r->header[HTTP_TYPE] : "";
	const char *digest = r->header[HTTP_DIGEST] ? r->header[HTTP_DIGEST] : "";
	int n = (int)strcspn(type, "; \t");
	bool whole = *digest && strlen(digest) < 100 && !strpbrk(digest, " \t");

	n = n < 200 ? n : 0;
	(void)snprintf(to, size, "%.*s %s", n ? n : 1, n ? type : "-", whole ? digest : "-");
}

/* A document from one origin. */
static int get_document(struct op *op, struct origin *o, const char *path, const char *what,
			uint64_t max, struct err *err)
{
	AUTO(http_response_done) struct http_response r = {0};
	struct http_request q = {.method = "GET", .accept = ACCEPT, .from = -1};

	int k = session_ask(op->s, o, path, &q, &r, err);
	if (k < 0)
		return err_wrap(err, "%s", what);
	if (r.status != 200)
		return session_refused(o, what, &r, err);
	if (r.body.len > max)
		return err_set(err, EFBIG, "%s: %s has %zu bytes, at most %" PRIu64, o->host, what,
			       r.body.len, max);
	describe(&r, op->answer, sizeof(op->answer));
	return r.body.len == 0 ? 0 : write_all(op->data, r.body.data, r.body.len, what, err);
}

/* Asks one origin after the other; the failure told is that of the registry itself. */
static int from_anywhere(struct op *op, const char *kind, struct err *err)
{
	char path[REGISTRY_LINE], what[REGISTRY_LINE];
	uint64_t max = 0;

	int r = op_number(op, 1, &max, err);
	(void)snprintf(path, sizeof(path), "%ss/%s", kind, op->words[0]);
	(void)snprintf(what, sizeof(what), "%s %s", kind, op->words[0]);
	for (size_t i = 0; r == 0 && i < op->s->n; i++) {
		struct err failure = ERR_INIT;
		if (session_is_down(op->s, &op->s->origins[i]))
			continue;
		int k = get_document(op, &op->s->origins[i], path, what, max, &failure);
		if (k == 0)
			return 0;
		if (i + 1 == op->s->n)
			return err_set(err, failure.code, "%s", failure.msg);
	}
	return r;
}

int op_manifest(struct op *op, struct err *err)
{
	return from_anywhere(op, "manifest", err);
}

/* A registry that does not know of referrers keeps their index under a tag made of the digest
 * (distribution-spec 1.1, "Unavailable Referrers API"). */
int op_referrers(struct op *op, struct err *err)
{
	char path[REGISTRY_LINE], what[REGISTRY_LINE];
	const char *hex = strchr(op->words[0], ':');
	struct err failure = ERR_INIT;
	uint64_t max = 0;

	int r = op_number(op, 1, &max, err);
	if (r < 0)
		return r;
	if (!hex)
		return err_set(err, EINVAL, "'%s' is no digest", op->words[0]);
	(void)snprintf(path, sizeof(path), "referrers/%s", op->words[0]);
	(void)snprintf(what, sizeof(what), "list of what refers to %s", op->words[0]);
	r = get_document(op, session_home(op->s), path, what, max, &failure);
	if (r == 0 || failure.code != ENOENT)
		return r == 0 ? 0 : err_set(err, failure.code, "%s", failure.msg);
	(void)snprintf(path, sizeof(path), "manifests/%.*s-%s", (int)(hex - op->words[0]),
		       op->words[0], hex + 1);
	return get_document(op, session_home(op->s), path, what, max, err);
}

/* A blob on its way. */
struct delivery {
	int to;
	uint64_t at, size; /* bytes of the blob delivered by now, and all there are */
	uint64_t skip; /* bytes of this answer that were delivered before */
	bool begun; /* this answer was judged */
	bool closed; /* nobody reads any more */
};

/* Whether a Content-Range ("bytes FIRST-LAST/SIZE") begins there. */
static bool begins_at(const char *range, uint64_t at)
{
	char *end = NULL;

	return range && str_prefix(range, "bytes ", &range) && *range >= '0' && *range <= '9' &&
	       strtoull(range, &end, 10) == at && *end == '-';
}

/* Whether the answer is the part that was asked for, or the whole, of which the beginning is
 * skipped. */
static int judge_part(struct delivery *d, const struct http_response *r, struct err *err)
{
	if (r->status == 206 && !begins_at(r->header[HTTP_CONTENT_RANGE], d->at))
		return err_set(err, EPROTO, "sends another part than asked for");
	d->skip = r->status == 206 ? 0 : d->at;
	uint64_t want = d->size - d->at + d->skip;
	if (r->length >= 0 && (uint64_t)r->length != want)
		return err_set(err, EPROTO, "sends %" PRId64 " bytes, not the announced %" PRIu64,
			       r->length, want);
	d->begun = true;
	return 0;
}

static int deliver(void *ctx, const struct http_response *r, const void *bytes, size_t n,
		   struct err *err)
{
	struct delivery *d = ctx;
	const char *at = bytes;

	int k = d->begun ? 0 : judge_part(d, r, err);
	if (k < 0)
		return k;
	size_t skip = d->skip < n ? (size_t)d->skip : n;
	d->skip -= skip;
	at += skip;
	n -= skip;
	if (n > d->size - d->at)
		return err_set(err, EPROTO, "sends more than the announced %" PRIu64 " bytes",
			       d->size);
	k = n > 0 ? write_all(d->to, at, n, "the pipe to whoever asked", err) : 0;
	d->closed = k < 0;
	d->at += k < 0 ? 0 : n;
	return k;
}

/* Whether to ask the same place for the rest. more: it has given some of it. */
static bool goes_on(const struct origin *o, struct retry *retry, const struct http_response *r,
		    bool more)
{
	bool failed = r->status == 200 || r->status == 206 || r->transient;

	if (more)
		retry->tries = 0;
	return (more || !o->mirror) && retry_again(retry, r, failed);
}

/* Gets on with a blob at one origin, as often as that makes sense. */
static int get_blob(struct op *op, struct origin *o, struct delivery *d, struct err *err)
{
	char path[REGISTRY_LINE], what[REGISTRY_LINE], range[64];
	struct retry retry = {0};

	(void)snprintf(path, sizeof(path), "blobs/%s", op->words[0]);
	(void)snprintf(what, sizeof(what), "blob %s", op->words[0]);
	for (;;) {
		AUTO(http_response_done) struct http_response r = {0};
		struct err failure = ERR_INIT;
		uint64_t before = d->at;
		struct http_request q = {.method = "GET", .from = -1, .sink = deliver, .ctx = d};
		if (d->at > 0) {
			(void)snprintf(range, sizeof(range), "%" PRIu64 "-", d->at);
			q.range = range;
		}
		d->begun = false;
		int k = session_exchange(op->s, o, path, &q, &r, &failure);
		if (k == 0 && r.status != 200 && r.status != 206)
			(void)session_refused(o, what, &r, &failure);
		else if (k == 0 && d->at == d->size)
			return 0;
		else if (k == 0)
			(void)err_set(&failure, EPROTO,
				      "%s: %s ends after %" PRIu64 " of %" PRIu64 " bytes", o->host,
				      what, d->at, d->size);
		if (d->closed || !goes_on(o, &retry, &r, d->at > before && !r.slow))
			return err_set(err, failure.code, "%s", failure.msg);
	}
}

int op_blob(struct op *op, struct err *err)
{
	struct delivery d = {.to = op->data};

	int r = op_number(op, 1, &d.at, err);
	if (r == 0)
		r = op_number(op, 2, &d.size, err);
	if (r == 0 && d.at > d.size)
		r = err_set(err, EINVAL, "a blob from behind its end");
	if (r < 0 || d.at == d.size)
		return r;
	for (size_t i = 0; i < op->s->n; i++) {
		struct err failure = ERR_INIT;
		if (session_is_down(op->s, &op->s->origins[i]))
			continue;
		r = get_blob(op, &op->s->origins[i], &d, &failure);
		if (r == 0)
			return 0;
		if (d.closed || i + 1 == op->s->n)
			return err_set(err, failure.code, "%s", failure.msg);
	}
	return 0;
}
