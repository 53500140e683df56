/* SPDX-License-Identifier: Apache-2.0 */
/* images. */
#include <errno.h>
#include <fnmatch.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/list_options.h"
#include "cli/output.h"
#include "engine/engine.h"
#include "image/image.h"

enum { SHORT_ID = 12 };

static const struct column columns[] = {
	{"REPOSITORY", "Repository", false},
	{"TAG", "Tag", false},
	{"IMAGE ID", "ID", false},
	{"CREATED", "CreatedSince", false},
	{"SIZE", "Size", false},
	{"CREATED AT", "CreatedAt", true},
	{"PLATFORM", "Platform", true},
	{"CONTAINERS", "Containers", true},
};

static const char *const filter_keys[] = {"dangling", "reference", NULL};

/* A listing being made. */
struct lines {
	const struct list_options *options;
	struct json_object *rows;
	uint64_t now_ns;
	const struct image_row *row; /* the one being judged */
};

static bool match_dangling(void *ctx, const char *value)
{
	const struct lines *lines = ctx;

	return (lines->row->name == NULL) == (strcmp(value, "true") == 0);
}

static bool match_reference(void *ctx, const char *value)
{
	const struct lines *lines = ctx;
	const char *name = lines->row->name;
	size_t n = name ? (size_t)(strrchr(name, ':') - name) : 0;
	AUTO_FREE char *repository = name ? strndup(name, n) : NULL;

	return repository && (fnmatch(value, name, 0) == 0 || fnmatch(value, repository, 0) == 0);
}

static void add_text(struct json_object *row, const char *key, struct buf *text)
{
	json_object_object_add(row, key, json_object_new_string(text->data ? text->data : ""));
	buf_clear(text);
}

static int add_row(void *ctx, const struct image_row *image, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct lines *lines = ctx;
	bool whole = lines->options->no_trunc;
	const char *colon = image->name ? strrchr(image->name, ':') : NULL;

	lines->row = image;
	if (!filters_match(&lines->options->filters, "dangling", match_dangling, lines) ||
	    !filters_match(&lines->options->filters, "reference", match_reference, lines))
		return 0;
	struct json_object *row = json_object_new_object();
	uint64_t created = image->created_ns ? image->created_ns : image->imported_ns;
	buf_printf(&text, "%.*s", colon ? (int)(colon - image->name) : 6,
		   colon ? image->name : "<none>");
	add_text(row, "Repository", &text);
	buf_str(&text, colon ? colon + 1 : "<none>");
	add_text(row, "Tag", &text);
	buf_printf(&text, "%s%.*s", whole ? "sha256:" : "", whole ? 64 : SHORT_ID, image->id);
	add_text(row, "ID", &text);
	output_span(&text, lines->now_ns > created ? lines->now_ns - created : 0);
	buf_str(&text, " ago");
	add_text(row, "CreatedSince", &text);
	output_size(&text, image->size, false);
	add_text(row, "Size", &text);
	output_time(&text, created);
	add_text(row, "CreatedAt", &text);
	buf_printf(&text, "%s/%s", image->os, image->architecture);
	add_text(row, "Platform", &text);
	buf_printf(&text, "%u", image->workloads);
	add_text(row, "Containers", &text);
	json_object_array_add(lines->rows, row);
	return buf_check(&text, err);
}

/* "web" stands for all its tags, "web:1*" for what matches. */
static int list(struct call *call, struct lines *lines, struct err *err)
{
	const char *wanted = call->n ? call->operands[0] : NULL;
	const char *slash = wanted ? strrchr(wanted, '/') : NULL;
	AUTO_BUF struct buf all_tags = BUF_INIT;
	struct engine *e = NULL;

	if (wanted && !strchr(slash ? slash : wanted, ':')) {
		buf_printf(&all_tags, "%s:*", wanted);
		wanted = all_tags.data;
	}
	int r = buf_check(&all_tags, err);
	if (r == 0)
		r = call_engine(call, &e, err);
	return r < 0 ? r : image_list(engine_store(e), wanted, add_row, lines, err);
}

static int run(struct call *call, struct err *err)
{
	const struct list_options *options = call->options;
	const struct listing listing = {columns, sizeof(columns) / sizeof(columns[0]), "ID"};
	struct timespec now;

	int r = filters_check(&options->filters, filter_keys, err);
	if (r < 0)
		return r;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	AUTO(auto_json_free) struct json_object *rows = json_object_new_array();
	struct lines lines = {
		.options = options,
		.rows = rows,
		.now_ns = (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec,
	};
	r = list(call, &lines, err);
	return r < 0 ? r : output_list(&listing, options, rows, err);
}

const struct command command_images = {
	.names = {"images", "image ls", "image list"},
	.operands = "[NAME[:TAG]]",
	.summary = "List images",
	.example = "hull images --filter reference='web*' --format '{{.Repository}} {{.Size}}'",
	.groups = {OPTION_GROUP(list_option_table, 0)},
	.size = sizeof(struct list_options),
	.max = 1,
	.run = run,
};
