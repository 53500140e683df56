/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
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

enum { COMMAND_WIDTH = 20, LABELS_MAX = 1 << 20 };

struct ps_args {
	struct list_options list;
	bool all, latest;
	int64_t last;
};

static const struct option options[] = {
	{"all", 'a', OPTION_FLAG, NULL, "show those that do not run, too",
	 offsetof(struct ps_args, all)},
	{"latest", 'l', OPTION_FLAG, NULL, "show the newest, running or not",
	 offsetof(struct ps_args, latest)},
	{"last", 'n', OPTION_INT, "N", "show the N newest, running or not",
	 offsetof(struct ps_args, last)},
};

static const char *const filter_keys[] = {"id",     "name",     "label",     "status",
					  "exited", "ancestor", "isolation", NULL};

/* --- filters --- */

static bool match_id(void *ctx, const char *value)
{
	const struct workload *w = ctx;

	return str_prefix(w->id, value, NULL);
}

static bool match_name(void *ctx, const char *value)
{
	const struct workload *w = ctx;

	return strstr(w->name, value) != NULL;
}

static bool match_status(void *ctx, const char *value)
{
	return strcmp(workload_state_name(ctx), value) == 0;
}

static bool match_exited(void *ctx, const char *value)
{
	const struct workload *w = ctx;
	char text[16];

	(void)snprintf(text, sizeof(text), "%" PRIu32, w->exit_status);
	return strcmp(workload_state_name(w), "exited") == 0 && strcmp(text, value) == 0;
}

static bool match_ancestor(void *ctx, const char *value)
{
	const struct workload *w = ctx;
	const char *rest;

	return (str_prefix(w->image, value, &rest) && (*rest == '\0' || *rest == ':')) ||
	       (strlen(value) >= WORKLOAD_SHORT_ID && w->manifest &&
		str_prefix(w->manifest, value, NULL));
}

static bool match_isolation(void *ctx, const char *value)
{
	const struct workload *w = ctx;

	return strcmp(w->vm ? "vm" : "container", value) == 0;
}

/* "KEY" or "KEY=VALUE". */
static bool match_label(void *ctx, const char *value)
{
	const struct workload *w = ctx;
	AUTO(auto_json_free) struct json_object *labels = NULL;
	struct err ignored = ERR_INIT; /* no labels */
	const char *have = NULL;
	char key[256];
	size_t n = strcspn(value, "=");

	(void)snprintf(key, sizeof(key), "%.*s", (int)(n < 255 ? n : 255), value);
	return w->labels &&
	       json_parse(w->labels, strlen(w->labels), LABELS_MAX, "labels", &labels, &ignored) ==
		       0 &&
	       json_get_str(labels, key, &have, &ignored) == 1 &&
	       (value[n] == '\0' || strcmp(have, value + n + 1) == 0);
}

static bool matches(const struct list_options *o, struct workload *w)
{
	static const struct {
		const char *key;
		bool (*match)(void *ctx, const char *value);
	} filters[] = {{"id", match_id},
		       {"name", match_name},
		       {"status", match_status},
		       {"exited", match_exited},
		       {"ancestor", match_ancestor},
		       {"isolation", match_isolation},
		       {"label", match_label}};

	for (size_t i = 0; o->filters.n && i < sizeof(filters) / sizeof(filters[0]); i++) {
		if (!filters_match(&o->filters, filters[i].key, filters[i].match, w))
			return false;
	}
	return true;
}

/* --- rows --- */

static const struct column columns[] = {
	{"CONTAINER ID", "ID", false},
	{"IMAGE", "Image", false},
	{"COMMAND", "Command", false},
	{"CREATED", "RunningFor", false},
	{"STATUS", "Status", false},
	{"ISOLATION", "Isolation", false},
	{"PORTS", "Ports", false},
	{"NAMES", "Names", false},
	{"CREATED AT", "CreatedAt", true},
	{"STATE", "State", true},
	{"LABELS", "Labels", true},
	{"NETWORKS", "Networks", true},
	{"SIZE", "Size", true},
	{"MOUNTS", "Mounts", true},
};

static uint64_t wall_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint64_t since(uint64_t now, uint64_t then)
{
	return now > then ? now - then : 0;
}

/* docker's sentence: "Up 5 minutes", "Exited (0) 2 hours ago", "Created". */
static void status_text(const struct workload *w, uint64_t now, struct buf *to)
{
	const char *state = workload_state_name(w);

	if (workload_is_running(w)) {
		buf_str(to, "Up ");
		output_span(to, since(now, w->started_ns ? w->started_ns : w->created_ns));
		buf_str(to, w->state == KEEPER_PAUSED ? " (Paused)" : "");
	} else if (strcmp(state, "created") == 0) {
		buf_str(to, "Created");
	} else {
		buf_printf(to, "%s (%" PRIu32 ") ",
			   w->state == KEEPER_RESTARTING ? "Restarting" : "Exited", w->exit_status);
		output_span(to, since(now, w->finished_ns));
		buf_str(to, " ago");
	}
}

