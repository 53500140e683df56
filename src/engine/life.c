/* SPDX-License-Identifier: Apache-2.0 */
/* What commands ask of workloads that exist: stop, signal, wait, pause, measure, remove. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/db.h"
#include "base/err.h"
#include "base/fd.h"
#include "engine/control_client.h"
#include "engine/events.h"
#include "engine/internal.h"

enum { STOP_DEFAULT_MS = 10000 };

static bool has_keeper(const struct workload *w)
{
	return workload_is_running(w) || w->state == KEEPER_RESTARTING;
}

int keeper_connect(struct engine *e, const struct workload *w, struct err *err)
{
	if (!has_keeper(w))
		return err_set(err, ESRCH, "'%s' is not running (it is %s)", w->name,
			       workload_state_name(w));
	AUTO_CLOSE int run_fd = workload_run_folder(e, w->id, false, err);
	if (run_fd < 0)
		return run_fd;
	return control_open(run_fd, err);
}

/* One question to the keeper; reply may be NULL. */
static int ask(struct engine *e, const struct workload *w, const struct control_request *q,
	       struct control_reply *ret, struct err *err)
{
	struct control_reply reply = {0};

	AUTO_CLOSE int ctl = keeper_connect(e, w, err);
	if (ctl < 0)
		return ctl;
	int r = control_ask(ctl, q, NULL, 0, &reply, err);
	if (r == 0 && ret)
		*ret = reply;
	else
		record_done(&control_reply_record, &reply);
	return r;
}

/* A keeper that went away while it was asked has done what was wanted, or is repaired. */
static bool is_gone(int r)
{
	return r == -ESRCH || r == -ECONNRESET || r == -EPIPE || r == -ENOENT;
}

static int mark_stopped(struct engine *e, struct workload *w, struct err *err)
{
	w->stopped_by_user = true;
	int r = db_run(engine_store(e)->db, "UPDATE workload SET stopped_by_user = 1 WHERE id = ?",
		       DB_VALUES(DB_TEXT(w->id)), err);
	return r < 0 ? r : 0;
}

static uint64_t stop_timeout(struct engine *e, const struct workload *w)
{
	struct err ignored = ERR_INIT; /* unreadable orders: docker's default */
	struct keeper_orders orders;
	uint64_t ms = STOP_DEFAULT_MS;

	if (workload_read_orders(e, w->id, &orders, &ignored) == 0) {
		ms = orders.stop_timeout_ms;
		record_done(&keeper_orders_record, &orders);
	}
	return ms;
}

int workload_stop(struct engine *e, struct workload *w, int signal, uint64_t timeout_ms,
		  struct err *err)
{
	struct err gone = ERR_INIT;
	struct control_request q = {.verb = CONTROL_STOP, .number = 1, .signal = (uint32_t)signal};

	if (!has_keeper(w))
		return 0;
	q.timeout_ms = timeout_ms == OPTION_UNSET ? stop_timeout(e, w) : timeout_ms;
	int r = mark_stopped(e, w, err);
	if (r < 0)
		return r;
	r = ask(e, w, &q, NULL, &gone);
	if (r < 0 && !is_gone(r))
		return err_set(err, gone.code, "%s", gone.msg);
	event_write(e, w, "stop", NULL);
	return workload_finish(e, w, err);
}

int workload_kill(struct engine *e, struct workload *w, int signal, struct err *err)
{
	char detail[32];
	const struct control_request q = {.verb = CONTROL_SIGNAL,
					  .number = 1,
					  .signal = (uint32_t)signal};

	int r = signal == SIGKILL && has_keeper(w) ? mark_stopped(e, w, err) : 0;
	if (r == 0)
		r = ask(e, w, &q, NULL, err);
	if (r < 0)
		return r;
	(void)snprintf(detail, sizeof(detail), "signal=%d", signal);
	event_write(e, w, "kill", detail);
	return 0;
}

