/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is pushed. A blob that is there is not sent; one that another repository of the registry has
 * is mounted; else it goes in chunks (distribution-spec 1.1, "Pushing a blob in chunks"): after a
 * chunk that broke off the registry is asked how far it came.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/io.h"
#include "registry/ops.h"

enum {
	CHUNK = 64 << 20, /* what is sent again when it breaks off */
	CHUNK_MAX = 1 << 30,
	PATIENCE_S = 300, /* a registry may hash a blob before it says that it has it */
};

/* One blob on its way up. */
struct upload {
	struct op *op;
	struct origin *o;
	char what[128];
	char *url; /* owned: where the next chunk goes */
	uint64_t at, size, chunk;
};

static void upload_done(struct upload *u)
{
	free(u->url);
}

/* Whether the registry has the blob: 1, or 0. */
static int is_there(const struct upload *u, struct err *err)
{
	AUTO(http_response_done) struct http_response r = {0};
	struct http_request q = {.method = "HEAD", .from = -1};
	char path[REGISTRY_LINE];

	(void)snprintf(path, sizeof(path), "blobs/%s", u->op->words[0]);
	int k = session_ask(u->op->s, u->o, path, &q, &r, err);
	if (k < 0)
		return k;
	if (r.status == 200 || r.status == 404)
		return r.status == 200;
	return session_refused(u->o, u->what, &r, err);
}

/* Notes where the upload goes on, as an answer says. */
static int take_location(struct upload *u, const struct http_response *r, struct err *err)
{
	const char *min = r->header[HTTP_CHUNK_MIN];
	const char *base = u->url ? u->url : u->o->base;
	char *url = NULL;

	if (!r->header[HTTP_LOCATION])
		return err_set(err, EPROTO, "%s: does not say where an upload goes", u->o->host);
	int k = http_resolve(base, r->header[HTTP_LOCATION], &url, err);
	if (k < 0)
		return k;
	free(u->url);
	u->url = url;
	if (min) {
		uint64_t least = strtoull(min, NULL, 10);
		u->chunk = least > u->chunk && least <= CHUNK_MAX ? least : u->chunk;
	}
	return 0;
}

/* Opens an upload: 1 when the blob was mounted and there is nothing to send. from: NULL or a
 * repository. */
static int open_upload(struct upload *u, const char *from, struct err *err)
{
	AUTO(http_response_done) struct http_response r = {0};
	struct http_request q = {.method = "POST", .from = -1, .body = ""};
	char path[REGISTRY_LINE];

	if (from)
		(void)snprintf(path, sizeof(path), "blobs/uploads/?mount=%s&from=%s",
			       u->op->words[0], from);
	else
		(void)snprintf(path, sizeof(path), "blobs/uploads/");
	int k = session_ask(u->op->s, u->o, path, &q, &r, err);
	if (k < 0)
		return k;
	if (r.status == 201 && from)
		return 1;
	return r.status == 202 ? take_location(u, &r, err)
			       : session_refused(u->o, u->what, &r, err);
}

/* How far the registry says that it came, as the header Range has it ("0-N"). */
static int take_range(struct upload *u, const struct http_response *r, struct err *err)
{
	const char *text = r->header[HTTP_RANGE];
	uint64_t last = 0;

	if (text) {
		char *end = NULL;
		(void)str_prefix(text, "bytes=", &text);
		if (str_prefix(text, "0-", &text))
			last = strtoull(text, &end, 10);
		if (!end || end == text || *end)
			return err_set(err, EPROTO, "%s: says '%.40s' of how far an upload came",
				       u->o->host, text);
	}
	uint64_t at = last > 0 ? last + 1 : 0; /* "0-0" is said of nothing at all */
	if (at > u->size)
		return err_set(err, EPROTO, "%s: says that it has more than it was sent",
			       u->o->host);
	u->at = at;
	return 0;
}

/* After a chunk that failed. */
static int ask_how_far(struct upload *u, struct err *err)
{
	AUTO(http_response_done) struct http_response r = {0};
	struct http_request q = {.method = "GET", .from = -1};

	int k = session_ask(u->op->s, u->o, u->url, &q, &r, err);
	if (k < 0)
		return k;
	if (r.status != 204 && r.status != 202 && r.status != 200)
		return session_refused(u->o, u->what, &r, err);
	k = r.header[HTTP_LOCATION] ? take_location(u, &r, err) : 0;
	return k == 0 ? take_range(u, &r, err) : k;
}

