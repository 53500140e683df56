/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tar_pax.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "image/tar_header.h"
#include "image/tree.h"

enum { INT64_DIGITS = 20 };

/* One record; value has a NUL behind its n bytes. */
typedef int key_fn(struct tar_header *h, struct tar_pax *pax, const char *value, size_t n,
		   struct err *err);

static int set_text(struct buf *to, bool *have, const char *value, size_t n, struct err *err)
{
	if (memchr(value, '\0', n))
		return err_set(err, EINVAL, "a NUL in a name");
	buf_clear(to);
	buf_add(to, value, n);
	*have = n > 0; /* an empty value takes the record back */
	return buf_check(to, err);
}

int tar_number(const char *text, size_t n, int64_t min, const char *what, int64_t *ret,
	       struct err *err)
{
	size_t digits = strspn(text, "0123456789");

	if (min < 0 && *text == '-')
		digits = 1 + strspn(text + 1, "0123456789");
	if (digits != n || n > INT64_DIGITS)
		return err_set(err, EINVAL, "%s is no number", what);
	return parse_int(text, min, INT64_MAX, what, ret, err);
}

static int key_path(struct tar_header *h, struct tar_pax *pax, const char *value, size_t n,
		    struct err *err)
{
	return pax->sparse_name ? 0 : set_text(&h->path, &pax->path, value, n, err);
}

static int key_sparse_name(struct tar_header *h, struct tar_pax *pax, const char *value, size_t n,
			   struct err *err)
{
	int r = set_text(&h->path, &pax->path, value, n, err);

	pax->sparse_name = pax->path;
	return r;
}

static int key_linkpath(struct tar_header *h, struct tar_pax *pax, const char *value, size_t n,
			struct err *err)
{
	return set_text(&h->target, &pax->target, value, n, err);
}

static int key_size(struct tar_header *h, struct tar_pax *pax, const char *value, size_t n,
		    struct err *err)
{
	int64_t v = 0;
	int r = tar_number(value, n, 0, "size", &v, err);

	h->stored = (uint64_t)v;
	pax->size = true;
	return r;
}

static int key_uid(struct tar_header *h, struct tar_pax *pax, const char *value, size_t n,
		   struct err *err)
{
	pax->uid = true;
	return tar_number(value, n, 0, "owner", &h->uid, err);
}

static int key_gid(struct tar_header *h, struct tar_pax *pax, const char *value, size_t n,
		   struct err *err)
{
	pax->gid = true;
	return tar_number(value, n, 0, "group", &h->gid, err);
}

static int key_major(struct tar_header *h, struct tar_pax *pax, const char *value, size_t n,
		     struct err *err)
{
	pax->major = true;
	return tar_number(value, n, 0, "device number", &h->major, err);
}

static int key_minor(struct tar_header *h, struct tar_pax *pax, const char *value, size_t n,
		     struct err *err)
{
	pax->minor = true;
	return tar_number(value, n, 0, "device number", &h->minor, err);
}

/* Seconds, perhaps negative, perhaps with a fraction. */
static int key_mtime(struct tar_header *h, struct tar_pax *pax, const char *value, size_t n,
		     struct err *err)
{
	char whole[32];
	const char *point = memchr(value, '.', n);
	size_t len = point ? (size_t)(point - value) : n;
	uint32_t nsec = 0, unit = 100000000;

	for (const char *p = point ? point + 1 : value + n; p < value + n; p++, unit /= 10) {
		if (!isdigit((unsigned char)*p))
			return err_set(err, EINVAL, "the time is no number");
		nsec += (uint32_t)(*p - '0') * unit;
	}
	if (len >= sizeof(whole))
		return err_set(err, EINVAL, "the time is no number");
	memcpy(whole, value, len);
	whole[len] = '\0';
	int r = tar_number(whole, len, INT64_MIN + 1, "time", &h->mtime, err);
	if (r < 0)
		return r;
	if (*value == '-' && nsec > 0) {
		h->mtime--;
		nsec = 1000000000 - nsec;
	}
	h->mtime_nsec = nsec;
	pax->mtime = true;
	return 0;
}

static int key_filetype(struct tar_header *h, struct tar_pax *pax, const char *value, size_t n,
			struct err *err)
{
	(void)h;
	(void)n;
	(void)err;
	pax->socket = strcmp(value, TAR_FILETYPE_SOCKET) == 0;
	return 0;
}

static int key_sparse_major(struct tar_header *h, struct tar_pax *pax, const char *value, size_t n,
			    struct err *err)
{
	h->sparse = true;
	return tar_number(value, n, 0, "sparse version", &pax->sparse_version, err);
}

static int key_sparse_size(struct tar_header *h, struct tar_pax *pax, const char *value, size_t n,
			   struct err *err)
{
	int64_t v = 0;
	int r = tar_number(value, n, 0, "size", &v, err);

	h->size = (uint64_t)v;
	h->sparse = true;
	pax->sparse_size = true;
	return r;
}

static int key_sparse_offset(struct tar_header *h, struct tar_pax *pax, const char *value, size_t n,
			     struct err *err)
{
	int64_t v = 0;
	int r = tar_number(value, n, 0, "sparse map", &v, err);

	(void)h; /* the piece is noted when its length comes */
	pax->piece_at = (uint64_t)v;
	return r;
}

