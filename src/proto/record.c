/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/record.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum { DEPTH_MAX = 6, ITEMS_MAX = 65536 };

static void *at(void *obj, const struct field *f)
{
	return (char *)obj + f->offset;
}

/* --- writing --- */

static void put_header(struct buf *to, uint32_t tag, size_t len)
{
	if (len > UINT32_MAX) {
		to->bad = true;
		return;
	}
	buf_le32(to, tag);
	buf_le32(to, (uint32_t)len);
}

static void put_bytes(struct buf *to, uint32_t tag, const void *data, size_t len)
{
	put_header(to, tag, len);
	buf_add(to, data, len);
}

/* A nested record's length stands before its bytes: it is written last, into the place kept for it.
 */
static void put_nested(struct buf *to, uint32_t tag, const struct record *type, const void *obj)
{
	put_header(to, tag, 0);
	size_t start = to->len;
	record_encode(type, obj, to);
	if (to->bad)
		return;
	size_t len = to->len - start;
	for (int i = 0; i < 4; i++)
		to->data[start - 4 + (size_t)i] = (char)(len >> (8 * i));
}

static bool all_zero(const void *p, size_t n)
{
	static const char zero[4096];

	for (const char *c = p; n > 0;) {
		size_t part = n < sizeof(zero) ? n : sizeof(zero);
		if (memcmp(c, zero, part) != 0)
			return false;
		c += part;
		n -= part;
	}
	return true;
}

static void put_list(struct buf *to, const struct field *f, const struct list *list)
{
	for (size_t i = 0; i < list->n; i++)
		put_nested(to, f->tag, f->sub, (const char *)list->items + i * f->sub->size);
}

static void put_number(struct buf *to, const struct field *f, uint64_t v)
{
	if (v == 0)
		return;
	put_header(to, f->tag, f->type == FIELD_U64 ? 8 : f->type == FIELD_U32 ? 4 : 1);
	if (f->type == FIELD_U64)
		buf_le64(to, v);
	else if (f->type == FIELD_U32)
		buf_le32(to, (uint32_t)v);
	else
		buf_add(to, "\1", 1);
}

static void put_field(struct buf *to, const struct field *f, const void *p)
{
	switch (f->type) {
	case FIELD_BOOL:
		put_number(to, f, *(const bool *)p);
		break;
	case FIELD_U32:
		put_number(to, f, *(const uint32_t *)p);
		break;
	case FIELD_U64:
		put_number(to, f, *(const uint64_t *)p);
		break;
	case FIELD_STR: {
		const char *s = *(char *const *)p;
		if (s)
			put_bytes(to, f->tag, s, strlen(s));
		break;
	}
	case FIELD_BYTES: {
		const struct bytes *b = p;
		if (b->len > 0)
			put_bytes(to, f->tag, b->data, b->len);
		break;
	}
	case FIELD_STRV: {
		const struct strv *v = p;
		for (size_t i = 0; i < v->n; i++)
			put_bytes(to, f->tag, v->v[i], strlen(v->v[i]));
		break;
	}
	case FIELD_RECORD:
		if (!all_zero(p, f->sub->size))
			put_nested(to, f->tag, f->sub, p);
		break;
	case FIELD_LIST:
		put_list(to, f, p);
		break;
	}
}

void record_encode(const struct record *type, const void *obj, struct buf *to)
{
	for (size_t i = 0; i < type->n_fields; i++)
		put_field(to, &type->fields[i], (const char *)obj + type->fields[i].offset);
}

/* --- reading --- */

