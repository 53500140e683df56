/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/challenge.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

void challenge_done(struct challenge *c)
{
	free(c->realm);
	free(c->service);
	*c = (struct challenge){0};
}

static bool is_token(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static void skip(const char **at, const char *what)
{
	*at += strspn(*at, what);
}

/* The token at *at, moved behind; NULL when there is none or memory is out. The caller frees. */
static char *take_token(const char **at)
{
	size_t n = 0;

	while (is_token((*at)[n]))
		n++;
	char *token = n > 0 ? strndup(*at, n) : NULL;
	*at += n;
	return token;
}

/* A value: quoted, or what stands up to a comma or blank; *at is moved behind it. */
static int take_value(const char **at, char **ret, struct err *err)
{
	AUTO_BUF struct buf value = BUF_INIT;
	bool quoted = **at == '"';

	*at += quoted;
	while (**at && (quoted ? **at != '"' : !strchr(", \t", **at))) {
		if (quoted && **at == '\\' && (*at)[1])
			(*at)++;
		buf_add(&value, *at, 1);
		(*at)++;
	}
	if (quoted && **at != '"')
		return err_set(err, EPROTO, "a quoted text without its end");
	*at += quoted;
	*ret = buf_take(&value);
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* Where a parameter goes; NULL: nobody wants it. */
static char **place(struct challenge *c, const char *name)
{
	return strcasecmp(name, "realm") == 0     ? &c->realm
	       : strcasecmp(name, "service") == 0 ? &c->service
						  : NULL;
}

static int take_parameter(const char **at, const char *name, struct challenge *c, struct err *err)
{
	AUTO_FREE char *value = NULL;

	int r = take_value(at, &value, err);
	char **to = place(c, name);
	if (r == 0 && to) {
		free(*to);
		*to = TAKE_PTR(value);
	}
	return r;
}

enum scheme { OTHER, BASIC, BEARER };

static enum scheme scheme_of(const char *word)
{
	return strcasecmp(word, "bearer") == 0  ? BEARER
	       : strcasecmp(word, "basic") == 0 ? BASIC
						: OTHER;
}

/* One header may hold several challenges: a word that no '=' follows begins the next. Each is taken
 * into found[its scheme]. */
static int parse(const char *at, struct challenge found[3], bool is[3], struct err *err)
{
	enum scheme scheme = OTHER;

	for (skip(&at, ", \t"); *at; skip(&at, ", \t")) {
		AUTO_FREE char *word = take_token(&at);
		if (!word)
			return err_set(err, EPROTO, "'%.40s' is no challenge", at);
		const char *behind = at;
		skip(&behind, " \t");
		if (*behind == '=' && behind[1] != '=') {
			at = behind + 1;
			skip(&at, " \t");
			int r = take_parameter(&at, word, &found[scheme], err);
			if (r < 0)
				return r;
			continue;
		}
		scheme = scheme_of(word);
		is[scheme] = true;
		skip(&at, " \t=");
	}
	return 0;
}

int challenge_pick(const struct strv *headers, struct challenge *ret, struct err *err)
{
	struct challenge found[3] = {{0}};
	bool is[3] = {false};
	int r = 0;

	for (size_t i = 0; r == 0 && i < headers->n; i++)
		r = parse(headers->v[i], found, is, err);
	if (r == 0 && is[BEARER] && !found[BEARER].realm)
		r = err_set(err, EPROTO, "a challenge for a token names no realm");
	if (r == 0 && !is[BEARER] && !is[BASIC])
		r = err_set(err, EPROTO, "wants to know who asks in a way that is unknown");
	if (r == 0) {
		enum scheme best = is[BEARER] ? BEARER : BASIC;
		*ret = found[best];
		ret->bearer = best == BEARER;
		found[best] = (struct challenge){0};
	}
	for (size_t i = 0; i < 3; i++)
		challenge_done(&found[i]);
	return r;
}

/* A domain that anybody may be below: one label, or a country's with a short one in front (co.uk).
 */
static bool is_public(const char *domain)
{
	const char *dot = strchr(domain, '.');

	return !dot || (!strchr(dot + 1, '.') && strlen(dot + 1) == 2 && dot - domain <= 3);
}

static bool is_address(const char *host)
{
	return host[0] == '[' || strspn(host, "0123456789.") == strlen(host);
}

bool challenge_realm_is_near(const char *host, const char *realm_host)
{
	const char *domain = strchr(host, '.');
	size_t n = strlen(realm_host);

	if (strcasecmp(host, realm_host) == 0)
		return true;
	if (!domain || is_address(host) || is_public(domain + 1))
		return false;
	size_t m = strlen(domain + 1);
	return n >= m && strcasecmp(realm_host + n - m, domain + 1) == 0 &&
	       (n == m || realm_host[n - m - 1] == '.');
}
