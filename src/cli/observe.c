/* SPDX-License-Identifier: Apache-2.0 */
/* top, stats, events. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/each.h"
#include "cli/list_options.h"
#include "cli/output.h"
#include "cli/when.h"
#include "engine/engine.h"

static void add(struct json_object *row, const char *key, struct buf *text)
{
	json_object_object_add(row, key,
			       json_object_new_string_len(text->data ? text->data : "",
							  (int)text->len));
	buf_clear(text);
}

/* --- top --- */

static struct json_object *process_row(const struct process_info *p)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct json_object *row = json_object_new_object();
	time_t start = (time_t)(p->start_ms / 1000);
	uint64_t s = p->cpu_ms / 1000;
	char clock[16] = "";
	struct tm tm;

	buf_printf(&text, "%" PRIu32, p->uid);
	add(row, "UID", &text);
	buf_printf(&text, "%" PRIu32, p->pid);
	add(row, "PID", &text);
	buf_printf(&text, "%" PRIu32, p->ppid);
	add(row, "PPID", &text);
	if (localtime_r(&start, &tm))
		(void)strftime(clock, sizeof(clock), "%H:%M", &tm);
	buf_str(&text, clock);
	add(row, "STIME", &text);
	buf_str(&text, p->tty ? p->tty : "?");
	add(row, "TTY", &text);
	buf_printf(&text, "%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64, s / 3600, s / 60 % 60, s % 60);
	add(row, "TIME", &text);
	buf_str(&text, p->command ? p->command : "");
	add(row, "CMD", &text);
	return row;
}

static int top(struct call *call, struct err *err)
{
	static const struct column columns[] = {{"UID", "UID", false},   {"PID", "PID", false},
						{"PPID", "PPID", false}, {"STIME", "STIME", false},
						{"TTY", "TTY", false},   {"TIME", "TIME", false},
						{"CMD", "CMD", false}};
	const struct listing listing = {columns, sizeof(columns) / sizeof(columns[0]), "PID"};
	const struct list_options plain = {.format = NULL};
	struct isolation_top processes = {0};
	struct engine *e = NULL;
	AUTO(auto_workload_free) struct workload *w = NULL;

	int r = first_workload(call, &e, &w, err);
	if (r == 0)
		r = workload_top(e, w, &processes, err);
	if (r < 0)
		return r;
	const struct process_info *p = processes.processes.items;
	struct json_object *rows = json_object_new_array();
	for (size_t i = 0; i < processes.processes.n; i++)
		json_object_array_add(rows, process_row(&p[i]));
	r = output_list(&listing, &plain, rows, err);
	json_object_put(rows);
	record_done(&isolation_top_record, &processes);
	return r;
}

/* --- stats --- */

struct stats_args {
	struct list_options list;
	bool all, no_stream;
};

static const struct option stats_options[] = {
	{"all", 'a', OPTION_FLAG, NULL, "show those that do not run, too",
	 offsetof(struct stats_args, all)},
	{"no-stream", 0, OPTION_FLAG, NULL, "show the figures once",
	 offsetof(struct stats_args, no_stream)},
};

static const struct column stats_columns[] = {
	{"CONTAINER ID", "ID", false},
	{"NAME", "Name", false},
	{"ISOLATION", "Isolation", false},
	{"CPU %", "CPUPerc", false},
	{"MEM USAGE / LIMIT", "MemUsage", false},
	{"MEM %", "MemPerc", false},
	{"OVERHEAD", "Overhead", false},
	{"BLOCK I/O", "BlockIO", false},
	{"PIDS", "PIDs", false},
	{"CONTAINER", "Container", true},
};

/* Two looks at one workload. */
struct sample {
	struct workload *w;
	struct isolation_stats before, now;
	uint64_t at_before, at_now; /* CLOCK_MONOTONIC, ns; 0: not running */
};

static uint64_t monotonic_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void look(struct engine *e, struct sample *s)
{
	struct err ended = ERR_INIT; /* it ended meanwhile: shown as not running */

	s->before = s->now;
	s->at_before = s->at_now;
	s->at_now = workload_is_running(s->w) && workload_stats(e, s->w, &s->now, &ended) == 0
			    ? monotonic_ns()
			    : 0;
}

