/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of a workload. The record says what commands wanted; its keeper writes `keeper` (who
 * it is) and `status` into the run folder, and ends. So, of a record that says "started":
 *
 *	keeper alive                      status is the truth, and nothing is written down
 *	keeper gone, status final         the end goes into the record, the run folder away; without
 *	                                  the file `over` it was killed at its last work: repair
 *	keeper gone, status not final     the keeper was killed: repair, 137, restart policy
 *
 * The folder's lock tells a keeper that is gone from one that is just being started.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/proc.h"
#include "engine/events.h"
#include "engine/internal.h"
#include "engine/repair.h"

enum { STATUS_MAX = 1 << 20, KILLED_STATUS = 137, KEEPER_END_MS = 30000 };

static bool is_final(uint32_t state)
{
	return state == 0 || state == KEEPER_EXITED || state == KEEPER_FAILED;
}

static int read_keeper(int run_fd, struct proc_id *ret, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;

	int r = file_read(run_fd, "keeper", PROC_ID_TEXT, &text, err);
	if (r == 0 && text.len == 0)
		r = err_set(err, EINVAL, "the file 'keeper' is empty");
	return r < 0 ? r : proc_id_parse(text.data, ret, err);
}

bool keeper_is_alive(int run_fd)
{
	struct err ignored = ERR_INIT; /* no readable name: nobody */
	struct proc_id id;

	return read_keeper(run_fd, &id, &ignored) == 0 && proc_alive(&id);
}

int keeper_wait(struct engine *e, const struct workload *w, int timeout_ms, struct err *err)
{
	struct err ignored = ERR_INIT; /* no folder, no keeper: gone already */
	struct proc_id id;

	AUTO_CLOSE int run_fd = workload_run_folder(e, w->id, false, &ignored);
	if (run_fd < 0 || read_keeper(run_fd, &id, &ignored) < 0)
		return 0;
	AUTO_CLOSE int pidfd = proc_open(&id, &ignored);
	if (pidfd < 0)
		return 0;
	struct pollfd pfd = {.fd = pidfd, .events = POLLIN};
	if (poll(&pfd, 1, timeout_ms) == 0)
		return err_set(err, ETIMEDOUT, "its keeper (process %d) does not end", id.pid);
	return 0;
}

/* Takes over what the keeper wrote; false when there is nothing to read. */
static bool take_status(int run_fd, struct workload *w)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	struct err ignored = ERR_INIT; /* absent before the first change of state */
	struct keeper_status s;

	if (file_read(run_fd, "status", STATUS_MAX, &bytes, &ignored) < 0 ||
	    record_decode(&keeper_status_record, bytes.data, bytes.len, &s, &ignored) < 0)
		return false;
	w->state = s.state;
	w->pid = s.pid;
	w->started_ns = s.started_ns ? s.started_ns : w->started_ns;
	w->finished_ns = s.finished_ns;
	w->restarts = s.restarts;
	w->exit_status = s.exit.status;
	w->oom = s.exit.oom;
	free(w->error);
	w->error = TAKE_PTR(s.exit.reason);
	if (s.ports.n > 0) {
		AUTO_BUF struct buf ports = BUF_INIT;
		for (size_t i = 0; i < s.ports.n; i++)
			buf_printf(&ports, "%s%s", i ? ", " : "", s.ports.v[i]);
		free(w->ports);
		w->ports = buf_take(&ports);
	}
	strv_done(&w->interfaces);
	w->interfaces = s.interfaces;
	s.interfaces = (struct strv){0};
	record_done(&keeper_status_record, &s);
	return true;
}

/* Writes the end down and clears the run folder; the lock is held. Answers 1 when --rm removed it.
 */
static int record_end(struct engine *e, struct workload *w, struct err *err)
{
	w->pid = 0;
	if (w->auto_remove) {
		int r = workload_discard(e, w, err);
		return r < 0 ? r : 1;
	}
	int r = workload_save_state(e, w, err);
	if (r == 0)
		r = workload_remove_run(e, w->id, err);
	return r;
}

/* The keeper died and left its workload as it was. */
static int repair_dead(struct engine *e, struct workload *w, struct err *err)
{
	int r = workload_repair(e, w, err);

	if (r < 0)
		return err_wrap(err, "repair '%s' after its keeper was killed", w->name);
	w->state = KEEPER_EXITED;
	w->exit_status = KILLED_STATUS;
	w->finished_ns = now_ns();
	if (!w->error)
		w->error = strdup("its keeper was killed");
	event_write(e, w, "die", NULL);
	r = record_end(e, w, err);
	if (r != 0)
		return r;
	return workload_restart_wanted(e, w) ? workload_start_locked(e, w, err) : 0;
}

int workload_fold_locked(struct engine *e, struct workload *w, struct err *err)
{
	struct err ignored = ERR_INIT; /* no run folder: after a reboot, or never begun */

	AUTO_CLOSE int run_fd = workload_run_folder(e, w->id, false, &ignored);
	bool told = run_fd >= 0 && take_status(run_fd, w);
	if (run_fd >= 0 && keeper_is_alive(run_fd)) {
		if (!told || !is_final(w->state))
			return 0;
		int r = keeper_wait(e, w, KEEPER_END_MS, err); /* it is taking things apart */
		if (r < 0)
			return r;
	}
	/* It may have written its last word between the two looks. */
	if (run_fd >= 0)
		told = take_status(run_fd, w) || told;
	if (!told || !is_final(w->state))
		return repair_dead(e, w, err);
	if (faccessat(run_fd, "over", F_OK, 0) < 0 && workload_repair(e, w, err) < 0)
		return err_wrap(err, "repair '%s' after its keeper was killed", w->name);
	return record_end(e, w, err);
}

int workload_fold(struct engine *e, struct workload *w, struct err *err)
{
	struct err busy = ERR_INIT; /* being started, or removed, by another command: as it is */

	if (is_final(w->state))
		return 0;
	AUTO_CLOSE int run_fd = workload_run_folder(e, w->id, false, &busy);
	if (run_fd >= 0 && keeper_is_alive(run_fd)) {
		(void)take_status(run_fd, w); /* nothing yet: it is starting */
		return 0;
	}
	busy = ERR_INIT;
	AUTO_CLOSE int lock = workload_lock(e, w->id, false, &busy);
	if (lock == -EBUSY)
		return 0;
	if (lock == -ENOENT) { /* killed while it was being removed */
		int r = workload_discard(e, w, err);
		return r < 0 ? r : 1;
	}
	if (lock < 0)
		return err_set(err, busy.code, "%s", busy.msg);
	int r = workload_reload(e, w, err);
	if (r < 0 || is_final(w->state))
		return r == -ENOENT ? 1 : r;
	return workload_fold_locked(e, w, err);
}
