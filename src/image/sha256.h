/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 of what is in memory, as hex. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "image/image_priv.h"

struct err;

/* The digest of n bytes. */
int sha256_hex(const void *bytes, size_t n, char ret[DIGEST_HEX + 1], struct err *err)
	HULL_MUST_CHECK;

/* 32 bytes as hex, and back (hex is known to be valid). */
void sha256_format(const uint8_t digest[32], char ret[DIGEST_HEX + 1]);
void sha256_unformat(const char hex[DIGEST_HEX + 1], uint8_t ret[32]);