static int send_chunk(struct upload *u, struct http_response *r, struct err *err)
{
	uint64_t n = u->size - u->at < u->chunk ? u->size - u->at : u->chunk;
	char range[64];

	(void)snprintf(range, sizeof(range), "%" PRIu64 "-%" PRIu64, u->at, u->at + n - 1);
	struct http_request q = {.method = "PATCH",
				 .content_type = "application/octet-stream",
				 .content_range = range,
				 .from = u->op->data,
				 .from_at = u->at,
				 .from_len = n,
				 .patience_s = PATIENCE_S};
	int k = session_exchange(u->op->s, u->o, u->url, &q, r, err);
	if (k < 0)
		return k;
	if (r->status != 202 && r->status != 201)
		return session_refused(u->o, u->what, r, err);
	k = take_location(u, r, err);
	u->at += n;
	return k;
}

static int send_all(struct upload *u, struct err *err)
{
	struct retry retry = {0};

	while (u->at < u->size) {
		AUTO(http_response_done) struct http_response r = {0};
		struct err failure = ERR_INIT;
		int k = send_chunk(u, &r, &failure);
		if (k == 0) {
			retry.tries = 0;
			continue;
		}
		bool failed = r.status == 0 || r.transient;
		if (!retry_again(&retry, &r, failed))
			return err_set(err, failure.code, "%s", failure.msg);
		k = ask_how_far(u, err);
		if (k < 0)
			return k;
	}
	return 0;
}

/* Says that this was all, and what it is. */
static int close_upload(struct upload *u, struct err *err)
{
	AUTO(http_response_done) struct http_response r = {0};
	struct http_request q = {.method = "PUT", .from = -1, .body = "", .patience_s = PATIENCE_S};
	AUTO_FREE char *url = NULL;

	if (asprintf(&url, "%s%cdigest=%s", u->url, strchr(u->url, '?') ? '&' : '?',
		     u->op->words[0]) < 0) {
		url = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	int k = session_exchange(u->op->s, u->o, url, &q, &r, err);
	if (k < 0)
		return k;
	return r.status == 201 ? 0 : session_refused(u->o, u->what, &r, err);
}

int op_upload(struct op *op, struct err *err)
{
	AUTO(upload_done)
	struct upload u = {.op = op, .o = session_home(op->s), .chunk = CHUNK};
	const char *from = strcmp(op->words[2], "-") == 0 ? NULL : op->words[2];

	int r = op_number(op, 1, &u.size, err);
	if (r < 0)
		return r;
	(void)snprintf(u.what, sizeof(u.what), "blob %.100s", op->words[0]);
	int there = is_there(&u, err);
	if (there < 0)
		return there;
	int mounted = there ? 0 : open_upload(&u, from, err);
	if (mounted < 0)
		return mounted;
	if (!there && !mounted) {
		r = send_all(&u, err);
		if (r == 0)
			r = close_upload(&u, err);
	}
	(void)snprintf(op->answer, sizeof(op->answer), "%s",
		       there     ? "there"
		       : mounted ? "mounted"
				 : "sent");
	return r;
}

int op_put(struct op *op, struct err *err)
{
	AUTO(http_response_done) struct http_response r = {0};
	AUTO_BUF struct buf text = BUF_INIT;
	char path[REGISTRY_LINE], what[REGISTRY_LINE];

	char *at = buf_reserve(&text, HTTP_BODY_MAX + 1);
	if (!at)
		return buf_check(&text, err);
	ssize_t n = read_upto(op->data, at, HTTP_BODY_MAX + 1, "a manifest", err);
	if (n < 0)
		return (int)n;
	if (n > HTTP_BODY_MAX)
		return err_set(err, EFBIG, "a manifest of more than %d bytes", HTTP_BODY_MAX);
	at[n] = '\0';
	(void)snprintf(path, sizeof(path), "manifests/%s", op->words[0]);
	(void)snprintf(what, sizeof(what), "manifest %s", op->words[0]);
	struct http_request q = {.method = "PUT",
				 .content_type = op->words[1],
				 .from = -1,
				 .body = at,
				 .patience_s = PATIENCE_S};
	int k = session_ask(op->s, session_home(op->s), path, &q, &r, err);
	if (k < 0)
		return err_wrap(err, "%s", what);
	if (r.status != 201)
		return session_refused(session_home(op->s), what, &r, err);
	(void)snprintf(op->answer, sizeof(op->answer), "%.100s %.100s",
		       r.header[HTTP_DIGEST] ? r.header[HTTP_DIGEST] : "-",
		       r.header[HTTP_SUBJECT] ? r.header[HTTP_SUBJECT] : "-");
	return 0;
}