static int key_sparse_bytes(struct tar_header *h, struct tar_pax *pax, const char *value, size_t n,
			    struct err *err)
{
	int64_t v = 0;
	int r = tar_number(value, n, 0, "sparse map", &v, err);

	pax->sparse_map = true;
	return r < 0 ? r : tar_add_piece(h, pax->piece_at, (uint64_t)v, err);
}

static int key_sparse_map(struct tar_header *h, struct tar_pax *pax, const char *value, size_t n,
			  struct err *err)
{
	const char *end = value + n;
	bool odd = false;

	for (const char *p = value; p < end; odd = !odd) {
		char number[24];
		const char *comma = memchr(p, ',', (size_t)(end - p));
		size_t len = (size_t)((comma ? comma : end) - p);
		if (len >= sizeof(number))
			return err_set(err, EINVAL, "sparse map is no list of numbers");
		memcpy(number, p, len);
		number[len] = '\0';
		int r = odd ? key_sparse_bytes(h, pax, number, len, err)
			    : key_sparse_offset(h, pax, number, len, err);
		if (r < 0)
			return r;
		p += len + 1;
	}
	pax->sparse_map = true;
	return odd ? err_set(err, EINVAL, "sparse map ends in the middle of a piece") : 0;
}

static const struct {
	const char *key;
	key_fn *fn;
} keys[] = {
	{"path", key_path},
	{"linkpath", key_linkpath},
	{"size", key_size},
	{"uid", key_uid},
	{"gid", key_gid},
	{"mtime", key_mtime},
	{"SCHILY.devmajor", key_major},
	{"SCHILY.devminor", key_minor},
	{TAR_FILETYPE, key_filetype},
	{"GNU.sparse.name", key_sparse_name},
	{"GNU.sparse.major", key_sparse_major},
	{"GNU.sparse.size", key_sparse_size},
	{"GNU.sparse.realsize", key_sparse_size},
	{"GNU.sparse.offset", key_sparse_offset},
	{"GNU.sparse.numbytes", key_sparse_bytes},
	{"GNU.sparse.map", key_sparse_map},
};

static int add_xattr(struct tar_header *h, const char *name, const void *value, size_t n,
		     struct err *err)
{
	int r = xattr_add(&h->xattrs, name, value, n, err);

	if (r == XATTR_IGNORED)
		h->ignored_xattrs++;
	return r < 0 ? r : 0;
}

static int hex(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c ? strchr(digits, tolower((unsigned char)c)) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* %XX, in place. */
static void url_decode(char *text)
{
	char *to = text;

	for (; *text; text++) {
		int high = *text == '%' ? hex(text[1]) : -1;
		int low = high > 0 ? hex(text[2]) : -1; /* "%00" stays as it is */
		if (low >= 0) {
			*to++ = (char)(high * 16 + low);
			text += 2;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

/* Base64, in place, with or without padding; returns the length, or -1. */
static ssize_t base64_decode(char *text, size_t n)
{
	const char *letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned int bits = 0, have = 0;
	char *to = text;

	while (n > 0 && text[n - 1] == '=')
		n--;
	for (size_t i = 0; i < n; i++) {
		const char *at = text[i] ? strchr(letters, text[i]) : NULL;
		if (!at)
			return -1;
		bits = (bits << 6 | (unsigned int)(at - letters)) & 0xffff;
		have += 6;
		if (have >= 8) {
			have -= 8;
			*to++ = (char)(bits >> have);
		}
	}
	return to - text;
}

static int one_record(struct tar_header *h, struct tar_pax *pax, char *key, char *value, size_t n,
		      struct err *err)
{
	const char *name;
	struct shown shown;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strcmp(key, keys[i].key) == 0)
			return keys[i].fn(h, pax, value, n, err);
	}
	if (str_prefix(key, "SCHILY.xattr.", &name))
		return add_xattr(h, name, value, n, err);
	if (str_prefix(key, "LIBARCHIVE.xattr.", &name)) {
		url_decode(key + (name - key));
		ssize_t len = base64_decode(value, n);
		if (len < 0)
			return err_set(err, EINVAL, "attribute '%s' is not base64",
				       show(name, &shown));
		return add_xattr(h, name, value, (size_t)len, err);
	}
	return 0; /* comment, atime, uname and what other programs keep for themselves */
}

int tar_pax_parse(struct tar_header *h, struct tar_pax *pax, char *bytes, size_t n, struct err *err)
{
	for (char *end = bytes + n; bytes < end;) {
		size_t len = 0;
		char *p = bytes;

		for (; p < end && isdigit((unsigned char)*p) && len <= n; p++)
			len = len * 10 + (size_t)(*p - '0');
		if (p == end || *p++ != ' ' || len > (size_t)(end - bytes) ||
		    len <= (size_t)(p - bytes) || bytes[len - 1] != '\n')
			return err_set(err, EINVAL, "a damaged pax record");
		char *last = bytes + len - 1;
		char *equals = memchr(p, '=', (size_t)(last - p));
		if (!equals || memchr(p, '\0', (size_t)(equals - p)))
			return err_set(err, EINVAL, "a damaged pax record");
		*equals = '\0';
		*last = '\0';
		int r = one_record(h, pax, p, equals + 1, (size_t)(last - equals - 1), err);
		if (r < 0)
			return r;
		bytes = last + 1;
	}
	return 0;
}
