/* SPDX-License-Identifier: Apache-2.0 */
/* Images out to registries: what image_push() has hull-image do. */
#pragma once

#include "base/attr.h"
#include "image/image.h"
#include "image/image_priv.h"

struct err;
struct store;

/* As image_push(); ret_digest is the manifest's, in hex. */
int push_image(const struct store *store, const struct image_push *what,
	       char ret_digest[DIGEST_HEX + 1], struct err *err) HULL_MUST_CHECK;
