/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What follows the content: targets of symbolic links (equal ones once), folders, inodes. The
 * inodes come last but their numbers are known before, since a number only says how far an inode
 * lies behind the beginning of all inodes.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "image/erofs_format.h"
#include "image/erofs_priv.h"
#include "image/xattr.h"

/* Inodes do not cross a block: all begin at a multiple of their size. The first number is not 0,
 * which programs take for "no file". */
enum { INODE_ALIGN = sizeof(struct erofs_inode), FIRST_INODE = INODE_ALIGN };

static uint64_t map_entries(const struct inode *inode)
{
	if (inode->chunk_bits == 0)
		return 0;
	return (inode->size + (UINT64_C(1) << inode->chunk_bits) - 1) >> inode->chunk_bits;
}

static uint64_t inode_room(const struct inode *inode)
{
	uint64_t n = sizeof(struct erofs_inode) + (inode->xattrs ? inode->xattrs->len : 0) +
		     map_entries(inode) * EROFS_CHUNK_ENTRY;

	return (n + INODE_ALIGN - 1) / INODE_ALIGN * INODE_ALIGN;
}

/* Numbers all inodes; *ret_bytes is what they take together. */
static int number_inodes(struct tree *tree, uint64_t *ret_bytes, uint64_t *ret_inodes,
			 struct err *err)
{
	uint64_t at = FIRST_INODE, count = 0;

	for (struct inode *i = tree_root(tree); i; i = i->next) {
		if (S_ISDIR(i->mode) && (i->flags & INODE_OPAQUE)) {
			int r = xattr_pack_opaque(i->xattrs, tree_arena(tree), &i->xattrs, err);
			if (r < 0)
				return r;
		}
		i->nid = at / EROFS_SLOT;
		at += inode_room(i);
		count++;
	}
	*ret_bytes = at;
	*ret_inodes = count;
	return 0;
}

static int compare_targets(const void *a, const void *b)
{
	return strcmp((*(struct inode *const *)a)->target, (*(struct inode *const *)b)->target);
}

/* All symbolic links, ordered by target; the caller frees. */
static int gather_links(struct tree *tree, struct inode ***ret, size_t *ret_n, struct err *err)
{
	size_t n = 0;
	for (struct inode *i = tree_root(tree); i; i = i->next)
		n += S_ISLNK(i->mode);

	struct inode **links = calloc(n + 1, sizeof(struct inode *));
	if (!links)
		return err_set(err, ENOMEM, "out of memory");
	n = 0;
	for (struct inode *i = tree_root(tree); i; i = i->next) {
		if (S_ISLNK(i->mode))
			links[n++] = i;
	}
	qsort(links, n, sizeof(struct inode *), compare_targets);
	*ret = links;
	*ret_n = n;
	return 0;
}

static int write_block(struct erofs *e, const void *bytes, size_t n, uint32_t *ret_block,
		       struct err *err)
{
	uint64_t at = 0;

	int r = erofs_place(e, n, &at, err);
	if (r == 0)
		r = out_seek(&e->out, at, err);
	if (r == 0)
		r = out_write(&e->out, bytes, n, err);
	if (r == 0)
		*ret_block = (uint32_t)(at >> EROFS_BLOCK_BITS);
	return r;
}

static int write_links(struct erofs *e, struct tree *tree, struct err *err)
{
	AUTO_FREE struct inode **links = NULL;
	size_t n = 0;

	int r = gather_links(tree, &links, &n, err);
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (i > 0 && compare_targets(&links[i - 1], &links[i]) == 0)
			links[i]->start_block = links[i - 1]->start_block;
		else
			r = write_block(e, links[i]->target, links[i]->size, &links[i]->start_block,
					err);
	}
	return r;
}

static uint8_t file_type(mode_t mode)
{
	static const uint8_t types[16] = {
		[S_IFREG >> 12] = 1, [S_IFDIR >> 12] = 2,  [S_IFCHR >> 12] = 3, [S_IFBLK >> 12] = 4,
		[S_IFIFO >> 12] = 5, [S_IFSOCK >> 12] = 6, [S_IFLNK >> 12] = 7,
	};

	return types[(mode & S_IFMT) >> 12];
}

/* Fills one block of a folder from *d on, which becomes the first name that did not fit; returns
 * the bytes used. */
static size_t fill_block(uint8_t block[EROFS_BLOCK], const struct dent **d)
{
	const struct dent *end = *d;
	size_t n = 0, used = 0;

	for (; end; end = end->next, n++) {
		size_t more = sizeof(struct erofs_dirent) + end->name_len;
		if (used + more > EROFS_BLOCK)
			break;
		used += more;
	}
	memset(block, 0, EROFS_BLOCK);
	size_t name_at = n * sizeof(struct erofs_dirent);
	for (size_t i = 0; i < n; i++, *d = (*d)->next) {
		struct erofs_dirent entry = {.nid = htole64((*d)->inode->nid),
					     .name_offset = htole16((uint16_t)name_at),
					     .type = file_type((*d)->inode->mode)};
		memcpy(block + i * sizeof(entry), &entry, sizeof(entry));
		memcpy(block + name_at, (*d)->name, (*d)->name_len);
		name_at += (*d)->name_len;
	}
	return used;
}

