/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/doc.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "spec/spec.h"

int doc_in(struct err *err, const char *fmt, ...)
{
	char field[ERR_MSG_MAX];
	char rest[ERR_MSG_MAX];
	va_list args;

	if (err->code == ENOMEM)
		return -ENOMEM;
	va_start(args, fmt);
	(void)vsnprintf(field, sizeof(field), fmt, args);
	va_end(args);
	memcpy(rest, err->msg, sizeof(rest));
	(void)snprintf(err->msg, sizeof(err->msg), "%.200s%s%.300s", field,
		       rest[0] == '[' ? "" : ".", rest);
	return -err->code;
}

static void clean(char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
	}
}

int doc_fail(struct err *err)
{
	clean(err->msg);
	return -err->code;
}

void doc_say(const struct spec_config *config, const char *fmt, ...)
{
	char line[ERR_MSG_MAX];
	va_list args;

	if (!config->say)
		return;
	va_start(args, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	clean(line);
	config->say(config->ctx, line);
}

int doc_text(struct json_object *obj, const char *key, char **ret, struct err *err)
{
	const char *s = NULL;

	int r = json_get_str(obj, key, &s, err);
	if (r <= 0 || !*s)
		return r < 0 ? r : 0;
	char *copy = strdup(s);
	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	free(*ret);
	*ret = copy;
	return 1;
}

int doc_path(struct json_object *obj, const char *key, char **ret, struct err *err)
{
	AUTO_FREE char *path = NULL;

	int r = doc_text(obj, key, &path, err);
	if (r <= 0)
		return r;
	if (path[0] != '/')
		return err_set(err, EINVAL, "%s: must be absolute", key);
	free(*ret);
	*ret = TAKE_PTR(path);
	return 1;
}

/* Takes a number of at most nine digits off the front of *text. */
static bool take_number(const char **text, unsigned long *ret)
{
	size_t n = strspn(*text, "0123456789");

	if (n == 0 || n > 9)
		return false;
	*ret = strtoul(*text, NULL, 10);
	*text += n;
	return true;
}

/* "N" or "N-M", joined by commas. */
static bool is_cpus(const char *text)
{
	for (;; text++) {
		unsigned long first = 0;
		unsigned long last = 0;
		if (!take_number(&text, &first))
			return false;
		if (*text == '-') {
			text++;
			if (!take_number(&text, &last) || last < first)
				return false;
		}
		if (*text != ',')
			return *text == '\0';
	}
}

static int get_cpus(struct json_object *obj, const char *key, char **ret, struct err *err)
{
	AUTO_FREE char *list = NULL;

	int r = doc_text(obj, key, &list, err);
	if (r <= 0)
		return r;
	if (!is_cpus(list))
		return err_set(err, EINVAL, "%s: '%.60s' is no list of numbers like 0-3,7", key,
			       list);
	free(*ret);
	*ret = TAKE_PTR(list);
	return 1;
}

int doc_u32(struct json_object *obj, const char *key, uint32_t max, uint32_t *ret, struct err *err)
{
	uint64_t n = 0;

	int r = json_get_uint(obj, key, max, &n, err);
	if (r > 0)
		*ret = (uint32_t)n;
	return r;
}

static int get_limit(struct json_object *obj, const char *key, uint64_t *ret, struct err *err)
{
	int64_t n = 0;

	int r = json_get_int(obj, key, -1, INT64_MAX, &n, err);
	if (r > 0)
		*ret = n < 0 ? UINT64_MAX : (uint64_t)n;
	return r;
}

static int read_field(struct json_object *obj, const struct doc_field *f, void *to, struct err *err)
{
	switch (f->kind) {
	case DOC_TEXT:
		return doc_text(obj, f->key, to, err);
	case DOC_PATH:
		return doc_path(obj, f->key, to, err);
	case DOC_CPUS:
		return get_cpus(obj, f->key, to, err);
	case DOC_BOOL:
		return json_get_bool(obj, f->key, to, err);
	case DOC_U32:
		return doc_u32(obj, f->key, f->max ? (uint32_t)f->max : UINT32_MAX, to, err);
	case DOC_U64:
		return json_get_uint(obj, f->key, f->max ? f->max : UINT64_MAX, to, err);
	case DOC_LIMIT:
		return get_limit(obj, f->key, to, err);
	}
	return 0;
}

int doc_fields(struct json_object *obj, const struct doc_field *fields, size_t n, void *to,
	       struct err *err)
{
	char *base = to;

	for (size_t i = 0; i < n; i++) {
		int r = read_field(obj, &fields[i], base + fields[i].at, err);
		if (r < 0)
			return r;
		if (r > 0 && fields[i].has)
			*(bool *)(base + fields[i].has) = true;
	}
	return 0;
}

static const struct doc_word *find_word(const char *name, const struct doc_word *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(words[i].name, name) == 0)
			return &words[i];
	}
	return NULL;
}

