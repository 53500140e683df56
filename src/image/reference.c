/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "image/image.h"
#include "image/image_priv.h"

enum { NAME_MAX_LEN = 255, TAG_MAX_LEN = 128, PORT_DIGITS = 5 };

static bool is_lower(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
	return is_lower(c) || (c >= 'A' && c <= 'Z');
}

bool digest_is_hex(const char *s, size_t n)
{
	if (n != DIGEST_HEX)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
			return false;
	}
	return true;
}

/* How long the separator at s is: one of ".", "_", "__" or any number of "-"; 0: none. */
static size_t separator_len(const char *s, size_t n)
{
	size_t dashes = 0;

	while (dashes < n && s[dashes] == '-')
		dashes++;
	if (dashes > 0)
		return dashes;
	if (n >= 2 && s[0] == '_' && s[1] == '_')
		return 2;
	return n >= 1 && (s[0] == '.' || s[0] == '_') ? 1 : 0;
}

/* One component of a repository: [a-z0-9]+ joined by separators. */
static bool is_component(const char *s, size_t n)
{
	size_t i = 0;

	while (i < n && is_lower(s[i])) {
		while (i < n && is_lower(s[i]))
			i++;
		if (i == n)
			return true;
		size_t sep = separator_len(s + i, n - i);
		if (sep == 0)
			return false;
		i += sep;
	}
	return false;
}

static int check_repository(const char *s, size_t n, const char *text, struct err *err)
{
	if (n == 0)
		return err_set(err, EINVAL, "image name '%s': no repository in it", text);
	for (size_t at = 0; at <= n;) {
		const char *slash = memchr(s + at, '/', n - at);
		size_t len = slash ? (size_t)(slash - (s + at)) : n - at;
		if (!is_component(s + at, len))
			return err_set(
				err, EINVAL,
				"image name '%s': '%.*s' is not of a-z, 0-9, joined by single '.', '_' or '-'",
				text, (int)len, s + at);
		at += len + 1;
	}
	return 0;
}

static bool is_port(const char *s, size_t n)
{
	if (n == 0 || n > PORT_DIGITS)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
	}
	return true;
}

/* Length of the IPv6 address in brackets that s begins with; 0: none. */
static size_t bracket_len(const char *s, size_t n)
{
	const char *close = memchr(s, ']', n);
	size_t len = close ? (size_t)(close - s) + 1 : 0;

	for (size_t i = 1; i + 1 < len; i++) {
		if (!isxdigit((unsigned char)s[i]) && s[i] != ':')
			return 0;
	}
	return len < 4 ? 0 : len; /* "[::]" */
}

/* Length of the host name or IPv4 address that s begins with; 0: none. */
static size_t host_len(const char *s, size_t n)
{
	size_t len = 0;

	while (len < n && (is_alnum(s[len]) || s[len] == '.' || s[len] == '-'))
		len++;
	return len > 0 && is_alnum(s[0]) && is_alnum(s[len - 1]) ? len : 0;
}

/* host[:port] */
static bool is_registry(const char *s, size_t n)
{
	size_t host = n > 0 && s[0] == '[' ? bracket_len(s, n) : host_len(s, n);

	if (host == 0)
		return false;
	return host == n || (s[host] == ':' && is_port(s + host + 1, n - host - 1));
}

/*
 * Whether what stands before the first '/' is a registry: it has a dot, a port or upper case, or is
 * localhost. All else is the repository's own: "library/nginx" is nobody's in particular.
 */
static size_t registry_len(const char *s, size_t n)
{
	const char *slash = memchr(s, '/', n);
	size_t len = slash ? (size_t)(slash - s) : 0;

	if (len == 9 && memcmp(s, "localhost", 9) == 0)
		return len;
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '.' || s[i] == ':' || (s[i] >= 'A' && s[i] <= 'Z'))
			return len;
	}
	return 0;
}

static bool is_tag(const char *s, size_t n)
{
	if (n == 0 || n > TAG_MAX_LEN || s[0] == '.' || s[0] == '-')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!is_alnum(s[i]) && !strchr("_.-", s[i]))
			return false;
	}
	return true;
}

/* Cuts "@sha256:HEX" off the end of s (n bytes); *ret_n is what is left. */
static int cut_digest(const char *s, size_t n, struct reference *ref, size_t *ret_n,
		      struct err *err)
{
	const char *at = memchr(s, '@', n);

