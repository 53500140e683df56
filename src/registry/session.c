/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where our credentials and tokens go: to the scheme, host and port of the registry's own base, and
 * nowhere else. A redirection to another place is followed without them, and never from HTTPS to
 * plain HTTP. A registry that answers 401 to a token it has just issued is told no more.
 */
#include "registry/session.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/json.h"
#include "registry/challenge.h"
#include "registry/token.h"

enum {
	REDIRECTS_MAX = 5,
	PROOFS_MAX = 2,
	TRIES_MAX = 4,
	WAIT_MAX_S = 60,
	FIRST_WAIT_MS = 500,
	MIRROR_CONNECT_MS = 3000, /* a mirror is near, or of no use */
};

static int add_mirrors(struct session *s, const struct session_target *t, struct err *err)
{
	const char *place = NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && !t->write && *t->repository && i < s->config.mirrors.n; i++) {
		if (!str_prefix(s->config.mirrors.v[i], t->host, &place) || *place != '=')
			continue;
		if (s->n == SESSION_ORIGINS - 1)
			return err_set(err, E2BIG, "more than %d mirrors of %s",
				       SESSION_ORIGINS - 1, t->host);
		r = origin_init(place + 1, t->repository, t->any, &s->config, &s->origins[s->n],
				err);
		s->origins[s->n].mirror = true;
		s->n += r == 0;
	}
	return r;
}

int session_init(const struct session_target *t, struct session *ret, struct err *err)
{
	struct session s = {.write = t->write, .lock = PTHREAD_MUTEX_INITIALIZER};

	int r = registry_config_load(&s.config, err);
	if (r == 0)
		r = add_mirrors(&s, t, err);
	if (r == 0)
		r = origin_init(t->host, t->repository, t->any, &s.config, &s.origins[s.n], err);
	s.n += r == 0;
	s.host = strdup(t->host);
	if (r == 0 && !s.host)
		r = err_set(err, ENOMEM, "out of memory");
	if (r < 0) {
		session_done(&s);
		return r;
	}
	*ret = s;
	return 0;
}

void session_done(struct session *s)
{
	for (size_t i = 0; i < s->n; i++)
		origin_done(&s->origins[i]);
	for (size_t i = 0; i < s->n_idle; i++)
		http_free(s->idle[i]);
	registry_config_done(&s->config);
	free(s->host);
}

void session_know(struct session *s)
{
	for (size_t i = 0; i < s->n; i++)
		origin_know(&s->origins[i], &s->origins[i] == session_home(s));
}

struct origin *session_home(struct session *s)
{
	return &s->origins[s->n - 1];
}

/* A connection for one exchange, an old one if there is any; NULL when memory is out. */
static struct http *borrow(struct session *s)
{
	struct err ignored = ERR_INIT; /* of memory alone */
	struct http *h = NULL;

	(void)pthread_mutex_lock(&s->lock);
	if (s->n_idle > 0)
		h = s->idle[--s->n_idle];
	(void)pthread_mutex_unlock(&s->lock);
	return h || http_new(&h, &ignored) == 0 ? h : NULL;
}

static void give_back(struct session *s, struct http *h)
{
	(void)pthread_mutex_lock(&s->lock);
	if (s->n_idle < SESSION_IDLE)
		s->idle[s->n_idle++] = TAKE_PTR(h);
	(void)pthread_mutex_unlock(&s->lock);
	http_free(h);
}

bool session_is_down(struct session *s, const struct origin *o)
{
	(void)pthread_mutex_lock(&s->lock);
	bool down = o->down;
	(void)pthread_mutex_unlock(&s->lock);
	return down;
}

static uint32_t connect_ms(const struct origin *o)
{
	return o->mirror ? MIRROR_CONNECT_MS : 0;
}

/* Notes how an exchange failed. */
static void note_failure(struct session *s, struct origin *o, const struct http_response *r)
{
	if (!o->mirror || !(r->unreachable || r->slow))
		return;
	(void)pthread_mutex_lock(&s->lock);
	o->down = true;
	(void)pthread_mutex_unlock(&s->lock);
}

/* Asks an origin that may speak plain HTTP which of both it does. */
static int ping(const struct session *s, const struct origin *o, struct http *h, struct err *err)
{
	AUTO(http_response_done) struct http_response r = {0};
	const struct http_request q = {.method = "GET",
				       .url = o->base,
				       .from = -1,
				       .trust = &o->trust,
				       .connect_ms = connect_ms(o),
				       .patience_s = s->config.patience_s};

	return http_perform(h, &q, &r, err);
}

