/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests are computed beside the work: that of the blob while it is unpacked, that of the tar
 * while it is parsed and written and the next of it unpacked.
 * The kind of compression is told by its first bytes. gzip is unpacked here; for the others
 * libarchive is given that one filter only: it never guesses, and nothing is unpacked twice. Memory
 * is bounded: libzstd refuses windows above 128 MiB, libarchive's xz filter dictionaries above 1
 * GiB.
 */
#include "image/source.h"

#include <archive.h>
#include <archive_entry.h>
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "image/gunzip.h"
#include "image/hasher.h"

enum { ROOM = 256 << 10, MAGIC_MAX = 6 };

struct source {
	layer_read_fn *read;
	void *ctx;
	struct err *err; /* of the call at work, for the callback */
	char *rooms[2]; /* owned: what was read last is in `room`, the other may be being hashed */
	char *room;
	size_t room_used; /* read ahead, not yet given on */
	uint64_t in_bytes, tar_bytes, max_bytes;
	struct hasher *in_hash; /* NULL when the stream is the tar */
	struct hasher *tar_hash;
	struct gunzip *gunzip; /* one of these two, or none when the stream is the tar */
	struct archive *unpack;
	const char *at; /* of the tar: hashed, not yet taken */
	size_t n;
};

static const struct {
	const char *magic;
	size_t len;
	int (*support)(struct archive *a);
} filters[] = {
	{"\x1f\x8b", 2, NULL /* gunzip.h */},
	{"\x28\xb5\x2f\xfd", 4, archive_read_support_filter_zstd},
	{"\xfd"
	 "7zXZ",
	 6, archive_read_support_filter_xz},
};

/* The next bytes of the stream as it came; 0 at its end. */
static ssize_t read_in(struct source *s, struct err *err)
{
	ssize_t n = (ssize_t)s->room_used;

	if (n == 0) {
		s->room = s->rooms[s->room == s->rooms[0]];
		n = s->read(s->ctx, s->room, ROOM, err);
		if (n < 0)
			return n;
		s->in_bytes += (uint64_t)n;
	}
	s->room_used = 0;
	int r = s->in_hash ? hasher_add(s->in_hash, s->room, (size_t)n, err) : 0;
	return r < 0 ? r : n;
}

static la_ssize_t unpack_read(struct archive *a, void *ctx, const void **ret)
{
	struct source *s = ctx;
	ssize_t n = read_in(s, s->err);

	if (n < 0)
		archive_set_error(a, EIO, "%s", s->err->msg);
	*ret = s->room;
	return n < 0 ? -1 : n;
}

static int unpack_failed(struct source *s, struct err *err)
{
	const char *why = archive_error_string(s->unpack);

	return err_set(err, EINVAL, "unpack the archive: %s", why ? why : "unknown failure");
}

static int twice(struct err *err)
{
	return err_set(err, EINVAL, "the archive is compressed more than once");
}

static int start_unpack(struct source *s, int (*support)(struct archive *a), struct err *err)
{
	struct archive_entry *entry;

	s->unpack = archive_read_new();
	if (!s->unpack)
		return err_set(err, ENOMEM, "out of memory");
	if (support(s->unpack) != ARCHIVE_OK ||
	    archive_read_support_format_raw(s->unpack) != ARCHIVE_OK ||
	    archive_read_support_format_empty(s->unpack) != ARCHIVE_OK ||
	    archive_read_open(s->unpack, s, NULL, unpack_read, NULL) != ARCHIVE_OK)
		return unpack_failed(s, err);
	int r = archive_read_next_header(s->unpack, &entry);
	if (r != ARCHIVE_OK && r != ARCHIVE_EOF)
		return unpack_failed(s, err);
	/* libarchive takes a filter as often as it fits; the last one counted stands for the input
	 */
	return archive_filter_count(s->unpack) > 2 ? twice(err) : 0;
}

/* Which filter fits the first of n bytes; COUNT: none. */
enum { FILTERS = sizeof(filters) / sizeof(filters[0]) };
static size_t find_filter(const char *bytes, size_t n)
{
	size_t i = 0;

	while (i < FILTERS &&
	       !(n >= filters[i].len && memcmp(bytes, filters[i].magic, filters[i].len) == 0))
		i++;
	return i;
}

/* Looks at the first bytes. */
static int start(struct source *s, struct err *err)
{
	s->err = err;
	int r = hasher_new(&s->tar_hash, err);
	if (r < 0)
		return r;
	while (s->room_used < MAGIC_MAX) {
		ssize_t n = s->read(s->ctx, s->room + s->room_used, ROOM - s->room_used, err);
		if (n < 0)
			return (int)n;
		if (n == 0)
			break;
		s->room_used += (size_t)n;
	}
	s->in_bytes = s->room_used;
	size_t i = find_filter(s->room, s->room_used);
	if (i == FILTERS)
		return 0;
	r = hasher_new(&s->in_hash, err);
	if (r < 0)
		return r;
	return filters[i].support ? start_unpack(s, filters[i].support, err)
				  : gunzip_new(&s->gunzip, err);
}