int doc_word(struct json_object *obj, const char *key, const struct doc_word *words, size_t n,
	     uint64_t *ret, struct err *err)
{
	const char *name = NULL;

	int r = json_get_str(obj, key, &name, err);
	if (r <= 0 || !*name)
		return r < 0 ? r : 0;
	const struct doc_word *word = find_word(name, words, n);
	if (!word)
		return err_set(err, EINVAL, "%s: '%.60s' is not known", key, name);
	*ret = word->value;
	return 1;
}

int doc_bits(struct json_object *obj, const char *key, const struct doc_word *words, size_t n,
	     uint64_t *ret, struct err *err)
{
	AUTO_STRV struct strv names = {0};

	int r = json_get_strv(obj, key, &names, err);
	for (size_t i = 0; r >= 0 && i < names.n; i++) {
		const struct doc_word *word = find_word(names.v[i], words, n);
		if (!word)
			return err_set(err, EINVAL, "%s: '%.60s' is not known", key, names.v[i]);
		*ret |= word->value;
	}
	return r < 0 ? r : 0;
}

int doc_object(struct json_object *obj, const char *key, doc_fn *fn, void *ctx, struct err *err)
{
	struct json_object *member = NULL;

	int r = json_get_obj(obj, key, &member, err);
	if (r <= 0)
		return r;
	return fn(ctx, member, err) < 0 ? doc_in(err, "%s", key) : 0;
}

int doc_list(struct json_object *obj, const char *key, doc_fn *fn, void *ctx, struct err *err)
{
	struct json_object *list = NULL;

	int r = json_get_array(obj, key, &list, err);
	if (r <= 0)
		return r;
	for (size_t i = 0; i < json_len(list); i++) {
		struct json_object *item = json_at(list, i);
		if (!json_is_obj(item))
			return err_set(err, EINVAL, "%s[%zu]: must be an object", key, i);
		if (fn(ctx, item, err) < 0)
			return doc_in(err, "%s[%zu]", key, i);
	}
	return 0;
}

struct map {
	const char *key;
	doc_text_fn *fn;
	void *ctx;
};

static int read_member(void *ctx, const char *name, struct json_object *value, struct err *err)
{
	const struct map *map = ctx;
	const char *text = json_text(value);

	if (!*name)
		return err_set(err, EINVAL, "%s: a key is empty", map->key);
	if (!text)
		return err_set(err, EINVAL, "%s.%.60s: must be a string", map->key, name);
	return map->fn(map->ctx, name, text, err) < 0 ? doc_in(err, "%s", map->key) : 0;
}

int doc_map(struct json_object *obj, const char *key, doc_text_fn *fn, void *ctx, struct err *err)
{
	struct json_object *members = NULL;
	struct map map = {key, fn, ctx};

	int r = json_get_obj(obj, key, &members, err);
	return r > 0 ? json_each(members, read_member, &map, err) : r;
}

int doc_parts(struct json_object *obj, const struct doc_part *parts, size_t n, void *ctx,
	      struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		int r = parts[i].list ? doc_list(obj, parts[i].key, parts[i].fn, ctx, err)
				      : doc_object(obj, parts[i].key, parts[i].fn, ctx, err);
		if (r < 0)
			return r;
	}
	return 0;
}
