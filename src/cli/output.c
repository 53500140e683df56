/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/template.h"

enum { COLUMN_GAP = 3, COLUMNS_MAX = 32 };

#define DAY UINT64_C(86400) /* seconds */

/* Bytes of a cell as they may reach a terminal. */
static void clean(struct buf *text)
{
	for (size_t i = 0; i < text->len; i++) {
		unsigned char c = (unsigned char)text->data[i];
		if ((c < ' ' && c != '\t' && c != '\n') || c == 0x7f)
			text->data[i] = '?';
	}
}

/* How wide a cell is: UTF-8 characters. */
static size_t width(const char *s, size_t n)
{
	size_t w = 0;

	for (size_t i = 0; i < n; i++)
		w += ((unsigned char)s[i] & 0xc0) != 0x80;
	return w;
}

/* A cell of a table. */
struct cell {
	const char *text; /* n bytes */
	size_t n;
	size_t col;
	bool last; /* of its line */
};

/* The cell behind c (text NULL: the first) in lines of tab-separated cells; false at the end. */
static bool next_cell(const struct buf *text, struct cell *c)
{
	const char *end = text->data + text->len;
	const char *p = c->text ? c->text + c->n + 1 : text->data;
	size_t n = 0;

	if (p >= end)
		return false;
	while (p + n < end && p[n] != '\t' && p[n] != '\n')
		n++;
	*c = (struct cell){.text = p,
			   .n = n,
			   .col = c->text && !c->last ? c->col + 1 : 0,
			   .last = p + n == end || p[n] == '\n'};
	return true;
}

/* Prints lines of tab-separated cells as aligned columns. */
static void print_aligned(const struct buf *text)
{
	size_t widths[COLUMNS_MAX] = {0};

	for (struct cell c = {NULL}; next_cell(text, &c);) {
		size_t w = width(c.text, c.n);
		if (c.col < COLUMNS_MAX && w > widths[c.col])
			widths[c.col] = w;
	}
	for (struct cell c = {NULL}; next_cell(text, &c);) {
		size_t pad = 0;
		if (!c.last && c.col < COLUMNS_MAX)
			pad = widths[c.col] - width(c.text, c.n) + COLUMN_GAP;
		printf("%.*s%*s", (int)c.n, c.text, (int)pad, "");
		if (c.last)
			(void)putchar('\n');
	}
}

/* The titles of a template: its fields replaced by their columns' names. */
static int template_titles(const struct listing *l, const char *format, struct buf *to,
			   struct err *err)
{
	struct json_object *titles = json_object_new_object();

	for (size_t i = 0; i < l->n; i++)
		json_object_object_add(titles, l->columns[i].key,
				       json_object_new_string(l->columns[i].title));
	int r = template_render(format, titles, to, err);
	json_object_put(titles);
	buf_str(to, "\n");
	return r;
}

static void default_table(const struct listing *l, struct json_object *rows, struct buf *to)
{
	const char *sep = "";

	for (size_t c = 0; c < l->n; c++) {
		if (l->columns[c].extra)
			continue;
		buf_printf(to, "%s%s", sep, l->columns[c].title);
		sep = "\t";
	}
	buf_str(to, "\n");
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		sep = "";
		for (size_t c = 0; c < l->n; c++) {
			if (l->columns[c].extra)
				continue;
			buf_str(to, sep);
			const char *cell = json_object_get_string(
				json_object_object_get(row, l->columns[c].key));
			for (; cell && *cell; cell++)
				buf_add(to, *cell == '\t' || *cell == '\n' ? " " : cell, 1);
			sep = "\t";
		}
		buf_str(to, "\n");
	}
}

static int print_by_template(const struct listing *l, const char *format, struct json_object *rows,
			     struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	const char *rest = format;
	bool table = str_prefix(format, "table ", &rest);
	int r = 0;

	while (table && *rest == ' ')
		rest++;
	if (table)
		r = template_titles(l, rest, &text, err);
	for (size_t i = 0; r == 0 && i < json_object_array_length(rows); i++) {
		r = template_render(rest, json_object_array_get_idx(rows, i), &text, err);
		buf_str(&text, "\n");
	}
	if (r == 0)
		r = buf_check(&text, err);
	if (r < 0)
		return r;
	if (table) {
		clean(&text);
		print_aligned(&text);
	} else {
		(void)fwrite(text.data, 1, text.len, stdout); /* main() judges ferror() */
	}
	return 0;
}

