/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tar_header.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "image/source.h"
#include "image/tar_pax.h"
#include "image/tree.h"

/* Headers that only describe the next entry, and sparse maps, stay below this. */
enum { META_MAX = 1 << 20, PIECES_MAX = 4 << 20 };

/* The fields of a header block (POSIX pax, "ustar Interchange Format"; GNU tar manual). */
enum {
	NAME = 0,
	NAME_LEN = 100,
	MODE = 100,
	UID = 108,
	GID = 116,
	SIZE = 124,
	MTIME = 136,
	SUM = 148,
	TYPE = 156,
	LINK = 157,
	MAGIC = 257,
	MAJOR = 329,
	MINOR = 337,
	PREFIX = 345,
	PREFIX_LEN = 155,
	PREFIX_LEN_STAR = 131,
	STAR_MARK = 508,
	SHORT = 8, /* length of the small number fields */
	LONG = 12, /* and of the large ones */
	PIECE = 2 * LONG, /* of GNU's old form */
	SPARSE = 386, /* GNU's old form: four pieces, "more", size */
	SPARSE_MORE = 482,
	SPARSE_SIZE = 483,
	SPARSE_PIECES = 4,
	SPARSE_EXT_PIECES = 21,
	SPARSE_EXT_MORE = 504,
};

void tar_header_done(struct tar_header *h)
{
	buf_done(&h->path);
	buf_done(&h->target);
	xattr_set_done(&h->xattrs);
	free(h->pieces);
	*h = TAR_HEADER_INIT;
}

/* Empty, but with its memory. */
static void clear(struct tar_header *h)
{
	struct tar_header fresh = TAR_HEADER_INIT;

	buf_clear(&h->path);
	buf_clear(&h->target);
	xattr_set_clear(&h->xattrs);
	fresh.path = h->path;
	fresh.target = h->target;
	fresh.xattrs = h->xattrs;
	fresh.pieces = h->pieces;
	fresh.pieces_size = h->pieces_size;
	*h = fresh;
}

int tar_add_piece(struct tar_header *h, uint64_t at, uint64_t n, struct err *err)
{
	const struct tar_piece *last = h->n_pieces ? &h->pieces[h->n_pieces - 1] : NULL;

	if (at > INT64_MAX || n > INT64_MAX - at)
		return err_set(err, EINVAL, "sparse map beyond all size");
	if (last && at < last->at + last->n)
		return err_set(err, EINVAL, "sparse map out of order");
	if (h->n_pieces == PIECES_MAX)
		return err_set(err, EFBIG, "sparse map of more than %d pieces", PIECES_MAX);
	if (h->n_pieces == h->pieces_size) {
		size_t size = h->pieces_size ? h->pieces_size * 2 : 64;
		struct tar_piece *v = reallocarray(h->pieces, size, sizeof(*v));
		if (!v)
			return err_set(err, ENOMEM, "out of memory");
		h->pieces = v;
		h->pieces_size = size;
	}
	assert(h->pieces);
	h->pieces[h->n_pieces++] = (struct tar_piece){at, n};
	return 0;
}

/* A number field: octal digits between blanks, or GNU's base 256. */
static int number(const uint8_t *field, size_t len, int64_t *ret, struct err *err)
{
	uint64_t v = 0;
	size_t i = 0;

	if (field[0] & 0x80) {
		bool negative = field[0] == 0xff;
		v = negative ? UINT64_MAX : field[0] & 0x7f;
		for (i = 1; i < len; i++) {
			if (v >> 55 != (negative ? 0x1ff : 0))
				return err_set(err, EINVAL, "a number in the header is too large");
			v = v << 8 | field[i];
		}
		*ret = (int64_t)v;
		return 0;
	}
	while (i < len && field[i] == ' ')
		i++;
	for (; i < len && field[i] >= '0' && field[i] <= '7'; i++)
		v = v << 3 | (uint64_t)(field[i] - '0');
	for (; i < len; i++) {
		if (field[i] != ' ' && field[i] != '\0')
			return err_set(err, EINVAL, "a number in the header is damaged");
	}
	*ret = (int64_t)v;
	return 0;
}

