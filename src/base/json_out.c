/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"

static void quote(struct buf *to, const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t left = strlen(s);

	buf_str(to, "\"");
	while (*p) {
		size_t n = utf8_len(p, left);
		if (n == 0) {
			buf_str(to, "\xef\xbf\xbd");
			n = 1;
		} else if (*p == '"' || *p == '\\') {
			buf_printf(to, "\\%c", *p);
		} else if (*p == '\n' || *p == '\t') {
			buf_str(to, *p == '\n' ? "\\n" : "\\t");
		} else if (*p < 0x20 || *p == 0x7f) {
			buf_printf(to, "\\u%04x", *p);
		} else {
			buf_add(to, p, n);
		}
		p += n;
		left -= n;
	}
	buf_str(to, "\"");
}

static void new_line(struct json_out *out)
{
	if (!out->pretty)
		return;
	buf_str(out->to, "\n");
	for (unsigned i = 0; i < out->depth; i++)
		buf_str(out->to, "    ");
}

/* What stands before a value: comma, line, key. */
static void lead_in(struct json_out *out, const char *key)
{
	if (out->filled)
		buf_str(out->to, ",");
	if (out->depth > 0)
		new_line(out);
	if (key) {
		quote(out->to, key);
		buf_str(out->to, out->pretty ? ": " : ":");
	}
	out->filled = true;
}

static void begin(struct json_out *out, const char *key, const char *bracket)
{
	lead_in(out, key);
	buf_str(out->to, bracket);
	out->depth++;
	out->filled = false;
}

static void end(struct json_out *out, const char *bracket)
{
	assert(out->depth > 0);
	out->depth--;
	if (out->filled)
		new_line(out);
	buf_str(out->to, bracket);
	out->filled = true;
}

void json_begin(struct json_out *out, const char *key)
{
	begin(out, key, "{");
}

void json_end(struct json_out *out)
{
	end(out, "}");
}

void json_begin_array(struct json_out *out, const char *key)
{
	begin(out, key, "[");
}

void json_end_array(struct json_out *out)
{
	end(out, "]");
}

void json_put_str(struct json_out *out, const char *key, const char *s)
{
	lead_in(out, key);
	if (s)
		quote(out->to, s);
	else
		buf_str(out->to, "null");
}

void json_put_int(struct json_out *out, const char *key, int64_t n)
{
	lead_in(out, key);
	buf_printf(out->to, "%" PRId64, n);
}

void json_put_uint(struct json_out *out, const char *key, uint64_t n)
{
	lead_in(out, key);
	buf_printf(out->to, "%" PRIu64, n);
}

void json_put_bool(struct json_out *out, const char *key, bool b)
{
	lead_in(out, key);
	buf_str(out->to, b ? "true" : "false");
}

void json_put_null(struct json_out *out, const char *key)
{
	json_put_str(out, key, NULL);
}

void json_put_strv(struct json_out *out, const char *key, const struct strv *list)
{
	json_begin_array(out, key);
	for (size_t i = 0; i < list->n; i++)
		json_put_str(out, NULL, list->v[i]);
	json_end_array(out);
}

void json_put_map(struct json_out *out, const char *key, const struct strv *assignments)
{
	json_begin(out, key);
	for (size_t i = 0; i < assignments->n; i++) {
		const char *s = assignments->v[i];
		const char *equals = strchrnul(s, '=');
		AUTO_FREE char *name = strndup(s, (size_t)(equals - s));
		if (name)
			json_put_str(out, name, *equals ? equals + 1 : "");
		else
			out->to->bad = true;
	}
	json_end(out);
}

void json_put_time(struct json_out *out, const char *key, uint64_t ns)
{
	time_t seconds = (time_t)(ns / 1000000000U);
	struct tm tm;

	lead_in(out, key);
	if (ns == 0 || !gmtime_r(&seconds, &tm)) {
		buf_str(out->to, "\"0001-01-01T00:00:00Z\"");
		return;
	}
	buf_printf(out->to, "\"%04d-%02d-%02dT%02d:%02d:%02d.%09" PRIu64 "Z\"", tm.tm_year + 1900,
		   tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, ns % 1000000000U);
}

static void put_array(struct json_out *out, const char *key, struct json_object *array)
{
	json_begin_array(out, key);
	for (size_t i = 0; i < json_object_array_length(array); i++)
		json_put_value(out, NULL, json_object_array_get_idx(array, i));
	json_end_array(out);
}

void json_put_value(struct json_out *out, const char *key, struct json_object *value)
{
	if (json_object_is_type(value, json_type_object)) {
		json_begin(out, key);
		json_object_object_foreach (value, name, member)
			json_put_value(out, name, member);
		json_end(out);
	} else if (json_object_is_type(value, json_type_array)) {
		put_array(out, key, value);
	} else if (json_object_is_type(value, json_type_string)) {
		json_put_str(out, key, json_object_get_string(value));
	} else {
		lead_in(out, key);
		buf_str(out->to, json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN));
	}
}
