/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a pax tar in one form only: the same entries give the same bytes, so that a layer that
 * never was a tar has a diff-id, and the tar can be made again. Numbers and names go into the ustar
 * header where they fit, else into pax records, in a fixed order.
 */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "image/layer.h"

struct err;
struct tar_emitter;
struct tree_entry;

/* Gives the tar to `write` (may be NULL) and counts its digest; the caller frees. */
int tar_emitter_new(layer_write_fn *write, void *ctx, struct tar_emitter **ret, struct err *err)
	HULL_MUST_CHECK;

/* NULL is fine. */
void tar_emitter_free(struct tar_emitter *t);

/* One entry's header; for a regular file that is no hard link `size` bytes of content must follow.
 * A folder's path has no slash at its end, the root's is ".". */
int tar_emit_entry(struct tar_emitter *t, const struct tree_entry *entry, uint64_t size,
		   struct err *err) HULL_MUST_CHECK;

/* The next n bytes of content (a hostfile_tee_fn: ctx is the emitter); NULL stands for zeros. */
int tar_emit_content(void *ctx, const void *bytes, size_t n, struct err *err) HULL_MUST_CHECK;

/* Fills what the last block of `size` bytes of content leaves. */
int tar_emit_padding(struct tar_emitter *t, uint64_t size, struct err *err) HULL_MUST_CHECK;

/* The end mark; fills in the digests and sizes. */
int tar_emit_end(struct tar_emitter *t, struct layer_info *info, struct err *err) HULL_MUST_CHECK;

DEFINE_AUTO(struct tar_emitter, tar_emitter_free)
