/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 of bytes as they pass. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "image/layer.h"

struct digest; /* OpenSSL's EVP_MD_CTX */
struct err;

/* Starts one; the caller frees. */
int digest_new(struct digest **ret, struct err *err) HULL_MUST_CHECK;

/* NULL is fine. */
void digest_free(struct digest *d);

/* Counts n bytes in. */
int digest_add(struct digest *d, const void *bytes, size_t n, struct err *err) HULL_MUST_CHECK;

/* The digest; nothing can be added behind it. */
int digest_end(struct digest *d, uint8_t ret[LAYER_DIGEST], struct err *err) HULL_MUST_CHECK;

DEFINE_AUTO(struct digest, digest_free)