static uint64_t get_le(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static char *get_text(const uint8_t *p, size_t len, struct err *err)
{
	if (memchr(p, 0, len)) {
		(void)err_set(err, EBADMSG, "a text holds a NUL");
		return NULL;
	}
	char *s = strndup((const char *)p, len);
	if (!s)
		(void)err_set(err, ENOMEM, "out of memory");
	return s;
}

static int decode(const struct record *type, const uint8_t *p, size_t n, void *obj, int depth,
		  struct err *err);

static int get_number(const struct field *f, const uint8_t *p, size_t len, void *to,
		      struct err *err)
{
	size_t want = f->type == FIELD_U64 ? 8 : f->type == FIELD_U32 ? 4 : 1;

	if (len != want)
		return err_set(err, EBADMSG, "field %u has %zu bytes, not %zu", f->tag, len, want);
	uint64_t v = get_le(p, len);
	if (f->type == FIELD_U64)
		*(uint64_t *)to = v;
	else if (f->type == FIELD_U32)
		*(uint32_t *)to = (uint32_t)v;
	else if (v == 1)
		*(bool *)to = true;
	else
		return err_set(err, EBADMSG, "field %u is no truth value", f->tag);
	return 0;
}

static int get_list_item(const struct field *f, const uint8_t *p, size_t len, struct list *list,
			 int depth, struct err *err)
{
	if (list->n >= ITEMS_MAX)
		return err_set(err, EBADMSG, "field %u has too many items", f->tag);
	void *item = list_add(list, f->sub);
	if (!item)
		return err_set(err, ENOMEM, "out of memory");
	return decode(f->sub, p, len, item, depth + 1, err);
}

static int get_strv_item(const struct field *f, const uint8_t *p, size_t len, struct strv *v,
			 struct err *err)
{
	if (v->n >= ITEMS_MAX)
		return err_set(err, EBADMSG, "field %u has too many items", f->tag);
	AUTO_FREE char *s = get_text(p, len, err);
	return s ? strv_add(v, s, err) : -err->code;
}

static int get_field(const struct field *f, const uint8_t *p, size_t len, void *to, int depth,
		     struct err *err)
{
	switch (f->type) {
	case FIELD_BOOL:
	case FIELD_U32:
	case FIELD_U64:
		return get_number(f, p, len, to, err);
	case FIELD_STR: {
		char *s = get_text(p, len, err);
		*(char **)to = s;
		return s ? 0 : -err->code;
	}
	case FIELD_BYTES:
		return bytes_set(to, p, len, err);
	case FIELD_STRV:
		return get_strv_item(f, p, len, to, err);
	case FIELD_RECORD:
		return decode(f->sub, p, len, to, depth + 1, err);
	case FIELD_LIST:
		return get_list_item(f, p, len, to, depth, err);
	}
	return err_set(err, EBADMSG, "field %u is of no known type", f->tag);
}

static const struct field *find(const struct record *type, uint32_t tag, size_t *ret_index)
{
	for (size_t i = 0; i < type->n_fields; i++) {
		if (type->fields[i].tag == tag) {
			*ret_index = i;
			return &type->fields[i];
		}
	}
	return NULL;
}

/* The caller releases obj, filled in part, when this fails. */
static int decode(const struct record *type, const uint8_t *p, size_t n, void *obj, int depth,
		  struct err *err)
{
	uint64_t seen = 0; /* one bit for each field that may come once */

	if (depth > DEPTH_MAX)
		return err_set(err, EBADMSG, "records nested too deep");
	while (n > 0) {
		if (n < 8 || get_le(p + 4, 4) > n - 8)
			return err_set(err, EBADMSG, "%s: cut short", type->name);
		uint32_t tag = (uint32_t)get_le(p, 4);
		size_t len = (size_t)get_le(p + 4, 4);
		size_t index = 0;
		const struct field *f = find(type, tag, &index);
		if (!f)
			return err_set(err, EBADMSG, "%s: unknown field %u", type->name, tag);
		bool many = f->type == FIELD_LIST || f->type == FIELD_STRV;
		if (!many && (seen & (UINT64_C(1) << index)))
			return err_set(err, EBADMSG, "%s: field %u comes twice", type->name, tag);
		seen |= UINT64_C(1) << index;
		int r = get_field(f, p + 8, len, at(obj, f), depth, err);
		if (r < 0)
			return err_wrap(err, "%s", type->name);
		p += 8 + len;
		n -= 8 + len;
	}
	return 0;
}

int record_decode(const struct record *type, const void *bytes, size_t n, void *obj,
		  struct err *err)
{
	memset(obj, 0, type->size);
	int r = decode(type, bytes, n, obj, 0, err);
	if (r < 0)
		record_done(type, obj);
	return r;
}

/* --- releasing, copying, filling --- */

static void list_done(const struct record *type, struct list *list)
{
	for (size_t i = 0; i < list->n; i++)
		record_done(type, (char *)list->items + i * type->size);
	free(list->items);
}

void record_done(const struct record *type, void *obj)
{
	for (size_t i = 0; i < type->n_fields; i++) {
		const struct field *f = &type->fields[i];
		void *p = at(obj, f);
		if (f->type == FIELD_STR)
			free(*(char **)p);
		else if (f->type == FIELD_BYTES)
			free(((struct bytes *)p)->data);
		else if (f->type == FIELD_STRV)
			strv_done(p);
		else if (f->type == FIELD_RECORD)
			record_done(f->sub, p);
		else if (f->type == FIELD_LIST)
			list_done(f->sub, p);
	}
	memset(obj, 0, type->size);
}

int record_copy(const struct record *type, const void *obj, void *to, struct err *err)
{
	AUTO_BUF struct buf b = BUF_INIT;

	record_encode(type, obj, &b);
	int r = buf_check(&b, err);
	return r < 0 ? r : record_decode(type, b.data, b.len, to, err);
}

void *list_add(struct list *list, const struct record *type)
{
	/* Room grows by doubling: at 0 and at each power of two. */
	if ((list->n & (list->n - 1)) == 0) {
		void *items = reallocarray(list->items, list->n ? list->n * 2 : 1, type->size);
		if (!items)
			return NULL;
		list->items = items;
	}
	void *item = (char *)list->items + list->n++ * type->size;
	memset(item, 0, type->size);
	return item;
}

int bytes_set(struct bytes *to, const void *data, size_t n, struct err *err)
{
	if (n == 0)
		return 0;
	to->data = malloc(n);
	if (!to->data)
		return err_set(err, ENOMEM, "out of memory");
	memcpy(to->data, data, n);
	to->len = n;
	return 0;
}
