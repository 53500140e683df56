/* SPDX-License-Identifier: Apache-2.0 */
#include "image/layer.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "image/erofs.h"
#include "image/folder.h"
#include "image/lower.h"
#include "image/source.h"
#include "image/tar.h"
#include "image/tar_emit.h"
#include "image/tree.h"

#define DEFAULT_BYTES   (UINT64_C(256) << 30)
#define DEFAULT_ENTRIES (UINT64_C(4) << 20)
#define UUID_SALT       "hull layer format 1"

struct layer {
	struct layer_limits limits;
	struct tree *tree;
	struct erofs *erofs;
	struct layer_info info;
	bool read; /* once only */
};

int layer_new(int out_fd, const struct layer_limits *limits, struct layer **ret, struct err *err)
{
	AUTO(auto_layer_free) struct layer *l = calloc(1, sizeof(*l));
	if (!l)
		return err_set(err, ENOMEM, "out of memory");
	if (limits)
		l->limits = *limits;
	if (l->limits.tar_bytes == 0)
		l->limits.tar_bytes = DEFAULT_BYTES;
	if (l->limits.image_bytes == 0)
		l->limits.image_bytes = DEFAULT_BYTES;
	if (l->limits.entries == 0)
		l->limits.entries = DEFAULT_ENTRIES;
	int r = tree_new(l->limits.entries, &l->tree, err);
	if (r == 0)
		r = erofs_new(out_fd, l->limits.image_bytes, &l->erofs, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(l);
	return 0;
}

void layer_free(struct layer *l)
{
	if (!l)
		return;
	erofs_free(l->erofs);
	tree_free(l->tree);
	free(l);
}

ssize_t layer_read_fd(void *ctx, void *bytes, size_t n, struct err *err)
{
	const int *fd = ctx;
	ssize_t r;

	do
		r = read(*fd, bytes, n);
	while (r < 0 && errno == EINTR);
	return r < 0 ? err_sys(err, "read the archive") : r;
}

/* No entry comes any more. */
static int seal(struct layer *l, struct err *err)
{
	int r = tree_seal(l->tree, &l->info.needs_lower, err);

	l->info.entries = tree_entries(l->tree);
	l->info.has_root = tree_has_root(l->tree);
	l->read = r == 0;
	return r;
}

int layer_read_tar(struct layer *l, layer_read_fn *read, void *ctx, struct err *err)
{
	AUTO(auto_source_free) struct source *s = NULL;

	assert(!l->read);
	int r = source_new(read, ctx, l->limits.tar_bytes, &s, err);
	if (r == 0)
		r = tar_read(s, l->tree, l->erofs, &l->info.ignored_xattrs, err);
	if (r == 0)
		r = source_finish(s, &l->info, err);
	return r < 0 ? r : seal(l, err);
}

int layer_read_folder(struct layer *l, int dirfd, layer_write_fn *write, void *ctx, struct err *err)
{
	AUTO(auto_tar_emitter_free) struct tar_emitter *tar = NULL;

	assert(!l->read);
	int r = tar_emitter_new(write, ctx, &tar, err);
	if (r == 0)
		r = folder_read(dirfd, l->tree, l->erofs, tar, &l->info.ignored_xattrs, err);
	if (r == 0)
		r = tar_emit_end(tar, &l->info, err);
	return r < 0 ? r : seal(l, err);
}

const struct layer_info *layer_info(const struct layer *l)
{
	return &l->info;
}

/* A name-based UUID (RFC 9562 version 8) of what decides the file's bytes. */
int layer_uuid(const uint8_t diff_id[LAYER_DIGEST], const uint8_t *chain, uint8_t ret[EROFS_UUID],
	       struct err *err)
{
	uint8_t text[sizeof(UUID_SALT) + (size_t)2 * LAYER_DIGEST] = UUID_SALT;
	uint8_t digest[LAYER_DIGEST];

	memcpy(text + sizeof(UUID_SALT), diff_id, LAYER_DIGEST);
	if (chain)
		memcpy(text + sizeof(UUID_SALT) + LAYER_DIGEST, chain, LAYER_DIGEST);
	if (EVP_Digest(text, sizeof(text), digest, NULL, EVP_sha256(), NULL) != 1)
		return err_set(err, EIO, "SHA-256 cannot be computed");
	memcpy(ret, digest, EROFS_UUID);
	ret[6] = (uint8_t)((ret[6] & 0x0f) | 0x80);
	ret[8] = (uint8_t)((ret[8] & 0x3f) | 0x80);
	return 0;
}

int layer_finish(struct layer *l, const struct layer_lower *lower, const uint8_t *chain,
		 struct err *err)
{
	uint8_t uuid[EROFS_UUID];

	assert(l->read);
	int r = layer_uuid(l->info.diff_id, l->info.needs_lower ? chain : NULL, uuid, err);
	if (r == 0 && l->info.needs_lower)
		r = lower_fill_in(lower, l->tree, l->erofs, err);
	if (r == 0)
		r = erofs_finish(l->erofs, l->tree, uuid, &l->info.image_bytes, err);
	return r;
}