/* Finds out once where an origin is; the lock is held. */
static int settle(const struct session *s, struct origin *o, struct http *h, struct err *err)
{
	struct err https = ERR_INIT; /* the one to tell when plain HTTP fails as well */
	struct err plain = ERR_INIT;

	if (!o->settled && o->trust.any && ping(s, o, h, &https) < 0) {
		char *secure = o->base;
		if (asprintf(&o->base, "http%s", secure + strlen("https")) < 0) {
			o->base = secure;
			return err_set(err, ENOMEM, "out of memory");
		}
		int r = ping(s, o, h, &plain);
		free(r < 0 ? o->base : secure);
		if (r < 0) {
			o->base = secure;
			return err_set(err, https.code, "%s: %s", o->host, https.msg);
		}
	}
	o->settled = true;
	return 0;
}

/* What a token is to be good for. mount: the path names another repository to mount from. */
static int make_scopes(const struct session *s, const struct origin *o, const char *path,
		       struct buf *to, struct err *err)
{
	const char *from = strstr(path, "&from=");

	if (!*o->repository)
		return 0;
	buf_printf(to, "repository:%s:%s", o->repository, s->write ? "pull,push" : "pull");
	if (from)
		buf_printf(to, " repository:%s:pull", from + strlen("&from="));
	return buf_check(to, err);
}

/* Meets a challenge; one thread at a time, so that others find what it got. */
static int prove(struct session *s, struct origin *o, struct http *h, const char *path,
		 const struct http_response *r, const char *tried, struct err *err)
{
	AUTO(challenge_done) struct challenge c = {0};
	AUTO_BUF struct buf scopes = BUF_INIT;
	char *value = NULL;

	int k = challenge_pick(&r->challenges, &c, err);
	if (k < 0)
		return err_wrap(err, "%s", o->host);
	(void)pthread_mutex_lock(&s->lock);
	bool other = o->authorization && (!tried || strcmp(tried, o->authorization) != 0);
	if (!other || strstr(path, "&from=")) {
		k = o->creds_failure.code
			    ? err_set(err, o->creds_failure.code, "%s: credentials: %s", o->host,
				      o->creds_failure.msg)
			    : make_scopes(s, o, path, &scopes, err);
		if (k == 0)
			k = token_get(h, o, &s->config, &c, scopes.data ? scopes.data : "", &value,
				      err);
		if (k == 0) {
			free(o->authorization);
			o->authorization = value;
		}
	}
	(void)pthread_mutex_unlock(&s->lock);
	return k;
}

