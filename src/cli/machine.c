/* SPDX-License-Identifier: Apache-2.0 */
/* machine ls, inspect, console: the machines that workloads with a kernel of their own run in. */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/each.h"
#include "cli/list_options.h"
#include "cli/output.h"
#include "engine/engine.h"

/* --- ls --- */

static int add_row(struct engine *e, const struct workload *w, struct json_object *rows,
		   struct err *err)
{
	struct machine_facts m;
	char id[WORKLOAD_SHORT_ID + 1];
	AUTO_BUF struct buf memory = BUF_INIT;

	int r = workload_machine(e, w, &m, err);
	if (r < 0)
		return r;
	struct json_object *row = json_object_new_object();
	(void)snprintf(id, sizeof(id), "%s", w->id);
	json_object_object_add(row, "ID", json_object_new_string(id));
	json_object_object_add(row, "Name", json_object_new_string(w->name));
	json_object_object_add(row, "State", json_object_new_string(workload_state_name(w)));
	json_object_object_add(row, "Driver", json_object_new_string(m.driver));
	output_size(&memory, m.memory, true);
	json_object_object_add(row, "Memory",
			       json_object_new_string(memory.data ? memory.data : ""));
	json_object_object_add(row, "Cpus", json_object_new_int64(m.cpus));
	json_object_array_add(rows, row);
	return 0;
}

static int ls(struct call *call, struct err *err)
{
	static const struct column columns[] = {
		{"MACHINE ID", "ID", false}, {"NAME", "Name", false},     {"STATE", "State", false},
		{"DRIVER", "Driver", false}, {"MEMORY", "Memory", false}, {"CPUS", "Cpus", false},
	};
	static const char *const no_filters[] = {NULL};
	const struct listing listing = {columns, sizeof(columns) / sizeof(columns[0]), "ID"};
	const struct list_options *o = call->options;
	struct workloads all = {0};
	struct engine *e = NULL;

	int r = filters_check(&o->filters, no_filters, err);
	if (r == 0)
		r = call_engine(call, &e, err);
	if (r == 0)
		r = workload_list(e, &all, err);
	if (r < 0)
		return r;
	struct json_object *rows = json_object_new_array();
	for (size_t i = 0; i < all.n; i++) {
		struct err gone = ERR_INIT; /* removed meanwhile: it is listed no more */
		if (all.v[i]->vm)
			(void)!add_row(e, all.v[i], rows, &gone);
	}
	r = output_list(&listing, o, rows, err);
	json_object_put(rows);
	workloads_done(&all);
	return r;
}

/* --- inspect --- */

struct inspect_args {
	const char *format;
};

static const struct option inspect_options[] = {
	{"format", 'f', OPTION_STRING, "FORMAT", "json, or a template like {{.Boot.AgentHelloUs}}",
	 offsetof(struct inspect_args, format)},
};

static int inspect_one(struct call *call, struct engine *e, struct workload *w, struct err *err)
{
	enum { DOCUMENT_MAX = 1 << 20 };
	const struct inspect_args *a = call->options;
	AUTO(auto_json_free) struct json_object *document = NULL;
	AUTO_BUF struct buf text = BUF_INIT;

	int r = workload_machine_inspect(e, w, &text, err);
	if (r == 0)
		r = json_parse(text.data, text.len, DOCUMENT_MAX, "inspect", &document, err);
	return r < 0 ? r : output_object(document, a->format, err);
}

static int inspect(struct call *call, struct err *err)
{
	return each_workload(call, inspect_one, true, err);
}

/* --- console --- */

struct console_args {
	bool follow;
};

static const struct option console_options[] = {
	{"follow", 'f', OPTION_FLAG, NULL, "go on as more is written",
	 offsetof(struct console_args, follow)},
};

static int print_line(void *ctx, const struct log_entry *entry, struct err *err)
{
	(void)ctx;
	return write_all(STDOUT_FILENO, entry->text, entry->len, "standard output", err);
}

static int console(struct call *call, struct err *err)
{
	const struct console_args *a = call->options;
	const struct log_query q = {.follow = a->follow,
				    .streams = 1U << LOG_KERNEL,
				    .entry = print_line};
	struct engine *e = NULL;
	AUTO(auto_workload_free) struct workload *w = NULL;

	int r = first_workload(call, &e, &w, err);
	if (r == 0 && !w->vm)
		r = err_set(err, EINVAL, "'%s' is a container, no machine", w->name);
	if (r == 0)
		r = workload_logs(e, w, &q, err);
	return r == -EPIPE ? 0 : r;
}

const struct command command_machine_ls = {
	.names = {"machine ls", "machine list"},
	.operands = "",
	.summary = "List the machines",
	.example = "hull machine ls",
	.groups = {OPTION_GROUP(list_option_table, 0)},
	.size = sizeof(struct list_options),
	.run = ls,
};

const struct command command_machine_inspect = {
	.names = {"machine inspect"},
	.operands = "WORKLOAD...",
	.summary = "Show what machines are made of, and how they came up",
	.example = "hull machine inspect --format '{{.Driver}} {{.Boot.AgentHelloUs}}' web",
	.groups = {OPTION_GROUP(inspect_options, 0)},
	.size = sizeof(struct inspect_args),
	.min = 1,
	.max = OPERANDS_ANY,
	.run = inspect,
};

const struct command command_machine_console = {
	.names = {"machine console"},
	.operands = "WORKLOAD",
	.summary = "Show what a machine's kernel wrote to its serial console",
	.example = "hull machine console -f web",
	.groups = {OPTION_GROUP(console_options, 0)},
	.size = sizeof(struct console_args),
	.min = 1,
	.max = 1,
	.run = console,
};