int output_list(const struct listing *listing, const struct list_options *options,
		struct json_object *rows, struct err *err)
{
	const char *format = options->format;
	size_t n = json_object_array_length(rows);

	if (options->quiet) {
		for (size_t i = 0; i < n; i++)
			puts(json_object_get_string(
				json_object_object_get(json_object_array_get_idx(rows, i),
						       listing->quiet_key)));
		return 0;
	}
	if (format && strcmp(format, "json") == 0) {
		for (size_t i = 0; i < n; i++)
			puts(json_object_to_json_string_ext(
				json_object_array_get_idx(rows, i),
				JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
		return 0;
	}
	if (format && *format && strcmp(format, "table") != 0)
		return print_by_template(listing, format, rows, err);
	AUTO_BUF struct buf text = BUF_INIT;
	default_table(listing, rows, &text);
	int r = buf_check(&text, err);
	if (r == 0) {
		clean(&text);
		print_aligned(&text);
	}
	return r;
}

int output_object(struct json_object *object, const char *format, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;

	if (!format || !*format || strcmp(format, "json") == 0) {
		puts(json_object_to_json_string_ext(object,
						    (format && *format ? JSON_C_TO_STRING_PLAIN
								       : JSON_C_TO_STRING_PRETTY) |
							    JSON_C_TO_STRING_NOSLASHESCAPE |
							    JSON_C_TO_STRING_SPACED));
		return 0;
	}
	int r = template_render(format, object, &text, err);
	if (r < 0)
		return r;
	(void)fwrite(text.data, 1, text.len, stdout); /* main() judges ferror() */
	(void)putchar('\n');
	return 0;
}

int filters_check(const struct strv *filters, const char *const *keys, struct err *err)
{
	for (size_t i = 0; i < filters->n; i++) {
		bool known = false;
		size_t n = strcspn(filters->v[i], "=");
		for (const char *const *key = keys; *key && !known; key++)
			known = strlen(*key) == n && strncmp(*key, filters->v[i], n) == 0;
		if (!known || filters->v[i][n] != '=')
			return err_set(err, EINVAL, "--filter: '%s' is not a filter of this list",
				       filters->v[i]);
	}
	return 0;
}

bool filters_match(const struct strv *filters, const char *key,
		   bool (*match)(void *ctx, const char *value), void *ctx)
{
	bool asked = false;

	for (size_t i = 0; i < filters->n; i++) {
		const char *value;
		if (!str_prefix(filters->v[i], key, &value) || *value != '=')
			continue;
		if (match(ctx, value + 1))
			return true;
		asked = true;
	}
	return !asked;
}

void output_span(struct buf *to, uint64_t ns)
{
	static const struct {
		uint64_t s;
		const char *name;
	} units[] = {{365 * DAY, "year"}, {30 * DAY, "month"}, {7 * DAY, "week"}, {DAY, "day"},
		     {3600, "hour"},      {60, "minute"},      {1, "second"}};
	uint64_t s = ns / 1000000000;

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		uint64_t n = s / units[i].s;
		if (n > 1 || (n == 1 && units[i].s < 7 * DAY)) {
			buf_printf(to, "%" PRIu64 " %s%s", n, units[i].name, n == 1 ? "" : "s");
			return;
		}
	}
	buf_str(to, "Less than a second");
}

void output_size(struct buf *to, uint64_t bytes, bool binary)
{
	static const char *const names[] = {"B", "kB", "MB", "GB", "TB", "PB"};
	static const char *const binary_names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	double v = (double)bytes;
	double base = binary ? 1024 : 1000;
	size_t i = 0;

	for (; v >= base && i + 1 < sizeof(names) / sizeof(names[0]); i++)
		v /= base;
	buf_printf(to, "%.4g%s", v, binary ? binary_names[i] : names[i]);
}

void output_time(struct buf *to, uint64_t ns)
{
	time_t s = (time_t)(ns / 1000000000);
	char text[64];
	struct tm tm;

	if (ns == 0) {
		buf_str(to, "0001-01-01T00:00:00Z");
		return;
	}
	(void)gmtime_r(&s, &tm);
	(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	buf_printf(to, "%s.%09" PRIu64 "Z", text, ns % 1000000000);
}
