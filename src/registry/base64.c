/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/base64.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct buf *to, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < n; i += 3) {
		size_t k = n - i < 3 ? n - i : 3;
		uint32_t word = (uint32_t)p[i] << 16;
		word |= k > 1 ? (uint32_t)p[i + 1] << 8 : 0;
		word |= k > 2 ? p[i + 2] : 0;
		char four[] = {digits[word >> 18], digits[word >> 12 & 63], '=', '='};
		if (k > 1)
			four[2] = digits[word >> 6 & 63];
		if (k > 2)
			four[3] = digits[word & 63];
		buf_add(to, four, sizeof(four));
	}
}

int base64_decode(struct buf *to, const char *text, struct err *err)
{
	size_t n = strlen(text);
	size_t pads = n > 0 && text[n - 1] == '=' ? 1 + (n > 1 && text[n - 2] == '=') : 0;

	if (n % 4 != 0 || strspn(text, digits) != n - pads)
		return err_set(err, EINVAL, "no base64");
	for (size_t i = 0; i < n; i += 4) {
		uint32_t word = 0;
		for (size_t k = 0; k < 4; k++) {
			const char *digit = i + k < n - pads ? strchr(digits, text[i + k]) : digits;
			word = word << 6 | (uint32_t)(digit - digits);
		}
		const uint8_t three[] = {(uint8_t)(word >> 16), (uint8_t)(word >> 8),
					 (uint8_t)word};
		buf_add(to, three, i + 4 < n ? 3 : 3 - pads);
	}
	return buf_check(to, err);
}
