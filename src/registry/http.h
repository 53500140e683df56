/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP exchange by libcurl: bounded in headers, body and patience. It follows no redirection,
 * adds no credentials and believes no certificate that was not asked for: who sends what where is
 * decided by whoever calls.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/str.h"

struct err;
struct http; /* connections kept open; one exchange at a time */
struct http_response;

enum { HTTP_BODY_MAX = 4 << 20, HTTP_SLOWEST = 1024 /* bytes per second */ };

/* Whom to believe on the other side. */
struct http_trust {
	bool any; /* no certificate is checked, and plain HTTP is spoken where the URL says so */
	struct buf ca; /* owned: certificates of further authorities, PEM */
	struct buf cert, key; /* owned: our own certificate, PEM; empty: none */
};

/* Takes bytes of the body of a 2xx answer, whose headers are in *response. */
typedef int http_sink_fn(void *ctx, const struct http_response *response, const void *bytes,
			 size_t n, struct err *err);

/* All borrowed; members may be NULL where nothing is said. */
struct http_request {
	const char *method, *url;
	const char *authorization; /* the header's value */
	const char *accept, *content_type, *range, *content_range;
	const struct http_trust *trust;
	const char *body; /* to be sent: text, or from_len bytes of the file `from` at from_at */
	int from; /* -1: no file */
	uint64_t from_at, from_len;
	http_sink_fn *sink; /* NULL: into response.body, at most HTTP_BODY_MAX bytes */
	void *ctx;
	uint32_t patience_s; /* how long it may be slower than HTTP_SLOWEST */
	uint32_t connect_ms; /* how long connecting may take; 0: as long as is usual */
};

/* Headers that somebody asks for. */
enum http_header {
	HTTP_TYPE,
	HTTP_DIGEST,
	HTTP_LOCATION,
	HTTP_RETRY_AFTER,
	HTTP_CONTENT_RANGE,
	HTTP_RANGE,
	HTTP_CHUNK_MIN,
	HTTP_SUBJECT,
	HTTP_HEADERS
};

struct http_response {
	long status;
	char *header[HTTP_HEADERS]; /* owned; NULL: absent */
	struct strv challenges; /* each WWW-Authenticate */
	int64_t length; /* announced of the body; -1: not */
	struct buf body; /* what no sink took: of an answer other than 2xx only its beginning */
	bool transient; /* it failed in a way that may not last */
	bool unreachable; /* it failed before anything was asked */
	bool slow; /* it was given up for being slow */
};

/* Makes one without connections; the caller frees. */
int http_new(struct http **ret, struct err *err) HULL_MUST_CHECK;

/* NULL is fine. */
void http_free(struct http *h);

/*
 * Carries out a request; any status is an answer. Of *ret (zeroed) transient, unreachable and slow
 * are set on failure too; the caller releases it with http_response_done() in both cases.
 */
int http_perform(struct http *h, const struct http_request *q, struct http_response *ret,
		 struct err *err) HULL_MUST_CHECK;

/* Frees what it owns and zeroes it. */
void http_response_done(struct http_response *response);

/* The absolute URL that `location` (absolute or not) means in an answer of `base`; the caller frees
 * *ret. */
int http_resolve(const char *base, const char *location, char **ret, struct err *err)
	HULL_MUST_CHECK;

/* "https://host:port" of a URL, the port always said; the caller frees *ret. */
int http_origin(const char *url, char **ret, struct err *err) HULL_MUST_CHECK;

/* Appends text with all but letters, digits and "-._~" as %XX. */
void http_escape(struct buf *to, const char *text);

DEFINE_AUTO(struct http, http_free)