static struct json_object *stats_row(const struct sample *s, bool whole)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct json_object *row = json_object_new_object();
	uint64_t limit = s->now.memory_limit;
	bool live = s->at_now != 0;

	if (!limit)
		limit = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	buf_printf(&text, "%.*s", whole ? 64 : WORKLOAD_SHORT_ID, s->w->id);
	add(row, "ID", &text);
	buf_str(&text, s->w->name);
	add(row, "Name", &text);
	buf_str(&text, s->w->name);
	add(row, "Container", &text);
	buf_str(&text, s->w->vm ? "vm" : "container");
	add(row, "Isolation", &text);
	double share = live && s->at_before && s->at_now > s->at_before
			       ? (double)(s->now.cpu_ns - s->before.cpu_ns) * 100 /
					 (double)(s->at_now - s->at_before)
			       : 0;
	buf_printf(&text, "%.2f%%", share);
	add(row, "CPUPerc", &text);
	output_size(&text, live ? s->now.memory : 0, true);
	buf_str(&text, " / ");
	output_size(&text, live ? limit : 0, true);
	add(row, "MemUsage", &text);
	buf_printf(&text, "%.2f%%", live ? (double)s->now.memory * 100 / (double)limit : 0);
	add(row, "MemPerc", &text);
	output_size(&text, live ? s->now.overhead : 0, true);
	add(row, "Overhead", &text);
	output_size(&text, live ? s->now.io_read : 0, false);
	buf_str(&text, " / ");
	output_size(&text, live ? s->now.io_write : 0, false);
	add(row, "BlockIO", &text);
	buf_printf(&text, "%" PRIu64, live ? s->now.pids : 0);
	add(row, "PIDs", &text);
	return row;
}

static int choose(struct call *call, struct engine *e, struct workloads *ret, struct err *err)
{
	const struct stats_args *a = call->options;
	struct workloads all = {0};
	int r = 0;

	if (call->n > 0) {
		ret->v = calloc(call->n, sizeof(struct workload *));
		for (size_t i = 0; ret->v && r == 0 && i < call->n; i++) {
			r = workload_find(e, call->operands[i], &ret->v[i], err);
			ret->n += r == 0;
		}
		return ret->v ? r : err_set(err, ENOMEM, "out of memory");
	}
	r = workload_list(e, &all, err);
	for (size_t i = 0; r == 0 && i < all.n; i++) {
		if (a->all || workload_is_running(all.v[i]))
			all.v[ret->n++] = all.v[i];
		else
			workload_free(all.v[i]);
	}
	ret->v = all.v;
	return r;
}

static int show_stats(const struct stats_args *a, struct sample *samples, size_t n, struct err *err)
{
	const struct listing listing = {stats_columns,
					sizeof(stats_columns) / sizeof(stats_columns[0]), "ID"};
	struct json_object *rows = json_object_new_array();

	for (size_t i = 0; i < n; i++)
		json_object_array_add(rows, stats_row(&samples[i], a->list.no_trunc));
	if (!a->no_stream && !a->list.format && isatty(STDOUT_FILENO))
		printf("\033[2J\033[H");
	int r = output_list(&listing, &a->list, rows, err);
	json_object_put(rows);
	if (r == 0 && fflush(stdout) != 0)
		return err_sys(err, "standard output");
	return r;
}

/* Shows them once, or until nobody reads any more. */
static int watch_stats(struct engine *e, const struct stats_args *a, const struct workloads *chosen,
		       struct sample *samples, struct err *err)
{
	long nap = a->no_stream ? 200000000 : 999999999;
	int r;

	for (size_t i = 0; i < chosen->n; i++) {
		samples[i].w = chosen->v[i];
		look(e, &samples[i]);
	}
	do {
		if (chosen->n > 0)
			(void)nanosleep(&(struct timespec){.tv_nsec = nap}, NULL);
		for (size_t i = 0; i < chosen->n; i++)
			look(e, &samples[i]);
		r = show_stats(a, samples, chosen->n, err);
	} while (r == 0 && !a->no_stream && chosen->n > 0);
	return r;
}

static int stats(struct call *call, struct err *err)
{
	const struct stats_args *a = call->options;
	struct workloads chosen = {0};
	struct engine *e = NULL;
	static const char *const no_filters[] = {NULL};

	int r = filters_check(&a->list.filters, no_filters, err);
	if (r == 0)
		r = call_engine(call, &e, err);
	if (r == 0)
		r = choose(call, e, &chosen, err);
	AUTO_FREE struct sample *samples = calloc(chosen.n + 1, sizeof(*samples));
	if (r == 0 && !samples)
		r = err_set(err, ENOMEM, "out of memory");
	if (r == 0)
		r = watch_stats(e, a, &chosen, samples, err);
	workloads_done(&chosen);
	return r;
}

