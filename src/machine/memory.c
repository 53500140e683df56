/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another limit of memory for a workload whose machine runs. The monitor is told what the machine
 * is to have and then asked again and again what it has: the guest plugs, unplugs and hands over in
 * its own time, and as long as that goes on it is waited for. The workload's own limit comes last,
 * so that nothing is killed by it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "base/str.h"
#include "machine/ask.h"
#include "machine/hostgroup.h"
#include "machine/machine_impl.h"
#include "machine/plug.h"
#include "proto/plan.h"

enum {
	STEP_MS = 100,
	STALL_MS = 30000, /* without progress; a guest on a busy host may not run for long */
};

#define BLOCK      (2ULL << 20) /* what is plugged comes in these */
#define MIB(bytes) ((bytes) >> 20)

struct memory_change {
	struct isolation *m;
	struct plan_limits limits; /* owned */
	uint32_t cpus;
	isolation_reply *reply;
	void *ctx;
	uint64_t from, to, now; /* bytes that the machine had, is to have, has */
	uint64_t left; /* bytes to go when it last made progress, */
	uint64_t progress_ms; /* at this time */
	struct timer *timer;
};

static void change_free(struct memory_change *c)
{
	c->m->memory_change = NULL;
	timer_cancel(&c->timer);
	record_done(&plan_limits_record, &c->limits);
	free(c);
}

void memory_forget(struct isolation *m)
{
	if (m->memory_change)
		change_free(m->memory_change);
}

static void nobody_hears(void *ctx, const struct err *failure, const char *answer)
{
	(void)ctx;
	(void)failure;
	(void)answer;
}

static void tell_monitor(struct isolation *m, uint64_t bytes, ask_fn *fn, void *ctx)
{
	char text[40];

	(void)snprintf(text, sizeof(text), "memory %" PRIu64, bytes);
	asker_ask(m->asker, &(struct ask_request){.text = text}, fn, ctx);
}

/* All is as it was. c is gone afterwards. */
static void fail(struct memory_change *c, const struct err *why)
{
	struct isolation *m = c->m;
	isolation_reply *reply = c->reply;
	void *ctx = c->ctx;
	uint64_t from = c->from;

	change_free(c);
	tell_monitor(m, from, nobody_hears, NULL);
	hostgroup_limit(m->plan->cgroup, from + MONITOR_MEMORY);
	reply(ctx, why, NULL);
}

static void updated(void *ctx, const struct err *failure, const void *answer)
{
	struct memory_change *c = ctx;

	if (failure) {
		fail(c, failure);
		return;
	}
	struct isolation *m = c->m;
	isolation_reply *reply = c->reply;
	void *reply_ctx = c->ctx;
	m->memory = c->to;
	hostgroup_limit(m->plan->cgroup, m->memory + MONITOR_MEMORY);
	change_free(c);
	reply(reply_ctx, NULL, answer);
}

/* Of what is to be given back a sixteenth may stay: blocks that the guest's kernel has put data of
 * its own in, which cannot be moved. */
static uint64_t distance(const struct memory_change *c)
{
	if (c->to > c->from)
		return c->now < c->to ? c->to - c->now : 0;
	uint64_t enough = c->to + (c->from - c->to) / 16 + BLOCK;
	return c->now > enough ? c->now - enough : 0;
}

static void give_up(struct memory_change *c)
{
	struct err why = ERR_INIT;

	if (c->to > c->from)
		(void)err_set(&why, ETIMEDOUT,
			      "--memory: of %" PRIu64 " MiB more the machine took only %" PRIu64,
			      MIB(c->to - c->from), c->now > c->from ? MIB(c->now - c->from) : 0);
	else
		(void)err_set(&why, EBUSY,
			      "--memory: the machine uses too much: of %" PRIu64
			      " MiB it could give back %" PRIu64,
			      MIB(c->from - c->to), c->now < c->from ? MIB(c->from - c->now) : 0);
	fail(c, &why);
}

static void has(void *ctx, const struct err *failure, const char *answer);

static int ask_again(void *ctx, struct err *err)
{
	struct memory_change *c = ctx;

	(void)err;
	c->timer = NULL;
	asker_ask(c->m->asker, &(struct ask_request){.text = "memory"}, has, c);
	return 0;
}

/* The monitor's answer: how many bytes the machine has. */
static void has(void *ctx, const struct err *failure, const char *answer)
{
	struct memory_change *c = ctx;
	struct err err = failure ? *failure : ERR_INIT;
	int64_t now = 0;

	if (!failure && parse_int(answer, 0, INT64_MAX, "the monitor's answer", &now, &err) == 0) {
		c->now = (uint64_t)now;
		if (distance(c) == 0) {
			plug_update(c->m, &c->limits, c->cpus, updated, c);
			return;
		}
		if (distance(c) < c->left) {
			c->left = distance(c);
			c->progress_ms = clock_ms();
		}
		if (clock_ms() - c->progress_ms > STALL_MS) {
			give_up(c);
			return;
		}
		if (loop_timer(c->m->loop, STEP_MS, ask_again, c, &c->timer, &err) == 0)
			return;
	}
	fail(c, &err);
}

static int change_new(struct isolation *m, const struct update *u, uint64_t to,
		      struct memory_change **ret, struct err *err)
{
	const struct plan_machine *p = &m->plan->machine;
	uint64_t max = p->max_memory > p->memory ? p->max_memory : p->memory;

	if (m->memory_change)
		return err_set(err, EBUSY, "--memory: another change of it is on its way");
	if (to > max)
		return err_set(err, ERANGE,
			       "--memory: the machine was made for %" PRIu64
			       " MiB (--max-memory), and not for %" PRIu64,
			       MIB(max), MIB(to));
	struct memory_change *c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(err, ENOMEM, "out of memory");
	*c = (struct memory_change){.m = m,
				    .cpus = u->cpus,
				    .reply = u->reply,
				    .ctx = u->ctx,
				    .from = m->memory,
				    .to = to,
				    .now = m->memory,
				    .left = UINT64_MAX,
				    .progress_ms = clock_ms()};
	int r = record_copy(&plan_limits_record, u->limits, &c->limits, err);
	if (r < 0) {
		free(c);
		return r;
	}
	c->limits.memory_check = true;
	m->memory_change = c;
	*ret = c;
	return 0;
}

void memory_update(struct isolation *m, const struct update *u)
{
	struct memory_change *c;
	struct err err = ERR_INIT;
	uint64_t to = plan_machine_memory(m->plan->machine.memory_own, u->limits->memory);

	if (change_new(m, u, to, &c, &err) < 0) {
		u->reply(u->ctx, &err, NULL);
		return;
	}
	if (to > m->memory)
		hostgroup_limit(m->plan->cgroup, to + MONITOR_MEMORY);
	tell_monitor(m, to, has, c);
}
