/* SPDX-License-Identifier: Apache-2.0 */
#include "image/sha256.h"

#include <errno.h>
#include <openssl/evp.h>

#include "base/err.h"

void sha256_format(const uint8_t digest[32], char ret[DIGEST_HEX + 1])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < 32; i++) {
		ret[2 * i] = digits[digest[i] >> 4];
		ret[2 * i + 1] = digits[digest[i] & 15];
	}
	ret[DIGEST_HEX] = '\0';
}

static uint8_t nibble(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

void sha256_unformat(const char hex[DIGEST_HEX + 1], uint8_t ret[32])
{
	for (size_t i = 0; i < 32; i++)
		ret[i] = (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
}

int sha256_hex(const void *bytes, size_t n, char ret[DIGEST_HEX + 1], struct err *err)
{
	uint8_t digest[EVP_MAX_MD_SIZE];

	if (EVP_Digest(bytes, n, digest, NULL, EVP_sha256(), NULL) != 1)
		return err_set(err, EIO, "libcrypto computes no SHA-256");
	sha256_format(digest, ret);
	return 0;
}
