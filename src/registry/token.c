/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A realm is named by the registry, so by somebody who may want our password: it has to be HTTPS
 * (or what the registry itself speaks, where the user named it insecure), and credentials go to it
 * only if it is near the registry or named in /etc/hull/registries. Without credentials there is
 * nothing to lose, and any realm will do.
 */
#include "registry/token.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "registry/base64.h"
#include "registry/challenge.h"
#include "registry/http.h"
#include "registry/origin.h"
#include "registry/registry.h"

enum { TOKEN_MAX = 64 << 10 };

static int basic(const struct creds *c, char **ret, struct err *err)
{
	AUTO_BUF struct buf pair = BUF_INIT;
	AUTO_BUF struct buf value = BUF_INIT;

	buf_printf(&pair, "%s:%s", c->user, c->secret);
	int r = buf_check(&pair, err);
	if (r < 0)
		return r;
	buf_str(&value, "Basic ");
	base64_encode(&value, pair.data, pair.len);
	explicit_bzero(pair.data, pair.len);
	*ret = buf_take(&value);
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* The host of an URL or of "HOST[:PORT]", without port; the caller frees. */
static int host_of(const char *text, char **ret, struct err *err)
{
	AUTO_FREE char *url = NULL;
	AUTO_FREE char *origin = NULL;
	int n = strstr(text, "://") ? asprintf(&url, "%s", text)
				    : asprintf(&url, "https://%s/", text);

	if (n < 0) {
		url = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	int r = http_origin(url, &origin, err);
	if (r < 0)
		return r;
	const char *host = strstr(origin, "://") + 3;
	const char *port = strrchr(host, ':');
	*ret = strndup(host, (size_t)(port - host));
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

static bool is_listed(const struct registry_config *config, const char *host, const char *realm)
{
	const char *named = NULL;

	for (size_t i = 0; i < config->realms.n; i++) {
		if (str_prefix(config->realms.v[i], host, &named) && *named == '=' &&
		    strcmp(named + 1, realm) == 0)
			return true;
	}
	return false;
}

/* Refuses a realm that must not be asked with what we have. */
static int judge_realm(const struct origin *o, const struct registry_config *config,
		       const char *realm, struct err *err)
{
	bool plain_home = str_prefix(o->base, "http://", NULL);
	AUTO_FREE char *host = NULL;
	AUTO_FREE char *realm_host = NULL;

	if (!str_prefix(realm, "https://", NULL) &&
	    !(plain_home && o->trust.any && str_prefix(realm, "http://", NULL)))
		return err_set(err, EPROTO, "%s: its realm '%.100s' is not HTTPS", o->host, realm);
	int r = host_of(o->base, &host, err);
	if (r == 0)
		r = host_of(realm, &realm_host, err);
	if (r < 0)
		return r;
	if (!o->has_creds || challenge_realm_is_near(host, realm_host) ||
	    is_listed(config, o->host, realm_host))
		return 0;
	return err_set(
		err, EPROTO,
		"%s: wants its credentials sent to '%.100s' (if that is right, say 'realm %s %.100s' in /etc/hull/registries)",
		o->host, realm_host, o->host, realm_host);
}

/* "service=…&scope=…", or with an identity the form that exchanges it. */
static int make_query(const struct creds *c, const char *service, const char *scopes,
		      struct buf *to, struct err *err)
{
	AUTO_FREE char *words = strdup(scopes);
	char *rest = NULL;

	if (!words)
		return err_set(err, ENOMEM, "out of memory");
	buf_str(to, "service=");
	http_escape(to, service ? service : "");
	if (c->identity) {
		buf_str(to, "&client_id=hull&grant_type=refresh_token&refresh_token=");
		http_escape(to, c->identity);
		buf_str(to, "&scope=");
		http_escape(to, scopes);
		return buf_check(to, err);
	}
	for (char *w = strtok_r(words, " ", &rest); w; w = strtok_r(NULL, " ", &rest)) {
		buf_str(to, "&scope=");
		http_escape(to, w);
	}
	return buf_check(to, err);
}

/* The token in the realm's answer, as a header's value. */
static int take_token(const struct http_response *r, char **ret, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	const char *token = NULL;

	int k = json_parse(r->body.data ? r->body.data : "", r->body.len, TOKEN_MAX, "token", &doc,
			   err);
	if (k == 0 && !json_is_obj(doc))
		k = err_set(err, EPROTO, "token: not an object");
	if (k == 0)
		k = json_get_str(doc, "token", &token, err);
	if (k >= 0 && (!token || !*token))
		k = json_need(json_get_str(doc, "access_token", &token, err), "token", err);
	if (k < 0 || !token)
		return k;
	for (const char *p = token; *p; p++) {
		if (*p <= ' ' || *p >= 0x7f)
			return err_set(err, EPROTO, "token: holds what no header can");
	}
	return asprintf(ret, "Bearer %s", token) < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

static int ask_realm(struct http *h, const struct origin *o, const struct registry_config *config,
		     const char *realm, const char *query, struct http_response *r, struct err *err)
{
	AUTO_FREE char *authorization = NULL;
	AUTO_FREE char *url = NULL;
	struct http_request q = {.method = "GET",
				 .from = -1,
				 .trust = &o->trust,
				 .patience_s = config->patience_s};
	int k = 0;

	if (o->creds.identity) {
		q.method = "POST";
		q.body = query;
		q.content_type = "application/x-www-form-urlencoded";
	} else if (o->has_creds) {
		k = basic(&o->creds, &authorization, err);
		q.authorization = authorization;
	}
	if (k == 0 && asprintf(&url, "%s%s%s", realm,
			       q.body               ? ""
			       : strchr(realm, '?') ? "&"
						    : "?",
			       q.body ? "" : query) < 0) {
		url = NULL;
		k = err_set(err, ENOMEM, "out of memory");
	}
	q.url = url;
	return k == 0 ? http_perform(h, &q, r, err) : k;
}

static int bearer(struct http *h, const struct origin *o, const struct registry_config *config,
		  const struct challenge *c, const char *scopes, char **ret, struct err *err)
{
	AUTO(http_response_done) struct http_response r = {0};
	AUTO_BUF struct buf query = BUF_INIT;

	int k = judge_realm(o, config, c->realm, err);
	if (k == 0)
		k = make_query(&o->creds, c->service, scopes, &query, err);
	if (k < 0)
		return k;
	k = ask_realm(h, o, config, c->realm, query.data, &r, err);
	if (query.data)
		explicit_bzero(query.data, query.len);
	if (k < 0)
		return err_wrap(err, "%s: ask '%.100s' for a token", o->host, c->realm);
	if (r.status == 401 || r.status == 403)
		return err_set(err, EACCES, "%s: %s", o->host,
			       o->has_creds ? "the credentials on file are refused (hull login)"
					    : "wants a login (hull login)");
	if (r.status != 200)
		return err_set(err, EIO, "%s: '%.100s' gives no token: status %ld", o->host,
			       c->realm, r.status);
	k = take_token(&r, ret, err);
	return k < 0 ? err_wrap(err, "%s: '%.100s'", o->host, c->realm) : 0;
}

int token_get(struct http *h, const struct origin *o, const struct registry_config *config,
	      const struct challenge *c, const char *scopes, char **ret, struct err *err)
{
	if (c->bearer)
		return bearer(h, o, config, c, scopes, ret, err);
	if (!o->has_creds || !o->creds.user)
		return err_set(err, EACCES, "%s: wants a login (hull login)", o->host);
	if (!o->trust.any && !str_prefix(o->base, "https://", NULL))
		return err_set(err, EPROTO, "%s: credentials are not sent without HTTPS", o->host);
	return basic(&o->creds, ret, err);
}