static int size_field(const uint8_t *field, uint64_t *ret, struct err *err)
{
	int64_t v = 0;
	int r = number(field, LONG, &v, err);

	if (r == 0 && v < 0)
		return err_set(err, EINVAL, "a negative size");
	*ret = (uint64_t)v;
	return r;
}

static bool is_zero(const uint8_t *block)
{
	return block[0] == 0 && memcmp(block, block + 1, TAR_BLOCK - 1) == 0;
}

/* The sum of all bytes, the field of the sum counted as blanks; some old programs counted signed.
 */
static bool sum_is_right(const uint8_t *block)
{
	int64_t sum = 0, signed_sum = 0, said = -1;
	struct err ignored = ERR_INIT; /* whatever is wrong with the field, the answer is no */

	for (size_t i = 0; i < TAR_BLOCK; i++) {
		uint8_t c = i >= SUM && i < SUM + SHORT ? ' ' : block[i];
		sum += c;
		signed_sum += (int8_t)c;
	}
	return number(block + SUM, SHORT, &said, &ignored) == 0 &&
	       (said == sum || said == signed_sum);
}

/* Skips what fills the last block of n bytes. */
static int skip_padding(struct source *s, uint64_t n, struct err *err)
{
	char rest[TAR_BLOCK];
	size_t pad = (size_t)(-n % TAR_BLOCK);

	int r = pad ? source_exact(s, rest, pad, err) : 0;
	return r == SOURCE_END ? err_set(err, EINVAL, "the archive is cut short") : r;
}

/* Reads the content of a header that describes the next entry. */
static int read_meta(struct source *s, uint64_t n, struct buf *to, struct err *err)
{
	if (n > META_MAX)
		return err_set(err, EFBIG, "an extended header of %ju bytes", (uintmax_t)n);
	buf_clear(to);
	char *at = buf_reserve(to, (size_t)n + 1);
	if (!at)
		return buf_check(to, err);
	int r = n ? source_exact(s, at, (size_t)n, err) : 0;
	if (r == SOURCE_END)
		return err_set(err, EINVAL, "the archive is cut short");
	if (r < 0)
		return r;
	to->len = (size_t)n;
	at[n] = '\0';
	return skip_padding(s, n, err);
}

/* A GNU long name: text up to its NUL. */
static int take_long(struct buf *to, bool *have, const struct buf *body, struct err *err)
{
	size_t len = body->len ? strnlen(body->data, body->len) : 0;

	if (len == 0)
		return err_set(err, EINVAL, "an empty long name");
	buf_clear(to);
	buf_add(to, body->data, len);
	*have = true;
	return buf_check(to, err);
}

static void set_field_text(struct buf *to, const uint8_t *field, size_t max)
{
	buf_clear(to);
	buf_add(to, field, strnlen((const char *)field, max));
}

static int set_names(struct tar_header *h, const struct tar_pax *pax, const uint8_t *block,
		     struct err *err)
{
	bool posix = memcmp(block + MAGIC, "ustar", 6) == 0;
	bool star = memcmp(block + STAR_MARK, "tar", 4) == 0;

	if (!pax->path) {
		buf_clear(&h->path);
		if (posix && block[PREFIX] != '\0') {
			set_field_text(&h->path, block + PREFIX,
				       star ? PREFIX_LEN_STAR : PREFIX_LEN);
			buf_str(&h->path, "/");
		}
		buf_add(&h->path, block + NAME, strnlen((const char *)block + NAME, NAME_LEN));
	}
	if (!pax->target)
		set_field_text(&h->target, block + LINK, NAME_LEN);
	buf_add(&h->path, "", 0);
	int r = buf_check(&h->path, err);
	return r < 0 ? r : buf_check(&h->target, err);
}

static int set_numbers(struct tar_header *h, const struct tar_pax *pax, const uint8_t *block,
		       struct err *err)
{
	bool device = h->type == '3' || h->type == '4';
	const struct {
		int64_t *to;
		size_t len;
		int at;
		bool have;
	} fields[] = {
		{&h->uid, SHORT, UID, pax->uid},
		{&h->gid, SHORT, GID, pax->gid},
		{&h->mtime, LONG, MTIME, pax->mtime},
		{&h->major, SHORT, MAJOR, pax->major || !device},
		{&h->minor, SHORT, MINOR, pax->minor || !device},
	};
	int64_t mode = 0;