/* --- events --- */

struct events_args {
	const char *format, *since, *until;
	struct strv filters;
};

static const struct option event_options[] = {
	{"format", 0, OPTION_STRING, "FORMAT", "json, or a template like {{.Action}}",
	 offsetof(struct events_args, format)},
	{"filter", 'f', OPTION_LIST, "KEY=VALUE", "show only those that match (event, container)",
	 offsetof(struct events_args, filters)},
	{"since", 0, OPTION_STRING, "WHEN", "from a time, or 10m ago, on",
	 offsetof(struct events_args, since)},
	{"until", 0, OPTION_STRING, "WHEN", "end there", offsetof(struct events_args, until)},
};

static const char *text_of(struct json_object *object, const char *key)
{
	const char *s = json_object_get_string(json_object_object_get(object, key));

	return s ? s : "";
}

static bool match_event(void *ctx, const char *value)
{
	return strcmp(text_of(ctx, "Action"), value) == 0;
}

static bool match_container(void *ctx, const char *value)
{
	struct json_object *actor = json_object_object_get(ctx, "Actor");
	struct json_object *attributes = json_object_object_get(actor, "Attributes");

	return strcmp(text_of(attributes, "name"), value) == 0 ||
	       str_prefix(text_of(ctx, "id"), value, NULL);
}

static int print_event(void *ctx, struct json_object *event, struct err *err)
{
	const struct events_args *a = ctx;
	int r = 0;

	if (!filters_match(&a->filters, "event", match_event, event) ||
	    !filters_match(&a->filters, "container", match_container, event))
		return 0;
	if (a->format) {
		r = output_object(event, a->format, err);
	} else {
		AUTO_BUF struct buf line = BUF_INIT;
		struct json_object *actor = json_object_object_get(event, "Actor");
		struct json_object *attributes = json_object_object_get(actor, "Attributes");
		output_time(&line, (uint64_t)json_object_get_int64(
					   json_object_object_get(event, "timeNano")));
		printf("%s %s %s %.12s (image=%s, name=%s)\n", line.data ? line.data : "",
		       text_of(event, "Type"), text_of(event, "Action"), text_of(event, "id"),
		       text_of(attributes, "image"), text_of(attributes, "name"));
	}
	if (r == 0 && fflush(stdout) != 0)
		return err_sys(err, "standard output");
	return r;
}

static int events(struct call *call, struct err *err)
{
	struct events_args *a = call->options;
	static const char *const keys[] = {"event", "container", NULL};
	struct event_query q = {.follow = true,
				.past = a->since != NULL,
				.event = print_event,
				.ctx = a};
	struct timespec since = {0};
	struct timespec until = {0};
	struct engine *e = NULL;

	int r = filters_check(&a->filters, keys, err);
	if (r == 0)
		r = parse_when(a->since, "--since", &since, err);
	if (r == 0)
		r = parse_when(a->until, "--until", &until, err);
	if (r == 0)
		r = call_engine(call, &e, err);
	if (r < 0)
		return r;
	q.since_ns = (uint64_t)since.tv_sec * 1000000000 + (uint64_t)since.tv_nsec;
	q.until_ns = (uint64_t)until.tv_sec * 1000000000 + (uint64_t)until.tv_nsec;
	r = events_read(e, &q, err);
	return r == -EPIPE ? 0 : r;
}

const struct command command_top = {
	.names = {"top", "container top"},
	.operands = "WORKLOAD",
	.summary = "Show the processes of a workload",
	.example = "hull top web",
	.min = 1,
	.max = 1,
	.run = top,
};

const struct command command_stats = {
	.names = {"stats", "container stats"},
	.operands = "[WORKLOAD...]",
	.summary = "Show what workloads use, the machine's overhead apart",
	.example = "hull stats --no-stream",
	.groups = {OPTION_GROUP(stats_options, 0),
		   OPTION_GROUP(list_option_table, offsetof(struct stats_args, list))},
	.size = sizeof(struct stats_args),
	.max = OPERANDS_ANY,
	.run = stats,
};

const struct command command_events = {
	.names = {"events", "system events"},
	.operands = "",
	.summary = "Show what happens to workloads as it happens",
	.example = "hull events --since 1h --filter event=die",
	.groups = {OPTION_GROUP(event_options, 0)},
	.size = sizeof(struct events_args),
	.run = events,
};
