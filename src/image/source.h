/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a tar out of a stream that may be compressed, with the digests of both counted on
 * the way. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "image/layer.h"

struct err;
struct source;

enum { SOURCE_END = 1 };

/* Reads from `read`, and fails when the tar is larger than max_bytes. The caller frees. */
int source_new(layer_read_fn *read, void *ctx, uint64_t max_bytes, struct source **ret,
	       struct err *err) HULL_MUST_CHECK;

/* NULL is fine. */
void source_free(struct source *s);

/* The next 1 to max bytes of the tar, borrowed until the next call; SOURCE_END when there are no
 * more. */
int source_take(struct source *s, size_t max, const void **ret, size_t *ret_n, struct err *err)
	HULL_MUST_CHECK;

/* Copies the next n bytes of the tar. SOURCE_END when there is not even one; fewer are a failure.
 */
int source_exact(struct source *s, void *to, size_t n, struct err *err) HULL_MUST_CHECK;

/* After SOURCE_END: makes sure that nothing follows in the stream, and fills in the digests and
 * sizes. */
int source_finish(struct source *s, struct layer_info *info, struct err *err) HULL_MUST_CHECK;

DEFINE_AUTO(struct source, source_free)
