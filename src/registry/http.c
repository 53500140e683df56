/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/loop.h"

enum {
	CONNECT_MS = 15000,
	HEADERS_MAX = 256 << 10, /* of one answer: curl 7.88 bounds a line, not their number */
	HEADER_MAX = 8 << 10,
	CHALLENGES_MAX = 8,
	EXPLANATION_MAX = 64 << 10, /* kept of the body of an answer that is no success */
	RECEIVE_BYTES = 256 << 10,
	DOCUMENT_PATIENCE = 5, /* times that of being slow */
};

struct http {
	CURL *easy;
};

/* One exchange under way. */
struct exchange {
	const struct http_request *q;
	struct http_response *r;
	struct err *err;
	CURL *easy;
	size_t header_bytes;
	bool body_begun, enough;
	uint64_t window_began, window_bytes,
		blocked_ms; /* since when, what, and time not the peer's */
	uint64_t sent;
};

int http_new(struct http **ret, struct err *err)
{
	AUTO(auto_http_free) struct http *h = calloc(1, sizeof(*h));

	if (!h || !(h->easy = curl_easy_init()))
		return err_set(err, ENOMEM, "out of memory");
	*ret = TAKE_PTR(h);
	return 0;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	curl_easy_cleanup(h->easy);
	free(h);
}

void http_response_done(struct http_response *r)
{
	for (size_t i = 0; i < HTTP_HEADERS; i++)
		free(r->header[i]);
	strv_done(&r->challenges);
	buf_done(&r->body);
	*r = (struct http_response){0};
}

static const char *const header_names[HTTP_HEADERS] = {
	[HTTP_TYPE] = "content-type",
	[HTTP_DIGEST] = "docker-content-digest",
	[HTTP_LOCATION] = "location",
	[HTTP_RETRY_AFTER] = "retry-after",
	[HTTP_CONTENT_RANGE] = "content-range",
	[HTTP_RANGE] = "range",
	[HTTP_CHUNK_MIN] = "oci-chunk-min-length",
	[HTTP_SUBJECT] = "oci-subject",
};

/* The value of a header line of n bytes, without blanks around it; the caller frees. */
static char *header_value(const char *line, size_t n, size_t name_len)
{
	const char *at = line + name_len + 1;
	const char *end = line + n;

	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	while (end > at && (unsigned char)end[-1] <= ' ')
		end--;
	return strndup(at, (size_t)(end - at));
}

static bool header_is(const char *line, size_t n, const char *name)
{
	size_t len = strlen(name);

	return n > len && strncasecmp(line, name, len) == 0 && line[len] == ':';
}

static int take_header(struct exchange *x, const char *line, size_t n)
{
	static const char challenge[] = "www-authenticate";

	if (header_is(line, n, challenge) && x->r->challenges.n < CHALLENGES_MAX) {
		AUTO_FREE char *value = header_value(line, n, sizeof(challenge) - 1);
		return value ? strv_add(&x->r->challenges, value, x->err) : -ENOMEM;
	}
	for (size_t i = 0; i < HTTP_HEADERS; i++) {
		if (!header_is(line, n, header_names[i]))
			continue;
		free(x->r->header[i]);
		x->r->header[i] = header_value(line, n, strlen(header_names[i]));
		return x->r->header[i] ? 0 : -ENOMEM;
	}
	return 0;
}

static size_t on_header(char *line, size_t size, size_t n, void *ctx)
{
	struct exchange *x = ctx;

	(void)size; /* 1, as curl promises */
	x->header_bytes += n;
	if (x->header_bytes > HEADERS_MAX) {
		(void)err_set(x->err, EFBIG, "headers of more than %d bytes", HEADERS_MAX);
		return 0;
	}
	if (x->body_begun || n > HEADER_MAX)
		return n; /* trailers count for nothing */
	if (n > 5 && strncmp(line, "HTTP/", 5) == 0) /* an answer after an interim one */
		http_response_done(x->r);
	return take_header(x, line, n) < 0 ? 0 : n;
}

