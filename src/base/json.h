/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON from outside, and JSON of our own. Reading gives json-c's tree, judged strictly: bounded in
 * size, depth and number of values, no NUL in strings, no duplicate keys, nothing behind the end,
 * UTF-8 only. The getters name the key when a value has the wrong type; null counts as absent.
 * Writing goes straight to text in a struct buf, without a tree.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct buf;
struct err;
struct json_object; /* json-c's */
struct strv;

enum { JSON_DEPTH_MAX = 32, JSON_VALUES_MAX = 200000 };

/*
 * Parses exactly n bytes, at most max of them (EFBIG). `what` names the document in errors. The
 * caller frees *ret with json_free(); what the getters hand out is borrowed from it.
 */
int json_parse(const char *text, size_t n, size_t max, const char *what, struct json_object **ret,
	       struct err *err) HULL_MUST_CHECK;

/* Likewise, of the regular file `path` below dirfd. */
int json_parse_file(int dirfd, const char *path, size_t max, struct json_object **ret,
		    struct err *err) HULL_MUST_CHECK;

/* Lets go of a parsed document; NULL is fine. */
void json_free(struct json_object *doc);

/*
 * Getters: member `key` of obj. Each answers 1 and sets *ret, or 0 when it is absent (then *ret
 * keeps its value), or fails with EINVAL naming the key. obj itself must be an object.
 */
int json_get_str(struct json_object *obj, const char *key, const char **ret, struct err *err)
	HULL_MUST_CHECK;
int json_get_int(struct json_object *obj, const char *key, int64_t min, int64_t max, int64_t *ret,
		 struct err *err) HULL_MUST_CHECK;
int json_get_uint(struct json_object *obj, const char *key, uint64_t max, uint64_t *ret,
		  struct err *err) HULL_MUST_CHECK;
int json_get_bool(struct json_object *obj, const char *key, bool *ret, struct err *err)
	HULL_MUST_CHECK;
int json_get_obj(struct json_object *obj, const char *key, struct json_object **ret,
		 struct err *err) HULL_MUST_CHECK;
int json_get_array(struct json_object *obj, const char *key, struct json_object **ret,
		   struct err *err) HULL_MUST_CHECK;

/* A list of strings, appended to *ret. */
int json_get_strv(struct json_object *obj, const char *key, struct strv *ret, struct err *err)
	HULL_MUST_CHECK;

/* Turns the answer 0 of a getter into the error "KEY: missing"; hands on the others. */
int json_need(int answer, const char *key, struct err *err) HULL_MUST_CHECK;

/* Whether the object has the member at all, be it null. */
bool json_has(struct json_object *obj, const char *key);

/* Whether a value is an object, or an array; for what stands in arrays and at the top. */
bool json_is_obj(struct json_object *obj);
bool json_is_array(struct json_object *value);

/* Number of elements of an array, and one of them, borrowed. */
size_t json_len(struct json_object *array);
struct json_object *json_at(struct json_object *array, size_t i);

/* The string that `value` is, borrowed, or NULL when it is none. */
const char *json_text(struct json_object *value);

/* Whether `value` is a whole number from 0 to max, which is then in *ret. */
bool json_uint(struct json_object *value, uint64_t max, uint64_t *ret);

/* Called for each member of an object, in order; a negative answer ends json_each() with it. */
typedef int json_member_fn(void *ctx, const char *key, struct json_object *value, struct err *err);
int json_each(struct json_object *obj, json_member_fn *fn, void *ctx, struct err *err)
	HULL_MUST_CHECK;

/*
 * Writes a document to `to`, member by member; memory running out is told by buf_check(). key is
 * NULL for the outermost value and for the elements of arrays. Bytes that are no UTF-8 become
 * U+FFFD.
 */
struct json_out {
	struct buf *to; /* borrowed */
	bool pretty; /* one member per line, indented */
	unsigned depth;
	bool filled; /* the present object or array has members */
};

#define JSON_OUT(buf_, pretty_) ((struct json_out){.to = (buf_), .pretty = (pretty_)})

void json_begin(struct json_out *out, const char *key); /* an object */
void json_end(struct json_out *out);
void json_begin_array(struct json_out *out, const char *key);
void json_end_array(struct json_out *out);
void json_put_str(struct json_out *out, const char *key, const char *s); /* NULL: null */
void json_put_int(struct json_out *out, const char *key, int64_t n);
void json_put_uint(struct json_out *out, const char *key, uint64_t n);
void json_put_bool(struct json_out *out, const char *key, bool b);
void json_put_null(struct json_out *out, const char *key);
/* A list of strings; "KEY=VALUE" strings as an object with json_put_map(). */
void json_put_strv(struct json_out *out, const char *key, const struct strv *list);
void json_put_map(struct json_out *out, const char *key, const struct strv *assignments);
/* Nanoseconds since the epoch as RFC 3339 in UTC; 0: "0001-01-01T00:00:00Z". */
void json_put_time(struct json_out *out, const char *key, uint64_t ns);
/* A value of a parsed document (NULL: null), or the text of a whole document. */
void json_put_value(struct json_out *out, const char *key, struct json_object *value);

DEFINE_AUTO(struct json_object, json_free)
