/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

void buf_done(struct buf *b)
{
	free(b->data);
	*b = BUF_INIT;
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->bad = false;
	if (b->data)
		b->data[0] = '\0';
}

char *buf_reserve(struct buf *b, size_t n)
{
	size_t need;

	if (b->bad || __builtin_add_overflow(b->len, n, &need) || need > SIZE_MAX / 2 - 1) {
		b->bad = true;
		return NULL;
	}
	if (need + 1 > b->size) {
		size_t size = b->size * 2 > need + 1 ? b->size * 2 : need + 1;
		if (size < 64)
			size = 64;
		char *data = realloc(b->data, size);
		if (!data) {
			b->bad = true;
			return NULL;
		}
		b->data = data;
		b->size = size;
	}
	return b->data + b->len;
}

void buf_add(struct buf *b, const void *bytes, size_t n)
{
	char *at = buf_reserve(b, n);
	if (!at)
		return;
	if (n > 0)
		memcpy(at, bytes, n);
	b->len += n;
	b->data[b->len] = '\0';
}

void buf_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	char *at = n < 0 ? NULL : buf_reserve(b, (size_t)n);
	if (!at) {
		b->bad = true;
		return;
	}
	va_start(ap, fmt);
	(void)vsnprintf(at, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void buf_le32(struct buf *b, uint32_t v)
{
	uint8_t le[4];

	for (int i = 0; i < 4; i++)
		le[i] = (uint8_t)(v >> (8 * i));
	buf_add(b, le, sizeof(le));
}

void buf_le64(struct buf *b, uint64_t v)
{
	buf_le32(b, (uint32_t)v);
	buf_le32(b, (uint32_t)(v >> 32));
}

void buf_consume(struct buf *b, size_t n)
{
	if (n > b->len)
		n = b->len;
	if (n == 0)
		return;
	memmove(b->data, b->data + n, b->len - n + 1);
	b->len -= n;
}

const char *buf_last_line(struct buf *b, const char *none)
{
	while (b->len > 0 && b->data[b->len - 1] == '\n')
		b->data[--b->len] = '\0';
	if (b->len == 0)
		return none;
	const char *nl = strrchr(b->data, '\n');
	return nl ? nl + 1 : b->data;
}

int buf_check(const struct buf *b, struct err *err)
{
	return b->bad ? err_set(err, ENOMEM, "out of memory") : 0;
}

char *buf_take(struct buf *b)
{
	if (!b->data)
		buf_add(b, "", 0);
	if (b->bad) {
		buf_done(b);
		return NULL;
	}
	char *data = b->data;
	*b = BUF_INIT;
	return data;
}
