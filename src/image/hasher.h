/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A digest that is computed beside its owner's work, by a thread of its own: that of a large layer
 * takes half as long as its unpacking. Of small pieces, where there is one processor, and where no
 * thread is to be had, the owner computes it itself.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "image/layer.h"

struct err;
struct hasher;

/* Makes one; the caller frees. */
int hasher_new(struct hasher **ret, struct err *err) HULL_MUST_CHECK;

/* Waits for what was given, and ends its thread; NULL is fine. */
void hasher_free(struct hasher *h);

/* Counts n bytes in, which have to stay as they are until hasher_wait() or the next call of this,
 * which begins with it. */
int hasher_add(struct hasher *h, const void *bytes, size_t n, struct err *err) HULL_MUST_CHECK;

/* Waits until all that was given is counted in. */
int hasher_wait(struct hasher *h, struct err *err) HULL_MUST_CHECK;

/* The digest; nothing can be added behind it. */
int hasher_end(struct hasher *h, uint8_t ret[LAYER_DIGEST], struct err *err) HULL_MUST_CHECK;

DEFINE_AUTO(struct hasher, hasher_free)
