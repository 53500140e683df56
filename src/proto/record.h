/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain structs as bytes and back, by a table of their fields: the form of everything hull writes
 * for itself (plans on disk, requests to a keeper, messages to an agent). Little-endian, fixed
 * widths; each field is `u32 tag, u32 length, bytes`; fields that are zero or empty are left out.
 * What is read is hostile: every length is checked, unknown and repeated tags are refused, strings
 * hold no NUL.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct buf;
struct err;
struct record;

/* Bytes that are no text; owned. */
struct bytes {
	uint8_t *data;
	size_t len;
};

/* n structs of one record type, one behind the other; owned. */
struct list {
	void *items;
	size_t n;
};

enum field_type {
	FIELD_BOOL, /* bool */
	FIELD_U32, /* uint32_t, int or enum of 4 bytes */
	FIELD_U64, /* uint64_t or int64_t */
	FIELD_STR, /* char *, NULL when absent; "" is kept apart from NULL */
	FIELD_BYTES, /* struct bytes */
	FIELD_STRV, /* struct strv */
	FIELD_RECORD, /* an embedded struct of type sub */
	FIELD_LIST, /* struct list of sub */
};

struct field {
	uint32_t tag; /* never reused for another meaning */
	enum field_type type;
	size_t offset;
	const struct record *sub;
};

struct record {
	const char *name; /* for errors */
	size_t size;
	const struct field *fields;
	size_t n_fields;
};

/* A field of `strct` in a table. */
#define FIELD(number, kind, strct, member)                                                         \
	{                                                                                          \
		.tag = (number), .type = (kind), .offset = offsetof(strct, member)                 \
	}
/* The same for FIELD_RECORD and FIELD_LIST. */
#define FIELD_OF(number, kind, strct, member, record_)                                             \
	{                                                                                          \
		.tag = (number), .type = (kind), .offset = offsetof(strct, member),                \
		.sub = (record_)                                                                   \
	}
/* A record type of struct `strct` with the fields of the array `table`. */
#define RECORD(strct, table)                                                                       \
	{                                                                                          \
		.name = #strct, .size = sizeof(struct strct), .fields = (table),                   \
		.n_fields = sizeof(table) / sizeof((table)[0])                                     \
	}

/* Appends obj's bytes to *to (buf_check() tells whether memory sufficed). */
void record_encode(const struct record *type, const void *obj, struct buf *to);

/* Fills *obj (overwritten; the caller releases it with record_done()) from exactly n bytes. On
 * failure *obj is all zero. */
int record_decode(const struct record *type, const void *bytes, size_t n, void *obj,
		  struct err *err) HULL_MUST_CHECK;

/* Frees what obj owns and zeroes it; a zeroed obj is fine. */
void record_done(const struct record *type, void *obj);

/* Makes *to a deep copy of obj; the caller releases it with record_done(). */
int record_copy(const struct record *type, const void *obj, void *to, struct err *err)
	HULL_MUST_CHECK;

/* Appends one zeroed item to a list of `type` and returns it (borrowed, until the next append), or
 * NULL when memory is out. */
void *list_add(struct list *list, const struct record *type) HULL_MUST_CHECK;

/* Copies n bytes into *to, which must be empty. */
int bytes_set(struct bytes *to, const void *data, size_t n, struct err *err) HULL_MUST_CHECK;
