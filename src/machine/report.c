/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "machine/agent.h"
#include "machine/ask.h"
#include "machine/machine_impl.h"
#include "machine/trace.h"
#include "proto/plan.h"
#include "proto/report.h"

/* --- the monitor's answer --- */

enum { WORDS_MAX = 9 };

/* One line, split at its blanks. */
struct line {
	char *words[WORDS_MAX];
	size_t n; /* WORDS_MAX + 1: there are more */
};

static void split(char *text, struct line *ret)
{
	char *rest;

	ret->n = 0;
	for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		if (ret->n < WORDS_MAX)
			ret->words[ret->n] = word;
		ret->n += ret->n <= WORDS_MAX;
	}
}

/* Words `from` to `from` + n as numbers. */
static int numbers(const struct line *l, size_t from, size_t n, uint64_t *const *ret,
		   struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		const char *word = l->words[from + i];
		char *end;
		errno = 0;
		*ret[i] = strtoull(word, &end, 10);
		if (errno || *end || word[0] < '0' || word[0] > '9')
			return err_set(err, EBADMSG, "the monitor's report: '%.40s' is no number",
				       word);
	}
	return 0;
}

/* A moment as microseconds since the launch, 0 for none and for what cannot be. */
static uint64_t since(uint64_t launched_us, uint64_t us)
{
	return us > launched_us ? us - launched_us : 0;
}

static int take_memory(const struct line *l, uint64_t launched_us, struct machine_report *ret,
		       struct err *err)
{
	uint64_t address = 0, size = 0;

	(void)launched_us;
	int r = numbers(l, 1, 2, (uint64_t *const[]){&address, &size}, err);
	if (r < 0)
		return r;
	struct machine_range *range = ret->ranges.n < REPORT_RANGES_MAX
					      ? list_add(&ret->ranges, &machine_range_record)
					      : NULL;
	if (!range)
		return err_set(err, EBADMSG, "the monitor's report names too much memory");
	*range = (struct machine_range){address, size};
	return 0;
}

/* Text of a few plain characters: what a hostile monitor may have printed for it. */
static int copy_word(const char *word, char **ret, struct err *err)
{
	enum { WORD_MAX_LEN = 64 };
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "-._,";

	if (strlen(word) > WORD_MAX_LEN || word[strspn(word, plain)])
		return err_set(err, EBADMSG, "the monitor's report: '%.40s' is no word", word);
	*ret = strdup(word);
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int take_device(const struct line *l, uint64_t launched_us, struct machine_report *ret,
		       struct err *err)
{
	uint64_t slot = 0, status = 0, ready = 0;
	struct machine_device *d = ret->devices.n < REPORT_DEVICES_MAX
					   ? list_add(&ret->devices, &machine_device_record)
					   : NULL;

	if (!d)
		return err_set(err, EBADMSG, "the monitor's report names too many devices");
	int r = numbers(l, 1, 1, (uint64_t *const[]){&slot}, err);
	if (r == 0)
		r = copy_word(l->words[2], &d->kind, err);
	if (r == 0 && strcmp(l->words[3], "-") != 0)
		r = copy_word(l->words[3], &d->label, err);
	if (r == 0)
		r = numbers(l, 4, 4, (uint64_t *const[]){&d->offered, &d->agreed, &status, &ready},
			    err);
	if (r == 0)
		r = copy_word(l->words[8], &d->queues, err);
	if (r < 0)
		return r;
	d->slot = (uint32_t)slot;
	d->status = (uint32_t)status;
	d->ready_us = since(launched_us, ready);
	if (d->ready_us && (!ret->driver_us || d->ready_us < ret->driver_us))
		ret->driver_us = d->ready_us;
	return 0;
}

static int take_exits(const struct line *l, uint64_t launched_us, struct machine_report *ret,
		      struct err *err)
{
	(void)launched_us;
	return numbers(l, 1, 3,
		       (uint64_t *const[]){&ret->exits_ports, &ret->exits_mmio, &ret->exits_other},
		       err);
}

static int take_times(const struct line *l, uint64_t launched_us, struct machine_report *ret,
		      struct err *err)
{
	int r = numbers(l, 1, 2, (uint64_t *const[]){&ret->started_us, &ret->entered_us}, err);

	ret->started_us = since(launched_us, ret->started_us);
	ret->entered_us = since(launched_us, ret->entered_us);
	return r;
}

static int take_line(const struct line *l, uint64_t launched_us, struct machine_report *ret,
		     struct err *err)
{
	static const struct {
		const char *name;
		size_t words;
		int (*fn)(const struct line *l, uint64_t launched_us, struct machine_report *ret,
			  struct err *err);
	} kinds[] = {
		{"memory", 3, take_memory},
		{"device", 9, take_device},
		{"exits", 4, take_exits},
		{"times", 3, take_times},
	};

	for (size_t i = 0; l->n > 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].name, l->words[0]) == 0 && kinds[i].words == l->n)
			return kinds[i].fn(l, launched_us, ret, err);
	}
	return err_set(err, EBADMSG, "the monitor's report has a line that means nothing");
}