	int r = number(block + MODE, SHORT, &mode, err);
	h->mode = (mode_t)mode & 07777;
	for (size_t i = 0; r == 0 && i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (!fields[i].have)
			r = number(block + fields[i].at, fields[i].len, fields[i].to, err);
	}
	if (r == 0 && !pax->size)
		r = size_field(block + SIZE, &h->stored, err);
	return r;
}

/* Adds max pieces of GNU's old form, less when one is empty. */
static int old_pieces(struct tar_header *h, const uint8_t *at, size_t max, struct err *err)
{
	for (size_t i = 0; i < max && at[0] != '\0'; i++, at += PIECE) {
		uint64_t offset = 0, n = 0;
		int r = size_field(at, &offset, err);
		if (r == 0)
			r = size_field(at + LONG, &n, err);
		if (r == 0)
			r = tar_add_piece(h, offset, n, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_old_sparse(struct tar_header *h, struct source *s, const uint8_t *block,
			   struct err *err)
{
	uint8_t more[TAR_BLOCK];
	bool extended = block[SPARSE_MORE] != 0;

	h->sparse = true;
	int r = size_field(block + SPARSE_SIZE, &h->size, err);
	if (r == 0)
		r = old_pieces(h, block + SPARSE, SPARSE_PIECES, err);
	while (r == 0 && extended) {
		r = source_exact(s, more, sizeof(more), err);
		if (r == SOURCE_END)
			return err_set(err, EINVAL, "the archive is cut short");
		if (r == 0)
			r = old_pieces(h, more, SPARSE_EXT_PIECES, err);
		extended = more[SPARSE_EXT_MORE] != 0;
	}
	return r;
}

/* Lines of decimal numbers in front of a sparse file's content (pax form 1.0). */
struct lines {
	struct source *s;
	uint64_t left; /* stored bytes not yet read */
	char block[TAR_BLOCK];
	size_t at;
};

static int next_line(struct lines *in, int64_t *ret, struct err *err)
{
	char text[24];
	size_t n = 0;

	for (;;) {
		if (in->at == TAR_BLOCK) {
			if (in->left < TAR_BLOCK)
				return err_set(err, EINVAL, "sparse map beyond the content");
			int r = source_exact(in->s, in->block, TAR_BLOCK, err);
			if (r != 0)
				return r < 0 ? r : err_set(err, EINVAL, "the archive is cut short");
			in->left -= TAR_BLOCK;
			in->at = 0;
		}
		char c = in->block[in->at++];
		if (c == '\n')
			break;
		if (n == sizeof(text) - 1)
			return err_set(err, EINVAL, "sparse map is no list of numbers");
		text[n++] = c;
	}
	text[n] = '\0';
	return tar_number(text, n, 0, "sparse map", ret, err);
}

static int read_new_sparse(struct tar_header *h, struct source *s, struct err *err)
{
	struct lines in = {.s = s, .left = h->stored, .at = TAR_BLOCK};
	int64_t count = 0;

	int r = next_line(&in, &count, err);
	for (int64_t i = 0; r == 0 && i < count; i++) {
		int64_t at = 0, n = 0;
		r = next_line(&in, &at, err);
		if (r == 0)
			r = next_line(&in, &n, err);
		if (r == 0)
			r = tar_add_piece(h, (uint64_t)at, (uint64_t)n, err);
	}
	h->stored = in.left;
	return r;
}

/* The pieces must fit the file and be all that is stored. */
static int check_sparse(const struct tar_header *h, struct err *err)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < h->n_pieces; i++) {
		if (h->pieces[i].at + h->pieces[i].n > h->size)
			return err_set(err, EINVAL, "sparse map beyond the file's size");
		sum += h->pieces[i].n; /* pieces do not overlap and end below 2^63 */
	}
	if (sum != h->stored)
		return err_set(err, EINVAL, "sparse map and content differ in size");
	return 0;
}

static int set_content(struct tar_header *h, const struct tar_pax *pax, struct source *s,
		       const uint8_t *block, struct err *err)
{
	int r = 0;

	if (h->type == 'S')
		r = read_old_sparse(h, s, block, err);
	else if (h->sparse && pax->sparse_version == 1)
		r = read_new_sparse(h, s, err);
	else if (h->sparse && (!pax->sparse_map || pax->sparse_version != 0))
		r = err_set(err, EINVAL, "a sparse file of an unknown kind");
	if (r == 0 && h->sparse && h->type != 'S' && !pax->sparse_size)
		r = err_set(err, EINVAL, "a sparse file without a size");
	if (r == 0 && h->sparse)
		return check_sparse(h, err);
	h->size = h->stored;
	return r;
}

/* What the type letters mean. */
static int set_type(struct tar_header *h, struct err *err)
{
	static const struct {
		char type;
		mode_t mode;
	} types[] = {
		{'\0', S_IFREG}, {'0', S_IFREG}, {'7', S_IFREG}, {'S', S_IFREG}, {'1', S_IFREG},
		{'2', S_IFLNK},  {'3', S_IFCHR}, {'4', S_IFBLK}, {'5', S_IFDIR}, {'6', S_IFIFO},
	};
	size_t len = h->path.len;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (types[i].type != h->type)
			continue;
		mode_t mode = types[i].mode;
		/* before there was a type for folders, their names ended in a slash */
		if (mode == S_IFREG && h->type != '1' && len > 0 && h->path.data[len - 1] == '/')
			mode = S_IFDIR;
		h->mode |= mode;
		return 0;
	}
	return err_set(err, EINVAL, "an entry of unknown type (0x%02x)", (uint8_t)h->type);
}