int workload_wait(struct engine *e, struct workload *w, uint32_t *ret_status, struct err *err)
{
	struct err gone = ERR_INIT;
	struct control_reply reply;
	const struct control_request q = {.verb = CONTROL_WAIT, .number = 1};

	if (has_keeper(w)) {
		int r = ask(e, w, &q, &reply, &gone);
		if (r == 0) {
			w->exit_status = reply.exit.status;
			record_done(&control_reply_record, &reply);
		} else {
			/* Gone, or never able to run: its last word tells. */
			r = workload_fold(e, w, err);
			if (r < 0)
				return r;
		}
	}
	*ret_status = w->exit_status;
	return 0;
}

int workload_pause(struct engine *e, struct workload *w, bool paused, struct err *err)
{
	const struct control_request q = {.verb = paused ? CONTROL_PAUSE : CONTROL_RESUME,
					  .number = 1};

	int r = ask(e, w, &q, NULL, err);
	if (r == 0)
		event_write(e, w, paused ? "pause" : "unpause", NULL);
	return r;
}

int workload_stats(struct engine *e, struct workload *w, struct isolation_stats *ret,
		   struct err *err)
{
	const struct control_request q = {.verb = CONTROL_STATS, .number = 1};
	struct control_reply reply;

	int r = ask(e, w, &q, &reply, err);
	if (r == 0) {
		*ret = reply.stats;
		record_done(&control_reply_record, &reply);
	}
	return r;
}

int workload_top(struct engine *e, struct workload *w, struct isolation_top *ret, struct err *err)
{
	const struct control_request q = {.verb = CONTROL_TOP, .number = 1};
	struct control_reply reply;

	int r = ask(e, w, &q, &reply, err);
	if (r == 0) {
		*ret = reply.top;
		reply.top = (struct isolation_top){0};
		record_done(&control_reply_record, &reply);
	}
	return r;
}

int workload_restart(struct engine *e, struct workload *w, int signal, uint64_t timeout_ms,
		     struct err *err)
{
	int r = workload_stop(e, w, signal, timeout_ms, err);

	if (r == 0)
		r = workload_start(e, w, err);
	if (r == 0)
		event_write(e, w, "restart", NULL);
	return r;
}

/* --- removing --- */

/* The record goes last: until then the next command finds what is left and removes it. */
int workload_discard(struct engine *e, const struct workload *w, struct err *err)
{
	int r = workload_remove_folders(e, w->id, err);

	if (r == 0)
		r = workload_delete_row(e, w->id, err);
	if (r == 0)
		event_write(e, w, "destroy", NULL);
	return r;
}

/* Ends one that runs. Answers 1 when that removed it (it had --rm). */
static int end_for_removal(struct engine *e, struct workload *w, bool force, struct err *err)
{
	bool auto_remove = w->auto_remove;

	if (!has_keeper(w))
		return 0;
	if (!force)
		return err_set(err, EBUSY, "'%s' is %s: stop it first, or remove it with -f",
			       w->name, workload_state_name(w));
	int r = workload_stop(e, w, SIGKILL, 0, err);
	return r < 0 ? r : auto_remove;
}

int workload_remove(struct engine *e, struct workload *w, bool force, struct err *err)
{
	struct err missing = ERR_INIT;

	int r = end_for_removal(e, w, force, err);
	if (r != 0)
		return r < 0 ? r : 0;
	AUTO_CLOSE int lock = workload_lock(e, w->id, true, &missing);
	if (lock == -ENOENT)
		return workload_discard(e, w, err); /* killed while it was being removed */
	if (lock < 0)
		return err_set(err, missing.code, "%s", missing.msg);
	r = workload_reload(e, w, err);
	if (r == 0 && has_keeper(w))
		r = workload_fold_locked(e, w, err);
	if (r != 0)
		return r < 0 ? r : 0; /* the fold removed it */
	if (has_keeper(w))
		return err_set(err, EBUSY, "'%s' was started meanwhile", w->name);
	return workload_discard(e, w, err);
}
