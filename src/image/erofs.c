/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files are cut into chunks (64 KiB, larger for large files, so that the map of a file stays below
 * 256 KiB). A chunk gets its place when its first byte that is not zero comes, and then whole: what
 * is zero in it becomes a hole of the image file itself. A file all of whose chunks got a place
 * lies in one piece and is written as flat data; only one that misses some gets a chunk map.
 */
#include "image/erofs.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/err.h"
#include "image/erofs_format.h"
#include "image/erofs_priv.h"

enum { CHUNK_BITS_MIN = 16, MAX_CHUNKS_BITS = 16, PAD = 2 << 20 };

#define FILE_MAX (UINT64_C(16) << 40)
#define VOLUME   "hull-1"

int erofs_new(int out_fd, uint64_t max_bytes, struct erofs **ret, struct err *err)
{
	AUTO(auto_erofs_free) struct erofs *e = calloc(1, sizeof(*e));
	if (!e)
		return err_set(err, ENOMEM, "out of memory");
	e->max_bytes = max_bytes < FILE_MAX ? max_bytes : FILE_MAX - PAD;
	e->end = EROFS_BLOCK;
	int r = out_init(&e->out, out_fd, err);
	if (r == 0)
		r = out_seek(&e->out, EROFS_BLOCK, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(e);
	return 0;
}

void erofs_free(struct erofs *e)
{
	if (!e)
		return;
	out_done(&e->out);
	free(e->runs);
	free(e);
}

int erofs_place(struct erofs *e, uint64_t n, uint64_t *ret, struct err *err)
{
	uint64_t blocks = (n + EROFS_BLOCK - 1) >> EROFS_BLOCK_BITS;

	if (blocks > (e->max_bytes - e->end) >> EROFS_BLOCK_BITS)
		return err_set(err, EFBIG, "the layer is larger than %ju bytes",
			       (uintmax_t)e->max_bytes);
	*ret = e->end;
	e->end += blocks << EROFS_BLOCK_BITS;
	return 0;
}

static uint64_t chunks_of(uint64_t size, unsigned int bits)
{
	return (size + (UINT64_C(1) << bits) - 1) >> bits;
}

int erofs_file_begin(struct erofs *e, struct inode *inode, uint64_t size, struct err *err)
{
	assert(!e->inode);

	if (size > FILE_MAX)
		return err_set(err, EFBIG, "a file of %ju bytes", (uintmax_t)size);
	inode->size = size;
	e->inode = inode;
	e->at = 0;
	e->next_chunk = 0;
	e->n_runs = 0;
	e->chunk_bits = CHUNK_BITS_MIN;
	while (chunks_of(size, e->chunk_bits) > 1 << MAX_CHUNKS_BITS)
		e->chunk_bits++;
	return 0;
}

/* Notes that the chunk lies at block. */
static int note_chunk(struct erofs *e, uint64_t chunk, uint64_t block, struct err *err)
{
	struct run *last = e->n_runs ? &e->runs[e->n_runs - 1] : NULL;
	unsigned int chunk_blocks_bits = e->chunk_bits - EROFS_BLOCK_BITS;

	if (last && last->chunk + last->count == chunk &&
	    last->block + ((uint64_t)last->count << chunk_blocks_bits) == block) {
		last->count++;
		return 0;
	}
	if (e->n_runs == e->runs_size) {
		size_t size = e->runs_size ? e->runs_size * 2 : 16;
		struct run *runs = reallocarray(e->runs, size, sizeof(*runs));
		if (!runs)
			return err_set(err, ENOMEM, "out of memory");
		e->runs = runs;
		e->runs_size = size;
	}
	assert(e->runs);
	e->runs[e->n_runs++] = (struct run){(uint32_t)chunk, 1, (uint32_t)block};
	return 0;
}

/* Gives the chunk, which no later one precedes, its place. */
static int place_chunk(struct erofs *e, uint64_t chunk, struct err *err)
{
	uint64_t rest = e->inode->size - (chunk << e->chunk_bits);
	uint64_t len = UINT64_C(1) << e->chunk_bits;

	int r = erofs_place(e, rest < len ? rest : len, &e->chunk_base, err);
	if (r < 0)
		return r;
	e->next_chunk = chunk + 1;
	return note_chunk(e, chunk, e->chunk_base >> EROFS_BLOCK_BITS, err);
}

static bool all_zero(const char *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

int erofs_file_write(struct erofs *e, uint64_t at, const void *bytes, size_t n, struct err *err)
{
	const char *p = bytes;

	assert(e->inode);
	if (at < e->at)
		return err_set(err, EINVAL, "its pieces overlap or are out of order");
	if (at > e->inode->size || n > e->inode->size - at)
		return err_set(err, EINVAL, "content beyond its size");
	e->at = at + n;

	uint64_t chunk_len = UINT64_C(1) << e->chunk_bits;
	bool may_skip = e->inode->size > chunk_len;
	while (n > 0) {
		uint64_t chunk = at >> e->chunk_bits, within = at & (chunk_len - 1);
		size_t k = n < chunk_len - within ? n : (size_t)(chunk_len - within);
		int r = 0;

		if (chunk >= e->next_chunk && !(may_skip && all_zero(p, k)))
			r = place_chunk(e, chunk, err);
		if (r == 0 && chunk < e->next_chunk)
			r = out_seek(&e->out, e->chunk_base + within, err);
		if (r == 0 && chunk < e->next_chunk)
			r = out_write(&e->out, p, k, err);
		if (r < 0)
			return r;
		p += k;
		at += k;
		n -= k;
	}
	return 0;
}

/* A file with holes: keeps its runs. One without any content is one chunk as large as the file. */
static int keep_runs(struct erofs *e, struct tree *tree, struct err *err)
{
	struct inode *inode = e->inode;

	if (e->n_runs > 0) {
		size_t size = e->n_runs * sizeof(*e->runs);
		inode->runs = arena_alloc(tree_arena(tree), size, err);
		if (!inode->runs)
			return -ENOMEM;
		memcpy(inode->runs, e->runs, size);
	}
	while (e->n_runs == 0 && chunks_of(inode->size, e->chunk_bits) > 1)
		e->chunk_bits++;
	inode->n_runs = (uint32_t)e->n_runs;
	inode->chunk_bits = (uint8_t)e->chunk_bits;
	e->chunked = true;
	return 0;
}

int erofs_file_end(struct erofs *e, struct tree *tree, struct err *err)
{
	struct inode *inode = e->inode;
	uint64_t chunks = chunks_of(inode->size, e->chunk_bits);
	int r = 0;

	assert(inode);
	if (chunks == 1 && e->n_runs == 0) /* small and never written to */
		r = place_chunk(e, 0, err);
	if (r == 0 && chunks > 0 && (e->n_runs != 1 || e->runs[0].count != chunks))
		r = keep_runs(e, tree, err);
	else if (r == 0 && chunks > 0)
		inode->start_block = e->runs[0].block;
	e->inode = NULL;
	return r;
}

static int write_super(struct erofs *e, const struct erofs_meta *meta, uint64_t total,
		       const uint8_t uuid[EROFS_UUID], struct err *err)
{
	uint8_t block[EROFS_BLOCK - EROFS_SUPER_OFFSET] = {0};
	struct erofs_super super = {
		.magic = htole32(EROFS_MAGIC),
		.feature_compat = htole32(EROFS_COMPAT_SB_CHKSUM | EROFS_COMPAT_MTIME),
		.block_bits = EROFS_BLOCK_BITS,
		.root_nid = htole16(meta->root_nid),
		.inodes = htole64(meta->inodes),
		.blocks = htole32((uint32_t)(total >> EROFS_BLOCK_BITS)),
		.meta_block = htole32(meta->block),
		.feature_incompat = htole32(e->chunked ? EROFS_INCOMPAT_CHUNKED_FILE : 0),
	};

	memcpy(super.uuid, uuid, EROFS_UUID);
	memcpy(super.volume_name, VOLUME, sizeof(VOLUME));
	memcpy(block, &super, sizeof(super));
	super.checksum = htole32(crc32c(block, sizeof(block)));
	memcpy(block, &super, sizeof(super));
	ssize_t w = pwrite(e->out.fd, block, sizeof(block), EROFS_SUPER_OFFSET);
	if (w < 0)
		return err_sys(err, "write the layer file");
	if (w != (ssize_t)sizeof(block))
		return err_set(err, EIO, "write the layer file: only %zd bytes taken", w);
	return 0;
}

int erofs_finish(struct erofs *e, struct tree *tree, const uint8_t uuid[EROFS_UUID],
		 uint64_t *ret_bytes, struct err *err)
{
	struct erofs_meta meta = {0};
	uint64_t total;

	assert(!e->inode);
	int r = erofs_write_meta(e, tree, &meta, err);
	if (r == 0)
		r = out_flush(&e->out, err);
	if (r < 0)
		return r;
	total = (e->end + PAD - 1) / PAD * PAD;
	if (ftruncate(e->out.fd, (off_t)total) < 0)
		return err_sys(err, "write the layer file");
	r = write_super(e, &meta, total, uuid, err);
	if (r == 0)
		*ret_bytes = total;
	return r;
}