static int write_folder(struct erofs *e, struct inode *dir, struct err *err)
{
	uint8_t block[EROFS_BLOCK];
	const struct dent *d = dir->children;

	for (uint64_t blocks = 0; d; blocks++) {
		uint32_t at = 0;
		size_t used = fill_block(block, &d);
		int r = write_block(e, block, used, &at, err);
		if (r < 0)
			return r;
		if (blocks == 0)
			dir->start_block = at;
		dir->size = blocks * EROFS_BLOCK + used;
	}
	return 0;
}

/* Where each chunk lies, EROFS_NULL_BLOCK for a hole. */
static int write_map(struct erofs *e, const struct inode *inode, struct err *err)
{
	uint32_t map[1024];
	size_t n = 0;
	uint64_t chunks = map_entries(inode);
	const struct run *run = inode->runs, *end = run ? run + inode->n_runs : NULL;

	for (uint64_t chunk = 0; chunk < chunks; chunk++) {
		uint32_t block = EROFS_NULL_BLOCK;
		if (run < end && chunk >= run->chunk + (uint64_t)run->count)
			run++;
		if (run < end && chunk >= run->chunk)
			block = run->block + (uint32_t)((chunk - run->chunk)
							<< (inode->chunk_bits - EROFS_BLOCK_BITS));
		map[n++] = htole32(block);
		if (n == sizeof(map) / sizeof(map[0]) || chunk + 1 == chunks) {
			int r = out_write(&e->out, map, n * sizeof(map[0]), err);
			if (r < 0)
				return r;
			n = 0;
		}
	}
	return 0;
}

static uint32_t inode_u(const struct inode *inode)
{
	if (S_ISCHR(inode->mode) || S_ISBLK(inode->mode))
		return inode->rdev;
	if (inode->chunk_bits > 0)
		return inode->chunk_bits - EROFS_BLOCK_BITS;
	return inode->start_block;
}

static int write_inode(struct erofs *e, const struct inode *inode, uint64_t number, struct err *err)
{
	uint16_t layout = inode->chunk_bits ? EROFS_LAYOUT_CHUNK_BASED : EROFS_LAYOUT_FLAT_PLAIN;
	size_t xattrs = inode->xattrs ? inode->xattrs->len : 0;
	struct erofs_inode disk = {
		.format = htole16(
			(uint16_t)(EROFS_FORMAT_EXTENDED | layout << EROFS_FORMAT_LAYOUT_SHIFT)),
		.mode = htole16(inode->mode),
		.size = htole64(inode->size),
		.u = htole32(inode_u(inode)),
		.ino = htole32((uint32_t)number),
		.uid = htole32(inode->uid),
		.gid = htole32(inode->gid),
		.mtime = htole64((uint64_t)inode->mtime),
		.mtime_nsec = htole32(inode->mtime_nsec),
		.nlink = htole32(inode->nlink),
	};

	if (xattrs > 0)
		disk.xattr_count = htole16(
			(uint16_t)(1 + (xattrs - sizeof(struct erofs_xattr_header)) / 4));
	int r = out_write(&e->out, &disk, sizeof(disk), err);
	if (r == 0 && xattrs > 0)
		r = out_write(&e->out, inode->xattrs->body, xattrs, err);
	if (r == 0)
		r = write_map(e, inode, err);
	return r;
}

int erofs_write_meta(struct erofs *e, struct tree *tree, struct erofs_meta *ret, struct err *err)
{
	uint64_t bytes = 0, inodes = 0, at = 0, number = 0;

	int r = number_inodes(tree, &bytes, &inodes, err);
	if (r == 0)
		r = write_links(e, tree, err);
	for (struct inode *i = tree_root(tree); r == 0 && i; i = i->next) {
		if (S_ISDIR(i->mode))
			r = write_folder(e, i, err);
	}
	if (r == 0)
		r = erofs_place(e, bytes, &at, err);
	for (struct inode *i = tree_root(tree); r == 0 && i; i = i->next) {
		r = out_seek(&e->out, at + i->nid * EROFS_SLOT, err);
		if (r == 0)
			r = write_inode(e, i, ++number, err);
	}
	if (r < 0)
		return r;
	*ret = (struct erofs_meta){.block = (uint32_t)(at >> EROFS_BLOCK_BITS),
				   .root_nid = (uint16_t)tree_root(tree)->nid,
				   .inodes = inodes};
	return 0;
}
