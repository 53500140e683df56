/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "cli/commands.h"
#include "cli/each.h"
#include "cli/output.h"
#include "cli/when.h"
#include "engine/engine.h"

struct logs_args {
	bool follow, timestamps;
	const char *tail, *since, *until, *source;
};

static const struct option options[] = {
	{"follow", 'f', OPTION_FLAG, NULL, "go on as more is written",
	 offsetof(struct logs_args, follow)},
	{"tail", 'n', OPTION_STRING, "N", "show the last N lines (all)",
	 offsetof(struct logs_args, tail)},
	{"since", 0, OPTION_STRING, "WHEN", "from a time (2026-01-02T15:04:05Z) or 10m ago on",
	 offsetof(struct logs_args, since)},
	{"until", 0, OPTION_STRING, "WHEN", "up to a time, likewise",
	 offsetof(struct logs_args, until)},
	{"timestamps", 't', OPTION_FLAG, NULL, "show when each line was written",
	 offsetof(struct logs_args, timestamps)},
	{"source", 0, OPTION_STRING, "WHICH", "stdout, stderr, or kernel: a machine's own messages",
	 offsetof(struct logs_args, source)},
};

static int print_entry(void *ctx, const struct log_entry *entry, struct err *err)
{
	const struct logs_args *a = ctx;
	AUTO_BUF struct buf text = BUF_INIT;
	int to = entry->stream == LOG_STDERR ? STDERR_FILENO : STDOUT_FILENO;

	if (a->timestamps) {
		output_time(&text, (uint64_t)entry->time.tv_sec * 1000000000 +
					   (uint64_t)entry->time.tv_nsec);
		buf_str(&text, " ");
	}
	buf_add(&text, entry->text, entry->len);
	int r = buf_check(&text, err);
	return r < 0 ? r : write_all(to, text.data, text.len, "standard output", err);
}

static int choose_streams(const char *source, unsigned *ret, struct err *err)
{
	static const char *const names[LOG_STREAMS] = {
		[LOG_STDOUT] = "stdout", [LOG_STDERR] = "stderr", [LOG_KERNEL] = "kernel"};

	*ret = 0;
	for (unsigned i = 0; source && i < LOG_STREAMS; i++) {
		if (strcmp(source, names[i]) == 0)
			*ret = 1U << i;
	}
	if (source && !*ret)
		return err_set(err, EINVAL, "--source: '%s' is none of stdout, stderr, kernel",
			       source);
	return 0;
}

static int run(struct call *call, struct err *err)
{
	struct logs_args *a = call->options;
	struct log_query q = {.follow = a->follow, .entry = print_entry, .ctx = a};
	struct engine *e = NULL;
	AUTO(auto_workload_free) struct workload *w = NULL;
	int64_t tail = 0;

	int r = choose_streams(a->source, &q.streams, err);
	if (r == 0 && a->tail && strcmp(a->tail, "all") != 0) {
		r = parse_int(a->tail, -1, INT64_MAX, "--tail", &tail, err);
		q.has_tail = tail >= 0;
		q.tail = (uint64_t)(tail >= 0 ? tail : 0);
	}
	if (r == 0)
		r = parse_when(a->since, "--since", &q.since, err);
	if (r == 0)
		r = parse_when(a->until, "--until", &q.until, err);
	if (r == 0)
		r = first_workload(call, &e, &w, err);
	if (r == 0)
		r = workload_logs(e, w, &q, err);
	return r == -EPIPE ? 0 : r;
}

const struct command command_logs = {
	.names = {"logs", "container logs"},
	.operands = "WORKLOAD",
	.summary = "Show what a workload wrote",
	.example = "hull logs -f --tail 20 web",
	.groups = {OPTION_GROUP(options, 0)},
	.size = sizeof(struct logs_args),
	.min = 1,
	.max = 1,
	.run = run,
};
