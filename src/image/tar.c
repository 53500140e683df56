/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tar.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "image/erofs.h"
#include "image/source.h"
#include "image/tar_header.h"
#include "image/tree.h"

struct reader {
	struct source *source;
	struct tree *tree;
	struct erofs *erofs;
};

/* Gives n bytes of the archive to the file being written, from its offset `at` on. */
static int copy_piece(struct reader *in, uint64_t at, uint64_t n, struct err *err)
{
	while (n > 0) {
		const void *bytes = NULL;
		size_t k = 0;
		int r = source_take(in->source, n < SIZE_MAX ? (size_t)n : SIZE_MAX, &bytes, &k,
				    err);
		if (r == SOURCE_END)
			return err_set(err, EINVAL, "the archive is cut short");
		if (r == 0)
			r = erofs_file_write(in->erofs, at, bytes, k, err);
		if (r < 0)
			return r;
		at += k;
		n -= k;
	}
	return 0;
}

static int copy_content(struct reader *in, const struct tar_header *h, struct inode *inode,
			struct err *err)
{
	const struct tar_piece whole = {0, h->size};
	const struct tar_piece *pieces = h->sparse ? h->pieces : &whole;
	size_t n = h->sparse ? h->n_pieces : 1;
	char padding[TAR_BLOCK];

	int r = erofs_file_begin(in->erofs, inode, h->size, err);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = copy_piece(in, pieces[i].at, pieces[i].n, err);
	if (r == 0)
		r = erofs_file_end(in->erofs, in->tree, err);
	if (r == 0 && h->stored % TAR_BLOCK != 0)
		r = source_exact(in->source, padding, (size_t)(-h->stored % TAR_BLOCK), err);
	return r == SOURCE_END ? err_set(err, EINVAL, "the archive is cut short") : r;
}

/* A whiteout is empty; whatever one brings is read and dropped. */
static int skip_content(struct reader *in, const struct tar_header *h, struct err *err)
{
	uint64_t left = h->stored + (-h->stored % TAR_BLOCK);

	while (left > 0) {
		const void *bytes;
		size_t k = 0;
		int r = source_take(in->source, left < SIZE_MAX ? (size_t)left : SIZE_MAX, &bytes,
				    &k, err);
		if (r != 0)
			return r < 0 ? r : err_set(err, EINVAL, "the archive is cut short");
		left -= k;
	}
	return 0;
}

static int one_entry(struct reader *in, const struct tar_header *h, struct err *err)
{
	struct tree_entry entry = {
		.path = h->path.data ? h->path.data : "",
		.target = h->target.len ? h->target.data : NULL,
		.hardlink = h->type == '1',
		.mode = h->mode,
		.uid = h->uid,
		.gid = h->gid,
		.mtime = h->mtime,
		.mtime_nsec = h->mtime_nsec,
		.rdev_major = h->major,
		.rdev_minor = h->minor,
	};
	struct inode *inode = NULL;
	struct shown shown;

	int r = xattr_pack(&h->xattrs, tree_arena(in->tree), &entry.xattrs, err);
	if (r == 0)
		r = tree_add(in->tree, &entry, &inode, err);
	if (r < 0)
		return r;
	if (inode && S_ISREG(inode->mode))
		r = copy_content(in, h, inode, err);
	else
		r = skip_content(in, h, err);
	return r < 0 ? err_wrap(err, "'%s'", show(entry.path, &shown)) : 0;
}

/* Behind the end mark only zeros fill the last record. */
static int read_rest(struct source *s, struct err *err)
{
	for (;;) {
		const void *bytes = NULL;
		size_t n = 0;
		int r = source_take(s, SIZE_MAX, &bytes, &n, err);
		if (r != 0)
			return r < 0 ? r : 0;
		const char *p = bytes;
		if (p[0] != 0 || memcmp(p, p + 1, n - 1) != 0)
			return err_set(err, EINVAL, "bytes behind the end of the archive");
	}
}

int tar_read(struct source *s, struct tree *tree, struct erofs *erofs, uint64_t *ret_ignored,
	     struct err *err)
{
	AUTO(tar_header_done) struct tar_header h = TAR_HEADER_INIT;
	struct reader in = {.source = s, .tree = tree, .erofs = erofs};
	uint64_t ignored = 0;

	for (;;) {
		int r = tar_header_read(&h, s, err);
		if (r == TAR_END)
			break;
		if (r == 0)
			r = one_entry(&in, &h, err);
		if (r < 0)
			return r;
		ignored += h.ignored_xattrs;
	}
	int r = read_rest(s, err);
	if (r == 0)
		*ret_ignored = ignored;
	return r;
}