	*ret_n = n;
	if (!at)
		return 0;
	const char *hex = NULL;
	if (!str_prefix(at + 1, "sha256:", &hex) || !digest_is_hex(hex, strlen(hex)))
		return err_set(
			err, EINVAL,
			"image name '%s': what follows '@' is not 'sha256:' and 64 hex digits", s);
	ref->digest = strdup(hex);
	*ret_n = (size_t)(at - s);
	return ref->digest ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* Cuts ":TAG" off; a ':' before a '/' is a registry's port. */
static int cut_tag(const char *s, size_t n, const char *text, struct reference *ref, size_t *ret_n,
		   struct err *err)
{
	const char *colon = memrchr(s, ':', n);

	*ret_n = n;
	if (colon && !memchr(colon, '/', n - (size_t)(colon - s))) {
		size_t len = n - (size_t)(colon + 1 - s);
		if (!is_tag(colon + 1, len))
			return err_set(err, EINVAL, "image name '%s': the tag '%.*s' is not valid",
				       text, (int)len, colon + 1);
		ref->tag = strndup(colon + 1, len);
		*ret_n = (size_t)(colon - s);
	} else if (!ref->digest) {
		ref->tag = strdup("latest");
	} else {
		return 0;
	}
	return ref->tag ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int make_name(struct reference *ref, struct err *err)
{
	bool ok = asprintf(&ref->name, "%s%s%s%s%s", ref->registry ? ref->registry : "",
			   ref->registry ? "/" : "", ref->repository, ref->tag ? ":" : "",
			   ref->tag ? ref->tag : "") >= 0;

	if (!ok)
		ref->name = NULL;
	return ok ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int check_text(const char *text, size_t n, struct err *err)
{
	if (n == 0)
		return err_set(err, EINVAL, "image name: empty");
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] >= 0x7f)
			return err_set(err, EINVAL,
				       "image name: byte %zu is not a printable character", i);
	}
	if (n > NAME_MAX_LEN + TAG_MAX_LEN + DIGEST_HEX + 16)
		return err_set(err, EINVAL, "image name '%.40s…': too long", text);
	return 0;
}

/* Registry and repository: n bytes of text, tag and digest being cut off. */
static int parse_path(const char *text, size_t n, struct reference *ref, struct err *err)
{
	if (n > NAME_MAX_LEN)
		return err_set(err, EINVAL, "image name '%.40s…': longer than %d bytes", text,
			       NAME_MAX_LEN);
	if (digest_is_hex(text, n))
		return err_set(err, EINVAL, "image name '%s': 64 hex digits are an image's id",
			       text);
	size_t host = registry_len(text, n);
	if (host > 0 && !is_registry(text, host))
		return err_set(err, EINVAL, "image name '%s': '%.*s' is not a registry's host",
			       text, (int)host, text);
	const char *path = host > 0 ? text + host + 1 : text;
	size_t path_n = n - (size_t)(path - text);
	int r = check_repository(path, path_n, text, err);
	if (r < 0)
		return r;
	ref->registry = host > 0 ? strndup(text, host) : NULL;
	ref->repository = strndup(path, path_n);
	if ((host > 0 && !ref->registry) || !ref->repository)
		return err_set(err, ENOMEM, "out of memory");
	return 0;
}

static int parse_into(const char *text, struct reference *ref, struct err *err)
{
	size_t n = strlen(text);

	int r = check_text(text, n, err);
	if (r == 0)
		r = cut_digest(text, n, ref, &n, err);
	if (r == 0)
		r = cut_tag(text, n, text, ref, &n, err);
	if (r == 0)
		r = parse_path(text, n, ref, err);
	return r == 0 ? make_name(ref, err) : r;
}

int reference_parse(const char *text, struct reference *ret, struct err *err)
{
	struct reference ref = {0};

	int r = parse_into(text, &ref, err);
	if (r < 0) {
		reference_done(&ref);
		return r;
	}
	*ret = ref;
	return 0;
}

void reference_done(struct reference *ref)
{
	free(ref->registry);
	free(ref->repository);
	free(ref->tag);
	free(ref->digest);
	free(ref->name);
	*ref = (struct reference){0};
}
