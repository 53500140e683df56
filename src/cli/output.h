/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What commands print: lists as tables, JSON or by template, single objects, and times and sizes
 * for people. Values come from images and workloads: control characters in tables are replaced.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct buf;
struct err;
struct json_object;

/* The options of every listing: an option_group of list_option_table at their offset. */
struct list_options {
	const char *format;
	struct strv filters;
	bool quiet, no_trunc;
};

struct column {
	const char *title; /* "CONTAINER ID" */
	const char *key; /* of the row's object */
	bool extra; /* only when a template asks for it */
};

struct listing {
	const struct column *columns;
	size_t n;
	const char *quiet_key; /* what -q prints */
};

/* Prints rows (a JSON array of flat objects, borrowed) as the options ask. */
int output_list(const struct listing *listing, const struct list_options *options,
		struct json_object *rows, struct err *err) HULL_MUST_CHECK;

/* Prints one object: format NULL or "json": indented JSON; else by template, and a newline. */
int output_object(struct json_object *object, const char *format, struct err *err) HULL_MUST_CHECK;

/* The row of one workload, image …: value of --filter KEY=VALUE given as "KEY=VALUE"? Splits each
 * filter and refuses keys that are not in the NULL-terminated list. */
int filters_check(const struct strv *filters, const char *const *keys, struct err *err)
	HULL_MUST_CHECK;

/* Whether every filter KEY has one value (of all given for that key) for which match() holds. */
bool filters_match(const struct strv *filters, const char *key,
		   bool (*match)(void *ctx, const char *value), void *ctx);

/* "5 minutes", "2 hours" … for a span; appended. */
void output_span(struct buf *to, uint64_t ns);

/* "1.2MB" as docker prints sizes (powers of 1000); with binary "1.2MiB". */
void output_size(struct buf *to, uint64_t bytes, bool binary);

/* "2026-01-02T03:04:05.123456789Z"; 0 is docker's "0001-01-01T00:00:00Z". */
void output_time(struct buf *to, uint64_t ns);