static bool is_redirect(long status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* What one exchange goes through. */
struct walk {
	struct session *s;
	struct origin *o;
	struct http *h;
	const char *path;
	char *url, *home; /* where it is now; scheme, host and port of the registry */
	char *authorization; /* sent last, or NULL */
	unsigned int redirects, proofs;
};

static void walk_done(struct walk *w)
{
	free(w->url);
	free(w->home);
	free(w->authorization);
	if (w->h)
		give_back(w->s, w->h);
}

/* What to send, if what is asked is the registry itself. */
static int choose_authorization(struct walk *w, struct err *err)
{
	AUTO_FREE char *place = NULL;
	int r = http_origin(w->url, &place, err);

	free(w->authorization);
	w->authorization = NULL;
	if (r < 0 || strcmp(place, w->home) != 0)
		return r;
	(void)pthread_mutex_lock(&w->s->lock);
	if (w->o->authorization) {
		w->authorization = strdup(w->o->authorization);
		r = w->authorization ? 0 : err_set(err, ENOMEM, "out of memory");
	}
	(void)pthread_mutex_unlock(&w->s->lock);
	return r < 0 ? r : 1;
}

static int follow(struct walk *w, const struct http_response *r, struct err *err)
{
	char *to = NULL;

	if (!r->header[HTTP_LOCATION])
		return err_set(err, EPROTO, "%s: redirects to nowhere", w->o->host);
	if (++w->redirects > REDIRECTS_MAX)
		return err_set(err, ELOOP, "%s: redirects more than %d times", w->o->host,
			       REDIRECTS_MAX);
	int k = http_resolve(w->url, r->header[HTTP_LOCATION], &to, err);
	if (k < 0)
		return err_wrap(err, "%s: redirection", w->o->host);
	bool down = str_prefix(w->url, "https://", NULL) && !str_prefix(to, "https://", NULL);
	free(w->url);
	w->url = to;
	if (down)
		return err_set(err, EPROTO, "%s: redirects from HTTPS to '%.100s'", w->o->host, to);
	return 0;
}

/* Where to begin. */
static int begin(struct walk *w, struct err *err)
{
	w->h = borrow(w->s);
	if (!w->h)
		return err_set(err, ENOMEM, "out of memory");
	(void)pthread_mutex_lock(&w->s->lock);
	int r = settle(w->s, w->o, w->h, err);
	(void)pthread_mutex_unlock(&w->s->lock);
	if (r == 0)
		r = http_origin(w->o->base, &w->home, err);
	if (r < 0)
		return r;
	int n = strstr(w->path, "://") ? asprintf(&w->url, "%s", w->path)
		: *w->path == '\0'
			? asprintf(&w->url, "%s", w->o->base)
			: asprintf(&w->url, "%s%s/%s", w->o->base, w->o->repository, w->path);
	if (n < 0) {
		w->url = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	return 0;
}

int session_exchange(struct session *s, struct origin *o, const char *path, struct http_request *q,
		     struct http_response *ret, struct err *err)
{
	AUTO(walk_done) struct walk w = {.s = s, .o = o, .path = path};

	int r = begin(&w, err);
	ret->unreachable = r < 0;
	while (r == 0) {
		int at_home = choose_authorization(&w, err);
		if (at_home < 0)
			return at_home;
		q->url = w.url;
		q->trust = &o->trust;
		q->authorization = w.authorization;
		q->patience_s = q->patience_s ? q->patience_s : s->config.patience_s;
		q->connect_ms = connect_ms(o);
		http_response_done(ret);
		r = http_perform(w.h, q, ret, err);
		if (r < 0) {
			(void)err_wrap(err, "%s", o->host);
			break;
		}
		if (is_redirect(ret->status))
			r = follow(&w, ret, err);
		else if (ret->status == 401 && at_home && w.proofs++ < PROOFS_MAX)
			r = prove(s, o, w.h, path, ret, w.authorization, err);
		else
			return 0;
	}
	note_failure(s, o, ret);
	return r;
}

/* For how long the answer asks to be left alone, in ms; -1 when it does not say. */
static int64_t asked_wait_ms(const struct http_response *r)
{
	const char *text = r->header[HTTP_RETRY_AFTER];

	if (!text)
		return -1;
	if (strspn(text, "0123456789") == strlen(text) && strlen(text) < 9)
		return strtol(text, NULL, 10) * INT64_C(1000);
	time_t when = curl_getdate(text, NULL);
	time_t now = time(NULL);
	return when < 0 ? -1 : when < now ? 0 : (int64_t)(when - now) * 1000;
}

bool retry_again(struct retry *retry, const struct http_response *r, bool failed)
{
	bool busy = !failed && (r->status == 429 || r->status == 500 || r->status == 502 ||
				r->status == 503 || r->status == 504);

	if (!(failed ? r->transient : busy))
		return false;
	retry->tries += r->slow ? TRIES_MAX - 1 : 1; /* it has used up patience enough */
	if (retry->tries > TRIES_MAX)
		return false;
	int64_t wait_ms = failed ? -1 : asked_wait_ms(r);
	if (wait_ms > WAIT_MAX_S * INT64_C(1000))
		return false;
	if (wait_ms < 0)
		wait_ms = (int64_t)FIRST_WAIT_MS << (retry->tries - 1);
	const struct timespec ts = {wait_ms / 1000, wait_ms % 1000 * 1000000};
	(void)nanosleep(&ts, NULL);
	return true;
}

int session_ask(struct session *s, struct origin *o, const char *path, struct http_request *q,
		struct http_response *ret, struct err *err)
{
	struct retry retry = {0};

	for (;;) {
		struct err failure = ERR_INIT;
		int r = session_exchange(s, o, path, q, ret, &failure);
		if (o->mirror || !retry_again(&retry, ret, r < 0))
			return r < 0 ? err_set(err, failure.code, "%s", failure.msg) : 0;
	}
}

/* What a registry says of its refusal: {"errors": [{"code": …, "message": …}]}, borrowed from *doc.
 */
static const char *explanation(const struct http_response *r, struct json_object **doc)
{
	struct err none = ERR_INIT; /* then it says nothing that can be read */
	struct json_object *errors = NULL;
	const char *text = NULL;

	if (!r->body.data ||
	    json_parse(r->body.data, r->body.len, HTTP_BODY_MAX, "answer", doc, &none) < 0 ||
	    !json_is_obj(*doc) || json_get_array(*doc, "errors", &errors, &none) <= 0 ||
	    !json_is_obj(json_at(errors, 0)))
		return NULL;
	if (json_get_str(json_at(errors, 0), "message", &text, &none) <= 0 || !*text)
		(void)!json_get_str(json_at(errors, 0), "code", &text, &none);
	return text;
}

int session_refused(const struct origin *o, const char *what, const struct http_response *r,
		    struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	const char *why = explanation(r, &doc);
	int code = r->status == 404 ? ENOENT : r->status == 401 || r->status == 403 ? EACCES : EIO;
	const char *words = r->status == 404   ? "is not there"
			    : r->status == 401 ? "is denied (hull login?)"
			    : r->status == 403 ? "is denied"
			    : r->status == 429 ? "has to wait: too many requests"
					       : "failed";

	return err_set(err, code, "%s: %s %s (status %ld%s%.160s)", o->host, what, words, r->status,
		       why ? ": " : "", why ? why : "");
}