int report_parse(const char *text, uint64_t launched_us, struct machine_report *ret,
		 struct err *err)
{
	AUTO_FREE char *copy = strdup(text);
	char *rest;
	int r = 0;

	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	for (char *at = strtok_r(copy, "\n", &rest); at && r == 0;
	     at = strtok_r(NULL, "\n", &rest)) {
		struct line l;
		split(at, &l);
		r = take_line(&l, launched_us, ret, err);
	}
	return r;
}

/* --- the keeper's own --- */

static int own_part(const struct isolation *m, struct machine_report *ret, struct err *err)
{
	*ret = (struct machine_report){.driver = strdup(m->driver->name),
				       .pid = (uint32_t)m->monitor.pid,
				       .memory = m->memory,
				       .cpus = m->cpus,
				       .max_cpus = m->max_cpus,
				       .monitor_pss = trace_memory(m->monitor.pid),
				       .share_pss = trace_memory(m->share.pid),
				       .hello_us = since(m->launched_us, agent_hello_us(m->agent)),
				       .ready_us = since(m->launched_us, m->ready_us)};
	return ret->driver ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* A report that waits for the monitor's part; in a list of the machine's, which outlives it. */
struct report_call {
	struct report_call *next;
	struct isolation *m;
	isolation_reply *reply;
	void *ctx;
};

static void forget(struct report_call *call)
{
	struct report_call **at = &call->m->reports;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	free(call);
}

void reports_forget(struct isolation *m)
{
	while (m->reports)
		forget(m->reports);
}

static void answer(struct isolation *m, isolation_reply *reply, void *ctx,
		   const struct err *failure, const char *text)
{
	struct machine_report report;
	struct err err = ERR_INIT;

	int r = own_part(m, &report, &err);
	if (r == 0 && failure)
		r = err_set(&err, failure->code, "%s", failure->msg);
	if (r == 0)
		r = report_parse(text, m->launched_us, &report, &err);
	reply(ctx, r < 0 ? &err : NULL, &report);
	record_done(&machine_report_record, &report);
}

static void monitor_answered(void *ctx, const struct err *failure, const char *text)
{
	const struct report_call call = *(const struct report_call *)ctx;

	forget(ctx);
	answer(call.m, call.reply, call.ctx, failure, text);
}

void machine_report(struct isolation *m, isolation_reply *reply, void *ctx)
{
	static const struct ask_request request = {.text = "report"};
	struct report_call *call = m->asker ? malloc(sizeof(*call)) : NULL;

	if (!call) { /* qemu, or no memory: what the keeper knows is an answer too */
		answer(m, reply, ctx, NULL, "");
		return;
	}
	*call = (struct report_call){m->reports, m, reply, ctx};
	m->reports = call;
	asker_ask(m->asker, &request, monitor_answered, call);
}