static size_t keep_body(struct exchange *x, const char *bytes, size_t n)
{
	bool good = x->r->status >= 200 && x->r->status < 300;
	size_t max = good ? HTTP_BODY_MAX : EXPLANATION_MAX;

	if (n <= max - x->r->body.len) {
		buf_add(&x->r->body, bytes, n);
		return n;
	}
	x->enough = !good;
	if (good)
		(void)err_set(x->err, EFBIG, "an answer of more than %d bytes", HTTP_BODY_MAX);
	return 0;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *ctx)
{
	struct exchange *x = ctx;
	curl_off_t length = -1;

	(void)size;
	if (!x->body_begun) {
		x->body_begun = true;
		(void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &x->r->status);
		(void)curl_easy_getinfo(x->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
		x->r->length = length;
	}
	x->window_bytes += n;
	if (!x->q->sink || x->r->status < 200 || x->r->status >= 300)
		return keep_body(x, bytes, n);
	uint64_t began = clock_ms();
	int r = x->q->sink(x->q->ctx, x->r, bytes, n, x->err);
	x->blocked_ms += clock_ms() - began;
	return r < 0 ? 0 : n;
}

static size_t on_send(char *room, size_t size, size_t n, void *ctx)
{
	struct exchange *x = ctx;
	uint64_t left = x->q->from_len - x->sent;

	(void)size;
	n = left < n ? (size_t)left : n;
	ssize_t got = pread(x->q->from, room, n, (off_t)(x->q->from_at + x->sent));
	if (got < 0 || (got == 0 && n > 0)) {
		(void)err_set(x->err, EIO, "a file to be sent is shorter than it was");
		return CURL_READFUNC_ABORT;
	}
	x->sent += (size_t)got;
	x->window_bytes += (size_t)got;
	return (size_t)got;
}

/* An upload that is refused or redirected is sent again from its beginning. */
static int on_seek(void *ctx, curl_off_t offset, int whence)
{
	struct exchange *x = ctx;

	if (whence != SEEK_SET || offset < 0)
		return CURL_SEEKFUNC_CANTSEEK;
	x->sent = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

/* Ends a transfer that the peer keeps slow. */
static int on_progress(void *ctx, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
		       curl_off_t up)
{
	struct exchange *x = ctx;
	uint64_t patience_ms = x->q->patience_s * UINT64_C(1000);
	uint64_t now = clock_ms();

	if (now - x->window_began - x->blocked_ms < patience_ms)
		return 0;
	if (x->window_bytes < x->q->patience_s * (uint64_t)HTTP_SLOWEST) {
		x->r->slow = true;
		return 1;
	}
	x->window_began = now;
	x->window_bytes = 0;
	x->blocked_ms = 0;
	return 0;
}

static int add_header(struct curl_slist **list, const char *name, const char *value,
		      struct err *err)
{
	AUTO_FREE char *line = NULL;

	if (!value)
		return 0;
	if (asprintf(&line, "%s%s%s", name, *value ? ": " : ":", value) < 0) {
		line = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	struct curl_slist *longer = curl_slist_append(*list, line);
	if (!longer)
		return err_set(err, ENOMEM, "out of memory");
	*list = longer;
	return 0;
}

static int make_headers(const struct http_request *q, struct curl_slist **list, struct err *err)
{
	int r = add_header(list, "Authorization", q->authorization, err);

	if (r == 0)
		r = add_header(list, "Accept", q->accept, err);
	if (r == 0)
		r = add_header(list, "Content-Type",
			       q->content_type           ? q->content_type
			       : q->body || q->from >= 0 ? ""
							 : NULL,
			       err);
	if (r == 0)
		r = add_header(list, "Content-Range", q->content_range, err);
	return r == 0 ? add_header(list, "Expect", "", err) : r;
}

static void set_trust(CURL *easy, const struct http_trust *trust)
{
	struct curl_blob ca = {.data = trust->ca.data, .len = trust->ca.len};
	struct curl_blob cert = {.data = trust->cert.data, .len = trust->cert.len};
	struct curl_blob key = {.data = trust->key.data, .len = trust->key.len};

	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, trust->any ? "https,http" : "https");
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (trust->any) {
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (trust->ca.len > 0) /* beside those of the system, which curl finds as a folder then */
		curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &ca);
	if (trust->cert.len > 0) {
		curl_easy_setopt(easy, CURLOPT_SSLCERT_BLOB, &cert);
		curl_easy_setopt(easy, CURLOPT_SSLKEY_BLOB, &key);
	}
}

static void set_body(CURL *easy, struct exchange *x)
{
	const struct http_request *q = x->q;

	if (q->from >= 0) {
		curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)q->from_len);
		curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_send);
		curl_easy_setopt(easy, CURLOPT_READDATA, x);
		curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
		curl_easy_setopt(easy, CURLOPT_SEEKDATA, x);
	} else if (q->body) {
		curl_easy_setopt(easy, CURLOPT_POST, 1L);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, q->body);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(q->body));
	} else if (strcmp(q->method, "HEAD") == 0) {
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	}
	if (!(strcmp(q->method, "GET") == 0 || strcmp(q->method, "HEAD") == 0))
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, q->method);
}

