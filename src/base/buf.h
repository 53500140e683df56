/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing run of bytes. Appending never fails visibly: when memory is out the buffer turns "bad",
 * swallows the rest, and buf_check() says so once at the end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct err;

struct buf {
	char *data; /* owned; NUL-terminated whenever it is not NULL */
	size_t len;
	size_t size;
	bool bad;
};

#define BUF_INIT ((struct buf){0})

/* Releases the bytes; b is empty and usable again. */
void buf_done(struct buf *b);

/* Forgets the content, keeps the memory. */
void buf_clear(struct buf *b);

/* Makes room for n more bytes behind len and returns where they go, or NULL when memory is out (b
 * is bad). The caller adds to len. */
char *buf_reserve(struct buf *b, size_t n);

/* Appends n bytes. */
void buf_add(struct buf *b, const void *bytes, size_t n);

/* Appends a string. */
void buf_str(struct buf *b, const char *s);

/* Appends formatted text. */
void buf_printf(struct buf *b, const char *fmt, ...) HULL_PRINTF(2, 3);

/* Appends an unsigned integer of the width named, little-endian. */
void buf_le32(struct buf *b, uint32_t v);
void buf_le64(struct buf *b, uint64_t v);

/* Takes n bytes off the front. */
void buf_consume(struct buf *b, size_t n);

/* The last line that is not empty, borrowed until b changes; `none` when there is none. Line feeds
 * at the end of b are cut off. */
const char *buf_last_line(struct buf *b, const char *none);

/* ENOMEM when any append was lost, else 0. */
int buf_check(const struct buf *b, struct err *err) HULL_MUST_CHECK;

/* The text as a string of its own ("" when empty), caller frees; NULL when memory ran out. b is
 * empty afterwards. */
char *buf_take(struct buf *b) HULL_MUST_CHECK;

/* For AUTO(buf_done). */
#define AUTO_BUF AUTO(buf_done)
