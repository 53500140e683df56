/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <limits.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/str.h"

/*
 * json-c lets the last of two equal keys win, cuts strings at \u0000 for whoever reads them as C
 * strings, and takes a few things that are no JSON even when told to be strict ('a', NaN, control
 * characters). So the text is looked through first: that counts the members there ought to be, to
 * be compared with the tree, and bounds how many values the parser will make.
 */
struct scan {
	size_t members; /* colons outside strings */
	size_t values; /* commas and opening brackets outside strings */
	bool nul;
	size_t bad; /* 1 + where a byte stands that has no place in JSON; 0: nowhere */
};

static size_t scan_string(const char *text, size_t n, size_t at, struct scan *ret)
{
	for (at++; at < n && text[at] != '"'; at++) {
		if ((unsigned char)text[at] < 0x20 && !ret->bad)
			ret->bad = at + 1;
		if (text[at] != '\\')
			continue;
		at++;
		if (n - at >= 5 && at < n && memcmp(text + at, "u0000", 5) == 0)
			ret->nul = true;
	}
	return at;
}

static void scan_text(const char *text, size_t n, struct scan *ret)
{
	*ret = (struct scan){.nul = memchr(text, '\0', n) != NULL};
	for (size_t i = 0; i < n; i++) {
		switch (text[i]) {
		case '"':
			i = scan_string(text, n, i, ret);
			break;
		case ':':
			ret->members++;
			break;
		case '{':
		case '[':
		case ',':
			ret->values++;
			break;
		default:
			if (!strchr("}] \t\r\n0123456789+-.eEtrufalsn", text[i]) && !ret->bad)
				ret->bad = i + 1;
			break;
		}
	}
}

static size_t count_members(struct json_object *value)
{
	size_t n = 0;

	if (json_object_is_type(value, json_type_object)) {
		json_object_object_foreach (value, key, member) {
			(void)key;
			n += 1 + count_members(member);
		}
	} else if (json_object_is_type(value, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(value); i++)
			n += count_members(json_object_array_get_idx(value, i));
	}
	return n;
}

static int parse_text(const char *text, size_t n, const char *what, struct json_object **ret,
		      struct err *err)
{
	struct json_tokener *tok = json_tokener_new_ex(JSON_DEPTH_MAX);
	if (!tok)
		return err_set(err, ENOMEM, "out of memory");
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	struct json_object *doc = json_tokener_parse_ex(tok, text, (int)n);
	enum json_tokener_error bad = json_tokener_get_error(tok);
	size_t end = json_tokener_get_parse_end(tok);
	if (bad == json_tokener_continue && doc == NULL) {
		/* A number at the very end could go on: a NUL tells the parser that it does not. */
		doc = json_tokener_parse_ex(tok, "", 1);
		bad = json_tokener_get_error(tok);
	}
	json_tokener_free(tok);

	switch (bad) {
	case json_tokener_success:
		*ret = doc;
		return 0;
	case json_tokener_continue:
		return err_set(err, EINVAL, "%s: the JSON ends too early", what);
	case json_tokener_error_depth:
		return err_set(err, EINVAL, "%s: JSON nested deeper than %d", what, JSON_DEPTH_MAX);
	default:
		return err_set(err, EINVAL, "%s: not JSON at byte %zu: %s", what, end,
			       json_tokener_error_desc(bad));
	}
}

int json_parse(const char *text, size_t n, size_t max, const char *what, struct json_object **ret,
	       struct err *err)
{
	struct scan scan;

	if (n > max || n >= INT_MAX)
		return err_set(err, EFBIG, "%s: %zu bytes of JSON, at most %zu", what, n, max);
	if (n == 0)
		return err_set(err, EINVAL, "%s: empty, no JSON", what);
	scan_text(text, n, &scan);
	if (scan.nul)
		return err_set(err, EINVAL, "%s: a string holds a NUL", what);
	if (scan.bad)
		return err_set(err, EINVAL, "%s: not JSON at byte %zu", what, scan.bad - 1);
	if (scan.values > JSON_VALUES_MAX)
		return err_set(err, E2BIG, "%s: more than %d values", what, JSON_VALUES_MAX);

	AUTO(auto_json_free) struct json_object *doc = NULL;
	int r = parse_text(text, n, what, &doc, err);
	if (r < 0)
		return r;
	if (count_members(doc) != scan.members)
		return err_set(err, EINVAL, "%s: an object has the same key twice", what);
	*ret = TAKE_PTR(doc);
	return 0;
}

int json_parse_file(int dirfd, const char *path, size_t max, struct json_object **ret,
		    struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;

	int r = file_read(dirfd, path, max, &text, err);
	if (r < 0)
		return r;
	return json_parse(text.data ? text.data : "", text.len, max, path, ret, err);
}