/* The header of an entry itself, with what the headers in front of it said. */
static int read_entry(struct tar_header *h, const struct tar_pax *pax, struct source *s,
		      const uint8_t *block, struct err *err)
{
	h->type = (char)block[TYPE];
	int r = set_names(h, pax, block, err);
	if (r == 0)
		r = set_numbers(h, pax, block, err);
	if (r == 0)
		r = set_type(h, err);
	if (r < 0)
		return r;
	if (pax->socket && S_ISREG(h->mode) && h->type != '1')
		h->mode = (h->mode & 07777) | S_IFSOCK;
	/* Only files have content; what others say of their size means nothing (as in docker). */
	if (S_ISREG(h->mode) && h->type != '1')
		return set_content(h, pax, s, block, err);
	h->stored = 0;
	h->size = 0;
	h->sparse = false;
	return 0;
}

/* A header that describes the next entry. */
static int read_extension(struct tar_header *h, struct tar_pax *pax, struct source *s,
			  const uint8_t *block, struct err *err)
{
	AUTO_BUF struct buf body = BUF_INIT;
	uint64_t n = 0;

	int r = size_field(block + SIZE, &n, err);
	if (r == 0)
		r = read_meta(s, n, &body, err);
	if (r < 0)
		return r;
	switch (block[TYPE]) {
	case 'L':
		return take_long(&h->path, &pax->path, &body, err);
	case 'K':
		return take_long(&h->target, &pax->target, &body, err);
	case 'x':
	case 'X':
		return tar_pax_parse(h, pax, body.data, body.len, err);
	default: /* 'g' speaks of all that follows, 'V' names the tape: nothing hull keeps */
		return 0;
	}
}

int tar_header_read(struct tar_header *h, struct source *s, struct err *err)
{
	uint8_t block[TAR_BLOCK];
	struct tar_pax pax = {0};
	struct shown shown;
	int r;

	clear(h);
	for (;;) {
		r = source_exact(s, block, sizeof(block), err);
		if (r == SOURCE_END)
			return err_set(err, EINVAL, "the archive is cut short: it has no end mark");
		if (r < 0)
			return r;
		if (is_zero(block))
			return TAR_END;
		if (!sum_is_right(block))
			return err_set(err, EINVAL, "not a tar archive, or a damaged one");
		if (block[TYPE] == '\0' || !strchr("LKxXgV", block[TYPE]))
			break;
		r = read_extension(h, &pax, s, block, err);
		if (r < 0)
			return r;
	}
	r = read_entry(h, &pax, s, block, err);
	if (r < 0 && h->path.len > 0)
		return err_wrap(err, "'%s'", show(h->path.data, &shown));
	return r;
}
