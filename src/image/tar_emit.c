/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tar_emit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "image/digest.h"
#include "image/tar_header.h"
#include "image/tree.h"
#include "image/xattr.h"

/* What the number fields of a header hold. */
#define SHORT_MAX INT64_C(07777777)
#define LONG_MAX_ INT64_C(077777777777)

enum { NAME_LEN = 100, XATTR_KEY_MAX = 300 };

struct tar_emitter {
	layer_write_fn *write;
	void *ctx;
	struct digest *digest;
	uint64_t bytes;
};

static const char zeros[64 << 10];

int tar_emitter_new(layer_write_fn *write, void *ctx, struct tar_emitter **ret, struct err *err)
{
	AUTO(auto_tar_emitter_free) struct tar_emitter *t = calloc(1, sizeof(*t));
	if (!t)
		return err_set(err, ENOMEM, "out of memory");
	t->write = write;
	t->ctx = ctx;
	int r = digest_new(&t->digest, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(t);
	return 0;
}

void tar_emitter_free(struct tar_emitter *t)
{
	if (!t)
		return;
	digest_free(t->digest);
	free(t);
}

static int emit(struct tar_emitter *t, const void *bytes, size_t n, struct err *err)
{
	int r = digest_add(t->digest, bytes, n, err);
	if (r == 0 && t->write)
		r = t->write(t->ctx, bytes, n, err);
	t->bytes += n;
	return r;
}

int tar_emit_content(void *ctx, const void *bytes, size_t n, struct err *err)
{
	struct tar_emitter *t = ctx;
	int r = 0;

	if (bytes)
		return emit(t, bytes, n, err);
	for (; r == 0 && n > 0; n -= n < sizeof(zeros) ? n : sizeof(zeros))
		r = emit(t, zeros, n < sizeof(zeros) ? n : sizeof(zeros), err);
	return r;
}

int tar_emit_padding(struct tar_emitter *t, uint64_t size, struct err *err)
{
	return tar_emit_content(t, NULL, (size_t)(-size % TAR_BLOCK), err);
}

/* The fields of a header that differ from entry to entry. */
struct fields {
	const char *name, *link;
	int64_t size, uid, gid, mtime, major, minor;
	unsigned int mode;
	char type;
};

/* Octal digits that fill the field, and a NUL. */
static void put_number(char *field, size_t len, int64_t v)
{
	for (size_t i = len - 1; i-- > 0; v >>= 3)
		field[i] = (char)('0' + (v & 7));
}

/* As much as a name field holds, without a NUL when it is full. */
static void put_text(char *field, const char *text)
{
	for (size_t i = 0; i < NAME_LEN && text[i] != '\0'; i++)
		field[i] = text[i];
}

static int emit_header(struct tar_emitter *t, const struct fields *f, struct err *err)
{
	char h[TAR_BLOCK] = {0};
	unsigned int sum = 0;

	put_text(h, f->name);
	put_number(h + 100, 8, f->mode);
	put_number(h + 108, 8, f->uid);
	put_number(h + 116, 8, f->gid);
	put_number(h + 124, 12, f->size);
	put_number(h + 136, 12, f->mtime);
	memset(h + 148, ' ', 8);
	h[156] = f->type;
	if (f->link)
		put_text(h + 157, f->link);
	memcpy(h + 257, "ustar", sizeof("ustar"));
	h[263] = '0';
	h[264] = '0';
	put_number(h + 329, 8, f->major);
	put_number(h + 337, 8, f->minor);
	for (size_t i = 0; i < sizeof(h); i++)
		sum += (uint8_t)h[i];
	put_number(h + 148, 7, sum);
	return emit(t, h, sizeof(h), err);
}

/* Appends "LENGTH KEY=VALUE\n", LENGTH counting itself. */
static void add_record(struct buf *pax, const char *key, const void *value, size_t n)
{
	size_t len = strlen(key) + n + 3, digits = 1;

	for (size_t limit = 10; len + digits >= limit; limit *= 10)
		digits++;
	buf_printf(pax, "%zu %s=", len + digits, key);
	buf_add(pax, value, n);
	buf_str(pax, "\n");
}

static void add_text(struct buf *pax, const char *key, const char *text)
{
	if (text && strlen(text) > NAME_LEN)
		add_record(pax, key, text, strlen(text));
}

/* A number that does not fit goes into a record, and is 0 in its field. */
static int64_t add_number(struct buf *pax, const char *key, int64_t v, int64_t max)
{
	char text[24];

	if (v >= 0 && v <= max)
		return v;
	(void)snprintf(text, sizeof(text), "%jd", (intmax_t)v);
	add_record(pax, key, text, strlen(text));
	return 0;
}

static int64_t add_mtime(struct buf *pax, int64_t sec, uint32_t nsec)
{
	char text[40];

	if (nsec == 0)
		return add_number(pax, "mtime", sec, LONG_MAX_);
	bool negative = sec < 0;
	uint64_t whole = negative ? -(uint64_t)(sec + 1) : (uint64_t)sec;
	(void)snprintf(text, sizeof(text), "%s%ju.%09u", negative ? "-" : "", (uintmax_t)whole,
		       negative ? 1000000000 - nsec : nsec);
	add_record(pax, "mtime", text, strlen(text));
	return negative || sec > LONG_MAX_ ? 0 : sec;
}

static void add_xattrs(struct buf *pax, const struct xattrs *xattrs)
{
	struct xattr_view x;

	for (size_t at = 0; xattrs && xattr_next(xattrs, &at, &x);) {
		char key[XATTR_KEY_MAX];
		(void)snprintf(key, sizeof(key), "SCHILY.xattr.%s%.*s", x.space, (int)x.name_len,
			       x.name);
		add_record(pax, key, x.value, x.n);
	}
}

static char type_of(const struct tree_entry *e)
{
	if (e->hardlink)
		return '1';
	switch (e->mode & S_IFMT) {
	case S_IFLNK:
		return '2';
	case S_IFCHR:
		return '3';
	case S_IFBLK:
		return '4';
	case S_IFDIR:
		return '5';
	case S_IFIFO:
		return '6';
	default: /* sockets too, which tar has no type for */
		return '0';
	}
}

int tar_emit_entry(struct tar_emitter *t, const struct tree_entry *e, uint64_t size,
		   struct err *err)
{
	AUTO_BUF struct buf pax = BUF_INIT;
	char name[TREE_PATH_MAX + 2];

	(void)snprintf(name, sizeof(name), "%s%s", e->path, S_ISDIR(e->mode) ? "/" : "");
	add_text(&pax, "path", name);
	add_text(&pax, "linkpath", e->target);
	struct fields f = {
		.name = name,
		.link = e->target,
		.mode = e->mode & 07777,
		.size = add_number(&pax, "size", (int64_t)size, LONG_MAX_),
		.uid = add_number(&pax, "uid", e->uid, SHORT_MAX),
		.gid = add_number(&pax, "gid", e->gid, SHORT_MAX),
		.mtime = add_mtime(&pax, e->mtime, e->mtime_nsec),
		.major = e->rdev_major,
		.minor = e->rdev_minor,
		.type = type_of(e),
	};
	if (S_ISSOCK(e->mode))
		add_record(&pax, TAR_FILETYPE, TAR_FILETYPE_SOCKET, strlen(TAR_FILETYPE_SOCKET));
	add_xattrs(&pax, e->xattrs);
	int r = buf_check(&pax, err);
	if (r == 0 && pax.len > 0) {
		struct fields ext = {.name = "PaxHeaders/x", .mode = 0644, .type = 'x'};
		ext.size = (int64_t)pax.len;
		r = emit_header(t, &ext, err);
		if (r == 0)
			r = emit(t, pax.data, pax.len, err);
		if (r == 0)
			r = tar_emit_padding(t, pax.len, err);
	}
	return r < 0 ? r : emit_header(t, &f, err);
}

int tar_emit_end(struct tar_emitter *t, struct layer_info *info, struct err *err)
{
	int r = tar_emit_content(t, NULL, (size_t)2 * TAR_BLOCK, err);
	if (r == 0)
		r = digest_end(t->digest, info->diff_id, err);
	if (r < 0)
		return r;
	memcpy(info->blob, info->diff_id, sizeof(info->blob));
	info->tar_bytes = t->bytes;
	info->blob_bytes = t->bytes;
	return 0;
}
