/* SPDX-License-Identifier: Apache-2.0 */
/* Changing a workload that exists: its limits and restart policy, running or not. */
#include <errno.h>
#include <string.h>

#include "base/db.h"
#include "base/err.h"
#include "base/fd.h"
#include "engine/build.h"
#include "engine/control_client.h"
#include "engine/internal.h"

static void take_text(char **to, char **from)
{
	if (!*from)
		return;
	free(*to);
	*to = TAKE_PTR(*from);
}

/* What is not zero in `from` goes over `to`; takes its strings. */
static void merge(struct plan_limits *to, struct plan_limits *from)
{
	uint64_t *const numbers[][2] = {
		{&to->memory, &from->memory},
		{&to->memory_swap, &from->memory_swap},
		{&to->memory_reservation, &from->memory_reservation},
		{&to->cpu_quota_us, &from->cpu_quota_us},
		{&to->cpu_period_us, &from->cpu_period_us},
		{&to->cpu_shares, &from->cpu_shares},
		{&to->pids, &from->pids},
		{&to->blkio_weight, &from->blkio_weight},
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (*numbers[i][1])
			*numbers[i][0] = *numbers[i][1];
	}
	take_text(&to->cpuset_cpus, &from->cpuset_cpus);
	take_text(&to->cpuset_mems, &from->cpuset_mems);
}

static int update_running(struct engine *e, struct workload *w, const struct plan_limits *limits,
			  struct err *err)
{
	struct control_reply reply;
	const struct control_request q = {.verb = CONTROL_UPDATE,
					  .number = 1,
					  .limits = *limits}; /* borrowed strings */

	if (!workload_is_running(w))
		return 0;
	AUTO_CLOSE int ctl = keeper_connect(e, w, err);
	if (ctl < 0)
		return ctl;
	int r = control_ask(ctl, &q, NULL, 0, &reply, err);
	if (r == 0)
		record_done(&control_reply_record, &reply);
	return r;
}

static int write_plan(struct engine *e, const struct workload *w, int folder,
		      struct plan_limits *limits, struct err *err)
{
	struct plan plan;

	int r = workload_read_plan(e, w->id, &plan, err);
	if (r < 0)
		return r;
	merge(&plan.limits, limits);
	r = record_write(folder, "plan", &plan_record, &plan, err);
	record_done(&plan_record, &plan);
	return r;
}

static int update_restart(struct engine *e, struct workload *w, int folder, const char *text,
			  struct err *err)
{
	struct keeper_orders orders;

	int r = workload_read_orders(e, w->id, &orders, err);
	if (r < 0)
		return r;
	r = restart_parse(text, &orders.restart, &orders.restart_max, err);
	if (r == 0 && orders.restart != RESTART_NO && w->auto_remove)
		r = err_set(err, EINVAL, "--restart: it has --rm");
	if (r == 0)
		r = record_write(folder, "orders", &keeper_orders_record, &orders, err);
	if (r == 0)
		r = db_run(e->store->db, "UPDATE workload SET restart = ? WHERE id = ?",
			   DB_VALUES(DB_INT(orders.restart), DB_TEXT(w->id)), err);
	record_done(&keeper_orders_record, &orders);
	return r < 0 ? r : 0;
}

int workload_update(struct engine *e, struct workload *w, const struct limit_options *o,
		    const char *restart, struct err *err)
{
	struct plan_limits limits = {0};

	AUTO_CLOSE int folder = workload_lock(e, w->id, true, err);
	if (folder < 0)
		return folder;
	int r = limits_parse(o, &limits, err);
	if (r == 0)
		r = update_running(e, w, &limits, err);
	if (r == 0)
		r = write_plan(e, w, folder, &limits, err);
	if (r == 0 && restart)
		r = update_restart(e, w, folder, restart, err);
	record_done(&plan_limits_record, &limits);
	return r;
}
