/* SPDX-License-Identifier: Apache-2.0 */
#include "image/erofs_view.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/err.h"
#include "image/erofs_format.h"
#include "image/xattr.h"

enum { STEP = 256 << 10, SUPER_BYTES = EROFS_BLOCK - EROFS_SUPER_OFFSET };

struct erofs_view {
	int fd; /* borrowed */
	uint64_t size; /* of the file */
	uint64_t meta; /* where inodes are counted from */
	uint64_t inodes;
	uint64_t root;
	uint8_t uuid[EROFS_UUID];
};

static int read_at(const struct erofs_view *v, uint64_t at, void *to, size_t n, struct err *err)
{
	char *p = to;

	if (at > v->size || n > v->size - at)
		return err_set(err, EUCLEAN, "it points at byte %ju, behind its end",
			       (uintmax_t)at);
	while (n > 0) {
		ssize_t got = pread(v->fd, p, n, (off_t)at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(err, "read");
		if (got == 0)
			return err_set(err, EUCLEAN, "it became shorter");
		p += got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

static int judge_super(struct erofs_view *v, struct err *err)
{
	uint8_t block[SUPER_BYTES];
	struct erofs_super s;

	int r = read_at(v, EROFS_SUPER_OFFSET, block, sizeof(block), err);
	if (r < 0)
		return r;
	memcpy(&s, block, sizeof(s));
	memset(block + offsetof(struct erofs_super, checksum), 0, sizeof(s.checksum));
	if (le32toh(s.magic) != EROFS_MAGIC)
		return err_set(err, EUCLEAN, "it has no EROFS super block");
	if (le32toh(s.checksum) != crc32c(block, sizeof(block)))
		return err_set(err, EUCLEAN, "its super block has another checksum");
	if (s.block_bits != EROFS_BLOCK_BITS || s.extra_slots != 0 || s.compression != 0 ||
	    s.extra_devices != 0 ||
	    (le32toh(s.feature_incompat) & ~EROFS_INCOMPAT_CHUNKED_FILE) != 0)
		return err_set(err, EUCLEAN, "it is not of a form that hull writes");
	if ((uint64_t)le32toh(s.blocks) << EROFS_BLOCK_BITS != v->size)
		return err_set(err, EUCLEAN, "it has %ju bytes, its super block says %ju",
			       (uintmax_t)v->size,
			       (uintmax_t)le32toh(s.blocks) << EROFS_BLOCK_BITS);
	v->meta = (uint64_t)le32toh(s.meta_block) << EROFS_BLOCK_BITS;
	v->inodes = le64toh(s.inodes);
	v->root = le16toh(s.root_nid);
	memcpy(v->uuid, s.uuid, sizeof(v->uuid));
	return v->meta < v->size ? 0 : err_set(err, EUCLEAN, "its inodes lie behind its end");
}

int erofs_view_open(int fd, struct erofs_view **ret, struct err *err)
{
	AUTO(auto_erofs_view_free) struct erofs_view *v = calloc(1, sizeof(*v));
	struct stat st;

	if (!v)
		return err_set(err, ENOMEM, "out of memory");
	if (fstat(fd, &st) < 0)
		return err_sys(err, "stat");
	if (!S_ISREG(st.st_mode) || st.st_size < EROFS_BLOCK)
		return err_set(err, EUCLEAN, "it is too short for an EROFS file");
	v->fd = fd;
	v->size = (uint64_t)st.st_size;
	int r = judge_super(v, err);
	if (r == 0)
		*ret = TAKE_PTR(v);
	return r;
}

void erofs_view_free(struct erofs_view *v)
{
	free(v);
}

const uint8_t *erofs_view_uuid(const struct erofs_view *v)
{
	return v->uuid;
}

uint64_t erofs_view_inodes(const struct erofs_view *v)
{
	return v->inodes;
}

uint64_t erofs_view_root(const struct erofs_view *v)
{
	return v->root;
}

uint64_t erofs_view_nids(const struct erofs_view *v)
{
	return (v->size - v->meta) / EROFS_SLOT;
}

static uint64_t inode_at(const struct erofs_view *v, uint64_t nid)
{
	return v->meta + nid * EROFS_SLOT;
}

/* Flat content lies within the file. */
static int judge_flat(const struct erofs_view *v, const struct erofs_file *f, struct err *err)
{
	uint64_t at = (uint64_t)f->start_block << EROFS_BLOCK_BITS;

	if (f->size == 0 || (at <= v->size && f->size <= v->size - at))
		return 0;
	return err_set(err, EUCLEAN, "inode %ju: its content lies behind the file's end",
		       (uintmax_t)f->nid);
}

/* What the format's one word means for this kind of file. */
static int judge_layout(const struct erofs_view *v, const struct erofs_inode *disk,
			struct erofs_file *f, struct err *err)
{
	uint32_t u = le32toh(disk->u);
	unsigned int layout = (unsigned int)le16toh(disk->format) >> EROFS_FORMAT_LAYOUT_SHIFT;
	bool device = S_ISCHR(f->mode) || S_ISBLK(f->mode);

	if (layout == EROFS_LAYOUT_CHUNK_BASED && S_ISREG(f->mode) && u <= EROFS_CHUNK_BITS_MAX) {
		f->chunk_bits = (uint8_t)(u + EROFS_BLOCK_BITS);
		return 0;
	}
	if (layout != EROFS_LAYOUT_FLAT_PLAIN)
		return err_set(err, EUCLEAN, "inode %ju: an unknown layout", (uintmax_t)f->nid);
	if (device)
		f->rdev = u;
	else
		f->start_block = u;
	return device ? 0 : judge_flat(v, f, err);
}

int erofs_view_file(const struct erofs_view *v, uint64_t nid, struct erofs_file *ret,
		    struct err *err)
{
	struct erofs_inode disk;

	if (nid >= erofs_view_nids(v) || nid % (sizeof(disk) / EROFS_SLOT) != 0)
		return err_set(err, EUCLEAN, "there is no inode %ju", (uintmax_t)nid);
	int r = read_at(v, inode_at(v, nid), &disk, sizeof(disk), err);
	if (r < 0)
		return r;
	uint32_t count = le16toh(disk.xattr_count);
	struct erofs_file f = {
		.nid = nid,
		.size = le64toh(disk.size),
		.mtime = (int64_t)le64toh(disk.mtime),
		.mtime_nsec = le32toh(disk.mtime_nsec),
		.uid = le32toh(disk.uid),
		.gid = le32toh(disk.gid),
		.nlink = le32toh(disk.nlink),
		.mode = le16toh(disk.mode),
		.xattr_len = count ? (uint32_t)sizeof(struct erofs_xattr_header) + (count - 1) * 4
				   : 0,
	};
	if (!(le16toh(disk.format) & EROFS_FORMAT_EXTENDED) || f.mtime_nsec >= 1000000000)
		return err_set(err, EUCLEAN, "inode %ju is damaged", (uintmax_t)nid);
	r = judge_layout(v, &disk, &f, err);
	if (r == 0)
		*ret = f;
	return r;
}

/* The names of one block of a folder, of which n bytes are used. */
static int block_names(const uint8_t *block, size_t n, erofs_name_fn *fn, void *ctx,
		       struct err *err)
{
	struct erofs_dirent d;

	memcpy(&d, block, sizeof(d));
	size_t first = le16toh(d.name_offset), count = first / sizeof(d);
	if (first > n || first % sizeof(d) != 0 || count == 0)
		return err_set(err, EUCLEAN, "a folder's names are damaged");
	for (size_t i = 0; i < count; i++) {
		memcpy(&d, block + i * sizeof(d), sizeof(d));
		size_t at = le16toh(d.name_offset), end = n;
		if (i + 1 < count) {
			struct erofs_dirent next;
			memcpy(&next, block + (i + 1) * sizeof(d), sizeof(next));
			end = le16toh(next.name_offset);
		}
		if (at < first || at >= end || end > n || end - at > EROFS_BLOCK)
			return err_set(err, EUCLEAN, "a folder's names are damaged");
		int r = fn(ctx, (const char *)block + at,
			   strnlen((const char *)block + at, end - at), le64toh(d.nid), err);
		if (r < 0)
			return r;
	}
	return 0;
}

int erofs_view_names(const struct erofs_view *v, const struct erofs_file *dir, erofs_name_fn *fn,
		     void *ctx, struct err *err)
{
	uint8_t block[EROFS_BLOCK];
	uint64_t at = (uint64_t)dir->start_block << EROFS_BLOCK_BITS;
	int r = 0;

	for (uint64_t left = dir->size; r >= 0 && left > 0;) {
		size_t n = left < EROFS_BLOCK ? (size_t)left : EROFS_BLOCK;
		if (n < sizeof(struct erofs_dirent))
			return err_set(err, EUCLEAN, "a folder's names are damaged");
		r = read_at(v, at, block, n, err);
		if (r == 0)
			r = block_names(block, n, fn, ctx, err);
		at += n;
		left -= n;
	}
	return r;
}

/* n bytes that lie in one piece at `at`. */
static int tell_piece(const struct erofs_view *v, uint64_t at, uint64_t n, char *room,
		      erofs_content_fn *fn, void *ctx, struct err *err)
{
	int r = 0;

	while (r >= 0 && n > 0) {
		size_t step = n < STEP ? (size_t)n : STEP;
		r = read_at(v, at, room, step, err);
		if (r == 0)
			r = fn(ctx, room, step, err);
		at += step;
		n -= step;
	}
	return r;
}

static int tell_hole(uint64_t n, erofs_content_fn *fn, void *ctx, struct err *err)
{
	int r = 0;

	for (; r >= 0 && n > 0; n -= n < STEP ? n : STEP)
		r = fn(ctx, NULL, n < STEP ? (size_t)n : STEP, err);
	return r;
}

static int tell_chunks(const struct erofs_view *v, const struct erofs_file *f, char *room,
		       erofs_content_fn *fn, void *ctx, struct err *err)
{
	uint64_t map = inode_at(v, f->nid) + sizeof(struct erofs_inode) + f->xattr_len;
	uint64_t len = UINT64_C(1) << f->chunk_bits;
	int r = 0;

	for (uint64_t at = 0; r >= 0 && at < f->size; at += len, map += EROFS_CHUNK_ENTRY) {
		uint64_t n = f->size - at < len ? f->size - at : len;
		uint32_t block = 0;
		r = read_at(v, map, &block, sizeof(block), err);
		if (r < 0)
			return r;
		block = le32toh(block);
		if (block == EROFS_NULL_BLOCK)
			r = tell_hole(n, fn, ctx, err);
		else
			r = tell_piece(v, (uint64_t)block << EROFS_BLOCK_BITS, n, room, fn, ctx,
				       err);
	}
	return r;
}

int erofs_view_content(const struct erofs_view *v, const struct erofs_file *f, erofs_content_fn *fn,
		       void *ctx, struct err *err)
{
	AUTO_FREE char *room = malloc(STEP);

	if (!room)
		return err_set(err, ENOMEM, "out of memory");
	if (f->chunk_bits)
		return tell_chunks(v, f, room, fn, ctx, err);
	return tell_piece(v, (uint64_t)f->start_block << EROFS_BLOCK_BITS, f->size, room, fn, ctx,
			  err);
}

/* Whether all entries of the packed form lie within it and have a known name space. */
static bool entries_are_sound(const struct xattrs *x)
{
	size_t at = sizeof(struct erofs_xattr_header);

	while (at < x->len) {
		struct erofs_xattr_entry e;
		if (x->len - at < sizeof(e))
			return false;
		memcpy(&e, x->body + at, sizeof(e));
		size_t n = (sizeof(e) + e.name_len + le16toh(e.value_size) + 3) & ~(size_t)3;
		if (n > x->len - at)
			return false;
		at += n;
	}
	return x->body[offsetof(struct erofs_xattr_header, shared_count)] == 0;
}

static bool is_overlay(const struct xattr_view *x)
{
	static const char prefix[] = "overlay.";

	return (strcmp(x->space, "user.") == 0 || strcmp(x->space, "trusted.") == 0) &&
	       x->name_len >= sizeof(prefix) - 1 &&
	       memcmp(x->name, prefix, sizeof(prefix) - 1) == 0;
}

/* Moves what is not overlayfs' own to the front, never ahead of where it reads; false when
 * something is of no known kind. */
static bool drop_overlay(struct xattrs *x, bool *ret_opaque)
{
	struct xattr_view view;
	size_t header = sizeof(struct erofs_xattr_header), to = header, at = 0, from = 0;

	*ret_opaque = false;
	while (xattr_next(x, &at, &view)) {
		if (view.space[0] == '\0')
			return false;
		if (is_overlay(&view)) {
			*ret_opaque = true;
		} else {
			memmove(x->body + to, x->body + header + from, at - from);
			to += at - from;
		}
		from = at;
	}
	x->len = (uint32_t)to;
	return true;
}

int erofs_view_xattrs(const struct erofs_view *v, const struct erofs_file *f, struct arena *arena,
		      struct xattrs **ret, bool *ret_opaque, struct err *err)
{
	*ret = NULL;
	*ret_opaque = false;
	if (f->xattr_len == 0)
		return 0;
	struct xattrs *x = arena_alloc(arena, sizeof(*x) + f->xattr_len, err);
	if (!x)
		return -ENOMEM;
	x->len = f->xattr_len;
	int r = read_at(v, inode_at(v, f->nid) + sizeof(struct erofs_inode), x->body, x->len, err);
	if (r < 0)
		return r;
	if (!entries_are_sound(x) || !drop_overlay(x, ret_opaque))
		return err_set(err, EUCLEAN, "inode %ju: its attributes are damaged",
			       (uintmax_t)f->nid);
	*ret = x->len > sizeof(struct erofs_xattr_header) ? x : NULL;
	return 0;
}