static void label_text(const char *labels, struct buf *to)
{
	struct json_object *parsed = labels ? json_tokener_parse(labels) : NULL;
	const char *sep = "";

	if (json_object_is_type(parsed, json_type_object)) {
		json_object_object_foreach (parsed, key, value) {
			buf_printf(to, "%s%s=%s", sep, key, json_object_get_string(value));
			sep = ",";
		}
	}
	json_object_put(parsed);
}

/* Adds text (taken) to the row. */
static void add(struct json_object *row, const char *key, struct buf *text)
{
	json_object_object_add(row, key,
			       json_object_new_string_len(text->data ? text->data : "",
							  (int)text->len));
	buf_clear(text);
}

static void add_str(struct json_object *row, const char *key, const char *text)
{
	json_object_object_add(row, key, json_object_new_string(text ? text : ""));
}

static struct json_object *make_row(const struct workload *w, bool whole, uint64_t now)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct json_object *row = json_object_new_object();
	size_t cut = strlen(w->command);

	buf_printf(&text, "%.*s", whole ? 64 : WORKLOAD_SHORT_ID, w->id);
	add(row, "ID", &text);
	add_str(row, "Image", w->image);
	if (!whole && cut > COMMAND_WIDTH)
		buf_printf(&text, "\"%.*s…\"", COMMAND_WIDTH - 1, w->command);
	else
		buf_printf(&text, "\"%s\"", w->command);
	add(row, "Command", &text);
	output_time(&text, w->created_ns);
	add(row, "CreatedAt", &text);
	output_span(&text, since(now, w->created_ns));
	buf_str(&text, " ago");
	add(row, "RunningFor", &text);
	status_text(w, now, &text);
	add(row, "Status", &text);
	add_str(row, "State", workload_state_name(w));
	add_str(row, "Isolation", w->vm ? "vm" : "container");
	add_str(row, "Ports", workload_is_running(w) ? w->ports : "");
	add_str(row, "Names", w->name);
	label_text(w->labels, &text);
	add(row, "Labels", &text);
	add_str(row, "Networks", "");
	add_str(row, "Mounts", "");
	add_str(row, "Size", "0B");
	return row;
}

static bool wanted(const struct ps_args *a, struct workload *w)
{
	bool all = a->all || a->latest || a->last > 0;
	bool by_status = false;

	for (size_t i = 0; i < a->list.filters.n; i++)
		by_status |= str_prefix(a->list.filters.v[i], "status=", NULL) ||
			     str_prefix(a->list.filters.v[i], "exited=", NULL);
	return (all || by_status || workload_is_running(w) || w->state == KEEPER_RESTARTING) &&
	       matches(&a->list, w);
}

static int run(struct call *call, struct err *err)
{
	const struct ps_args *a = call->options;
	const struct listing listing = {columns, sizeof(columns) / sizeof(columns[0]), "ID"};
	struct workloads all = {0};
	struct engine *e = NULL;
	size_t max = a->latest ? 1 : a->last > 0 ? (size_t)a->last : SIZE_MAX;

	int r = filters_check(&a->list.filters, filter_keys, err);
	if (r == 0)
		r = call_engine(call, &e, err);
	if (r == 0)
		r = workload_sweep(e, err);
	if (r == 0)
		r = workload_list(e, &all, err);
	if (r < 0)
		return r;
	struct json_object *rows = json_object_new_array();
	uint64_t now = wall_ns();
	for (size_t i = 0; i < all.n && json_object_array_length(rows) < max; i++) {
		if (wanted(a, all.v[i]))
			json_object_array_add(rows, make_row(all.v[i], a->list.no_trunc, now));
	}
	r = output_list(&listing, &a->list, rows, err);
	json_object_put(rows);
	workloads_done(&all);
	return r;
}

const struct command command_ps = {
	.names = {"ps", "container ls", "container ps", "container list"},
	.operands = "",
	.summary = "List workloads",
	.example = "hull ps -a\nhull ps --filter label=tier=web --format '{{.Names}} {{.Status}}'",
	.groups = {OPTION_GROUP(options, 0),
		   OPTION_GROUP(list_option_table, offsetof(struct ps_args, list))},
	.size = sizeof(struct ps_args),
	.run = run,
};
