/* SPDX-License-Identifier: Apache-2.0 */
/* history, image tree. */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/list_options.h"
#include "cli/output.h"
#include "cli/when.h"
#include "engine/engine.h"
#include "image/image.h"

enum { SHORT_ID = 12, CREATED_BY_WIDTH = 45, DOCUMENT_MAX = 16 << 20 };

static const struct column columns[] = {
	{"IMAGE", "ID", false},
	{"CREATED", "CreatedSince", false},
	{"CREATED BY", "CreatedBy", false},
	{"SIZE", "Size", false},
	{"COMMENT", "Comment", false},
	{"CREATED AT", "CreatedAt", true},
};

static uint64_t file_size(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void add_text(struct json_object *row, const char *key, struct buf *text)
{
	json_object_object_add(row, key, json_object_new_string(text->data ? text->data : ""));
	buf_clear(text);
}

/* One step of an image's making, as its history tells. */
struct step {
	const char *created, *created_by, *comment;
	bool empty; /* it made no layer */
};

static int parse_step(struct json_object *obj, struct step *ret, struct err *err)
{
	*ret = (struct step){"", "", "", false};
	if (!json_is_obj(obj))
		return err_set(err, EINVAL, "history: not an object");
	int r = json_get_str(obj, "created", &ret->created, err);
	if (r >= 0)
		r = json_get_str(obj, "created_by", &ret->created_by, err);
	if (r >= 0)
		r = json_get_str(obj, "comment", &ret->comment, err);
	if (r >= 0)
		r = json_get_bool(obj, "empty_layer", &ret->empty, err);
	return r < 0 ? r : 0;
}

static void add_times(struct json_object *row, const char *created)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct err ignored = ERR_INIT; /* no time said, or none that can be read */
	struct timespec at = {0}, now;

	if (*created == '\0' || parse_when(created, "created", &at, &ignored) < 0)
		at = (struct timespec){0};
	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (at.tv_sec > 0) {
		output_span(&text, (uint64_t)(now.tv_sec > at.tv_sec ? now.tv_sec - at.tv_sec : 0) *
					   1000000000U);
		buf_str(&text, " ago");
	} else {
		buf_str(&text, "N/A");
	}
	add_text(row, "CreatedSince", &text);
	buf_str(&text, created);
	add_text(row, "CreatedAt", &text);
}

/* The row of one step; size NULL when it made no layer. */
static struct json_object *make_row(const struct step *step, const char *id, uint64_t size,
				    const struct list_options *o)
{
	struct json_object *row = json_object_new_object();
	AUTO_BUF struct buf text = BUF_INIT;
	bool cut = !o->no_trunc && strlen(step->created_by) > CREATED_BY_WIDTH;

	if (id)
		buf_printf(&text, "%s%.*s", o->no_trunc ? "sha256:" : "",
			   o->no_trunc ? 64 : SHORT_ID, id);
	else
		buf_str(&text, "<missing>");
	add_text(row, "ID", &text);
	add_times(row, step->created);
	buf_printf(&text, "%.*s%s", cut ? CREATED_BY_WIDTH - 1 : (int)strlen(step->created_by),
		   step->created_by, cut ? "…" : "");
	add_text(row, "CreatedBy", &text);
	output_size(&text, size, false);
	add_text(row, "Size", &text);
	buf_str(&text, step->comment);
	add_text(row, "Comment", &text);
	return row;
}

/* Steps newest first; layers that no step speaks of are told by themselves. */
static int list_steps(const struct image *image, const struct list_options *o,
		      struct json_object *rows, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	struct json_object *history = NULL;
	size_t layer = image->layers.n;
	const char *id = image->id;
	const char *json = image->json ? image->json : "";

	int r = json_parse(json, strlen(json), DOCUMENT_MAX, "image config", &doc, err);
	if (r == 0)
		r = json_get_array(doc, "history", &history, err);
	for (size_t i = r > 0 ? json_len(history) : 0; r >= 0 && i-- > 0;) {
		struct step step;
		uint64_t size = 0;
		r = parse_step(json_at(history, i), &step, err);
		if (r < 0)
			return r;
		if (!step.empty && layer > 0)
			size = file_size(image->layers.v[--layer]);
		json_object_array_add(rows, make_row(&step, id, size, o));
		id = NULL;
	}
	for (; r >= 0 && layer > 0; id = NULL) {
		const struct step unknown = {"", "", "", false};
		uint64_t size = file_size(image->layers.v[--layer]);
		json_object_array_add(rows, make_row(&unknown, id, size, o));
	}
	return r < 0 ? r : 0;
}