int source_new(layer_read_fn *read, void *ctx, uint64_t max_bytes, struct source **ret,
	       struct err *err)
{
	AUTO(auto_source_free) struct source *s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	s->read = read;
	s->ctx = ctx;
	s->max_bytes = max_bytes;
	s->room = s->rooms[0] = malloc(ROOM);
	s->rooms[1] = malloc(ROOM);
	if (!s->rooms[0] || !s->rooms[1])
		return err_set(err, ENOMEM, "out of memory");
	int r = start(s, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

void source_free(struct source *s)
{
	if (!s)
		return;
	hasher_free(s->tar_hash); /* before what they may still read */
	hasher_free(s->in_hash);
	(void)archive_read_free(s->unpack);
	gunzip_free(s->gunzip);
	free(s->rooms[0]);
	free(s->rooms[1]);
	free(s);
}

/* More of the tar out of gzip; *ret_n is 0 at its end. */
static int refill_gzip(struct source *s, const void **ret, size_t *ret_n, struct err *err)
{
	for (;;) {
		int r = gunzip_step(s->gunzip, ret, ret_n, err);
		if (r == GUNZIP_MADE || r < 0)
			return r < 0 ? r : 0;
		if (gunzip_left(s->gunzip) > 0)
			continue;
		ssize_t n = read_in(s, err);
		if (n < 0)
			return (int)n;
		*ret_n = 0;
		if (n == 0)
			return r == GUNZIP_MEMBER
				       ? 0
				       : err_set(err, EINVAL,
						 "unpack the archive: the gzip data is cut short");
		gunzip_feed(s->gunzip, s->room, (size_t)n);
	}
}

/* Likewise, out of what libarchive unpacks. */
static int refill_unpacked(struct source *s, const void **ret, size_t *ret_n, struct err *err)
{
	la_int64_t offset;
	int r;

	do
		r = archive_read_data_block(s->unpack, ret, ret_n, &offset);
	while (r == ARCHIVE_OK && *ret_n == 0);
	if (r == ARCHIVE_EOF)
		*ret_n = 0;
	else if (r != ARCHIVE_OK)
		return unpack_failed(s, err);
	return 0;
}

/* Likewise, of what is no tar that was packed. */
static int refill_plain(struct source *s, const void **ret, size_t *ret_n, struct err *err)
{
	ssize_t n = read_in(s, err);

	*ret = s->room;
	*ret_n = n < 0 ? 0 : (size_t)n;
	return n < 0 ? (int)n : 0;
}

/* Gets, counts and hashes more of the tar when all was taken; s->n stays 0 at the end. */
static int refill(struct source *s, struct err *err)
{
	const void *bytes = "";
	size_t n = 0;

	if (s->n > 0)
		return 0;
	s->err = err;
	/* What is being hashed stays as it is (gunzip.h, read_in()); libarchive reuses it. */
	int r = s->unpack ? hasher_wait(s->tar_hash, err) : 0;
	if (r == 0)
		r = s->gunzip   ? refill_gzip(s, &bytes, &n, err)
		    : s->unpack ? refill_unpacked(s, &bytes, &n, err)
				: refill_plain(s, &bytes, &n, err);
	if (r < 0)
		return r;
	if (s->gunzip && s->tar_bytes == 0 && find_filter(bytes, n) < FILTERS)
		return twice(err);
	if (n > s->max_bytes - s->tar_bytes)
		return err_set(err, EFBIG, "the archive is larger than %ju bytes",
			       (uintmax_t)s->max_bytes);
	s->tar_bytes += n;
	s->at = bytes;
	s->n = n;
	return hasher_add(s->tar_hash, bytes, n, err);
}

int source_take(struct source *s, size_t max, const void **ret, size_t *ret_n, struct err *err)
{
	assert(max > 0);

	int r = refill(s, err);
	if (r < 0)
		return r;
	if (s->n == 0)
		return SOURCE_END;
	*ret = s->at;
	*ret_n = s->n < max ? s->n : max;
	s->at += *ret_n;
	s->n -= *ret_n;
	return 0;
}

int source_exact(struct source *s, void *to, size_t n, struct err *err)
{
	char *p = to;

	for (size_t got = 0; got < n;) {
		const void *bytes = NULL;
		size_t k = 0;
		int r = source_take(s, n - got, &bytes, &k, err);
		if (r == SOURCE_END && got > 0)
			return err_set(err, EINVAL, "the archive is cut short");
		if (r != 0)
			return r;
		memcpy(p + got, bytes, k);
		got += k;
	}
	return 0;
}

int source_finish(struct source *s, struct layer_info *info, struct err *err)
{
	int r;

	assert(s->n == 0);
	s->err = err;
	if (s->unpack) {
		/* A filter stops where its format ends; what it left is not part of it. */
		ssize_t n = read_in(s, err);
		if (n < 0)
			return (int)n;
		if (n > 0 || archive_filter_bytes(s->unpack, -1) != (la_int64_t)s->in_bytes)
			return err_set(err, EINVAL,
				       "bytes behind the end of the compressed archive");
	}
	r = hasher_end(s->tar_hash, info->diff_id, err);
	if (r < 0)
		return r;
	if (s->in_hash)
		r = hasher_end(s->in_hash, info->blob, err);
	else
		memcpy(info->blob, info->diff_id, sizeof(info->blob));
	info->tar_bytes = s->tar_bytes;
	info->blob_bytes = s->in_bytes;
	return r;
}