static void set_all(CURL *easy, struct exchange *x)
{
	curl_easy_reset(easy);
	curl_easy_setopt(easy, CURLOPT_URL, x->q->url);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "hull/" HULL_VERSION);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
			 x->q->connect_ms ? (long)x->q->connect_ms : (long)CONNECT_MS);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BYTES);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(easy, CURLOPT_XFERINFODATA, x);
	curl_easy_setopt(easy, CURLOPT_RANGE, x->q->range);
	if (!x->q->sink && x->q->from < 0) /* a document is small: none takes as long as that */
		curl_easy_setopt(easy, CURLOPT_TIMEOUT, (long)x->q->patience_s * DOCUMENT_PATIENCE);
	set_trust(easy, x->q->trust);
	set_body(easy, x);
}

/* Whether trying again may help. */
static bool is_transient(CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_PARTIAL_FILE:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return true;
	default:
		return false;
	}
}

static int failed(struct exchange *x, CURLcode code, const char *words, struct err *err)
{
	curl_off_t asked_us = 0; /* when the request began to be sent; 0: it never did */

	(void)curl_easy_getinfo(x->easy, CURLINFO_PRETRANSFER_TIME_T, &asked_us);
	x->r->unreachable = asked_us == 0;
	if (err->code)
		return -err->code; /* a sink, or a bound */
	bool late = code == CURLE_OPERATION_TIMEDOUT && x->body_begun;
	bool slow = x->r->slow;
	x->r->slow = slow || late;
	x->r->transient = x->r->slow || is_transient(code);
	if (slow)
		return err_set(err, ETIMEDOUT, "slower than %d bytes a second for %" PRIu32 " s",
			       HTTP_SLOWEST, x->q->patience_s);
	return err_set(err,
		       code == CURLE_COULDNT_CONNECT        ? ECONNREFUSED
		       : code == CURLE_SSL_CONNECT_ERROR    ? EPROTO
		       : code == CURLE_UNSUPPORTED_PROTOCOL ? EPROTONOSUPPORT
							    : EIO,
		       "%s", *words ? words : curl_easy_strerror(code));
}

int http_perform(struct http *h, const struct http_request *q, struct http_response *ret,
		 struct err *err)
{
	struct exchange x = {.q = q, .r = ret, .err = err, .easy = h->easy};
	char words[CURL_ERROR_SIZE] = "";
	struct curl_slist *headers = NULL;
	curl_off_t length = -1;

	x.window_began = clock_ms();
	int r = make_headers(q, &headers, err);
	if (r < 0) {
		curl_slist_free_all(headers);
		return r;
	}
	set_all(h->easy, &x);
	curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(h->easy, CURLOPT_ERRORBUFFER, words);
	CURLcode code = curl_easy_perform(h->easy);
	curl_easy_setopt(h->easy, CURLOPT_ERRORBUFFER, NULL);
	curl_slist_free_all(headers);
	if (code != CURLE_OK && !x.enough)
		return failed(&x, code, words, err);
	(void)curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &ret->status);
	(void)curl_easy_getinfo(h->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	ret->length = length;
	return buf_check(&ret->body, err);
}

static void url_free(CURLU **u)
{
	curl_url_cleanup(*u);
}

static int bad_url(const char *url, struct err *err)
{
	return err_set(err, EINVAL, "'%.200s' is no URL of a web server", url);
}

int http_resolve(const char *base, const char *location, char **ret, struct err *err)
{
	AUTO(url_free) CURLU *u = curl_url();
	char *url = NULL;

	if (!u)
		return err_set(err, ENOMEM, "out of memory");
	if (curl_url_set(u, CURLUPART_URL, base, 0) != CURLUE_OK ||
	    curl_url_set(u, CURLUPART_URL, location, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_URL, &url, 0) != CURLUE_OK)
		return bad_url(location, err);
	*ret = strdup(url);
	curl_free(url);
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

int http_origin(const char *url, char **ret, struct err *err)
{
	AUTO(url_free) CURLU *u = curl_url();
	char *scheme = NULL, *host = NULL, *port = NULL;
	int r = 0;

	if (!u)
		return err_set(err, ENOMEM, "out of memory");
	if (curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK)
		r = bad_url(url, err);
	else if (asprintf(ret, "%s://%s:%s", scheme, host, port) < 0)
		r = err_set(err, ENOMEM, "out of memory");
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	return r;
}

void http_escape(struct buf *to, const char *text)
{
	for (const char *p = text; *p; p++) {
		unsigned char c = (unsigned char)*p;
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    strchr("-._~", c))
			buf_add(to, p, 1);
		else
			buf_printf(to, "%%%02X", c);
	}
}