void json_free(struct json_object *doc)
{
	(void)json_object_put(doc);
}

/* 1 with *ret, 0 absent or null. */
static int get(struct json_object *obj, const char *key, struct json_object **ret, struct err *err)
{
	struct json_object *value = NULL;

	if (!json_is_obj(obj))
		return err_set(err, EINVAL, "%s: asked of something that is no object", key);
	if (!json_object_object_get_ex(obj, key, &value) || !value)
		return 0;
	*ret = value;
	return 1;
}

static int get_typed(struct json_object *obj, const char *key, enum json_type type,
		     struct json_object **ret, struct err *err)
{
	struct json_object *value = NULL;

	int r = get(obj, key, &value, err);
	if (r <= 0)
		return r;
	if (!json_object_is_type(value, type))
		return err_set(err, EINVAL, "%s: %s where %s belongs", key,
			       json_type_to_name(json_object_get_type(value)),
			       json_type_to_name(type));
	*ret = value;
	return 1;
}

int json_get_str(struct json_object *obj, const char *key, const char **ret, struct err *err)
{
	struct json_object *value = NULL;

	int r = get_typed(obj, key, json_type_string, &value, err);
	if (r > 0)
		*ret = json_object_get_string(value);
	return r;
}

int json_get_int(struct json_object *obj, const char *key, int64_t min, int64_t max, int64_t *ret,
		 struct err *err)
{
	struct json_object *value = NULL;

	int r = get_typed(obj, key, json_type_int, &value, err);
	if (r <= 0)
		return r;
	int64_t n = json_object_get_int64(value); /* beyond its range: its end */
	if (n < min || n > max || (n == INT64_MAX && json_object_get_uint64(value) > INT64_MAX))
		return err_set(err, ERANGE, "%s: not between %" PRId64 " and %" PRId64, key, min,
			       max);
	*ret = n;
	return 1;
}

int json_get_uint(struct json_object *obj, const char *key, uint64_t max, uint64_t *ret,
		  struct err *err)
{
	struct json_object *value = NULL;

	int r = get_typed(obj, key, json_type_int, &value, err);
	if (r > 0 && !json_uint(value, max, ret))
		return err_set(err, ERANGE, "%s: not between 0 and %" PRIu64, key, max);
	return r;
}

int json_get_bool(struct json_object *obj, const char *key, bool *ret, struct err *err)
{
	struct json_object *value = NULL;

	int r = get_typed(obj, key, json_type_boolean, &value, err);
	if (r > 0)
		*ret = json_object_get_boolean(value);
	return r;
}

int json_get_obj(struct json_object *obj, const char *key, struct json_object **ret,
		 struct err *err)
{
	return get_typed(obj, key, json_type_object, ret, err);
}

int json_get_array(struct json_object *obj, const char *key, struct json_object **ret,
		   struct err *err)
{
	return get_typed(obj, key, json_type_array, ret, err);
}

int json_get_strv(struct json_object *obj, const char *key, struct strv *ret, struct err *err)
{
	struct json_object *list = NULL;

	int r = json_get_array(obj, key, &list, err);
	if (r <= 0)
		return r;
	for (size_t i = 0; i < json_len(list); i++) {
		const char *s = json_text(json_at(list, i));
		if (!s)
			return err_set(err, EINVAL, "%s: element %zu is not a string", key, i);
		r = strv_add(ret, s, err);
		if (r < 0)
			return r;
	}
	return 1;
}

int json_need(int answer, const char *key, struct err *err)
{
	return answer == 0 ? err_set(err, EINVAL, "%s: missing", key) : answer;
}

bool json_has(struct json_object *obj, const char *key)
{
	return json_object_object_get_ex(obj, key, NULL);
}

bool json_is_array(struct json_object *value)
{
	return json_object_is_type(value, json_type_array);
}

bool json_is_obj(struct json_object *obj)
{
	return json_object_is_type(obj, json_type_object);
}

size_t json_len(struct json_object *array)
{
	return json_object_array_length(array);
}

struct json_object *json_at(struct json_object *array, size_t i)
{
	return json_object_array_get_idx(array, i);
}

const char *json_text(struct json_object *value)
{
	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

bool json_uint(struct json_object *value, uint64_t max, uint64_t *ret)
{
	if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < 0 ||
	    json_object_get_uint64(value) > max)
		return false;
	*ret = json_object_get_uint64(value);
	return true;
}

int json_each(struct json_object *obj, json_member_fn *fn, void *ctx, struct err *err)
{
	if (!json_is_obj(obj))
		return err_set(err, EINVAL, "no object where one belongs");
	json_object_object_foreach (obj, key, value) {
		int r = fn(ctx, key, value, err);
		if (r < 0)
			return r;
	}
	return 0;
}