static int history(struct call *call, struct err *err)
{
	const struct list_options *o = call->options;
	const struct listing listing = {columns, sizeof(columns) / sizeof(columns[0]), "ID"};
	static const char *const no_filters[] = {NULL};
	AUTO_IMAGE struct image image = {0};
	struct engine *e = NULL;

	int r = filters_check(&o->filters, no_filters, err);
	if (r == 0)
		r = call_engine(call, &e, err);
	if (r == 0)
		r = image_find(engine_store(e), call->operands[0], &image, err);
	if (r < 0)
		return r;
	AUTO(auto_json_free) struct json_object *rows = json_object_new_array();
	r = list_steps(&image, o, rows, err);
	return r < 0 ? r : output_list(&listing, o, rows, err);
}

/* --- tree --- */

/* Names of images whose top layer is one that is looked for. */
struct tops {
	const struct store *store;
	const char *key;
	struct buf text;
	char seen[65]; /* id that was looked at last: an image comes once for each name */
};

static int add_top(void *ctx, const struct image_row *row, struct err *err)
{
	struct tops *t = ctx;
	AUTO_IMAGE struct image image = {0};

	if (strcmp(t->seen, row->id) == 0)
		return 0;
	(void)snprintf(t->seen, sizeof(t->seen), "%s", row->id);
	int r = image_find(t->store, row->id, &image, err);
	if (r < 0)
		return r;
	size_t n = image.layer_keys.n;
	if (n == 0 || strcmp(image.layer_keys.v[n - 1], t->key) != 0)
		return 0;
	for (size_t i = 0; i < image.names.n; i++)
		buf_printf(&t->text, "%s%s", t->text.len ? ", " : "", image.names.v[i]);
	if (image.names.n == 0)
		buf_printf(&t->text, "%s%.12s", t->text.len ? ", " : "", image.id);
	return 0;
}

static int print_layer(const struct store *store, const struct image *image, size_t i,
		       struct err *err)
{
	struct tops tops = {.store = store, .key = image->layer_keys.v[i], .text = BUF_INIT};
	AUTO_BUF struct buf line = BUF_INIT;
	bool last = i + 1 == image->layers.n;

	int r = image_list(store, NULL, add_top, &tops, err);
	buf_printf(&line, "%s ID: %.12s Size: ", last ? "└──" : "├──", image->diff_ids.v[i]);
	output_size(&line, file_size(image->layers.v[i]), false);
	if (tops.text.len)
		buf_printf(&line, " Top layer of: %s", tops.text.data);
	if (r == 0)
		r = buf_check(&line, err);
	if (r == 0)
		puts(line.data);
	buf_done(&tops.text);
	return r;
}

static int tree(struct call *call, struct err *err)
{
	AUTO_IMAGE struct image image = {0};
	AUTO_BUF struct buf head = BUF_INIT;
	struct engine *e = NULL;

	int r = call_engine(call, &e, err);
	if (r == 0)
		r = image_find(engine_store(e), call->operands[0], &image, err);
	if (r < 0)
		return r;
	buf_printf(&head, "Image ID: %.12s\nTags: ", image.id);
	for (size_t i = 0; i < image.names.n; i++)
		buf_printf(&head, "%s%s", i ? ", " : "", image.names.v[i]);
	buf_str(&head, "\nSize: ");
	output_size(&head, image.size, false);
	buf_str(&head, "\nImage layers");
	r = buf_check(&head, err);
	if (r == 0)
		puts(head.data);
	for (size_t i = 0; r == 0 && i < image.layers.n; i++)
		r = print_layer(engine_store(e), &image, i, err);
	return r;
}

const struct command command_history = {
	.names = {"history", "image history"},
	.operands = "IMAGE",
	.summary = "Show how an image was made, step by step",
	.example = "hull history --no-trunc web",
	.groups = {OPTION_GROUP(list_option_table, 0)},
	.size = sizeof(struct list_options),
	.min = 1,
	.max = 1,
	.run = history,
};

const struct command command_image_tree = {
	.names = {"image tree"},
	.operands = "IMAGE",
	.summary = "Show the layers of an image, and which images end with each",
	.example = "hull image tree web",
	.min = 1,
	.max = 1,
	.run = tree,
};
