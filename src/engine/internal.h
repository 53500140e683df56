/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine's own files share. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/store.h"
#include "engine/engine.h"
#include "proto/plan.h"

struct db;
struct record;

struct engine {
	struct store *store;
};

/* Nanoseconds since the epoch. */
uint64_t now_ns(void);

/* The folder of mounted layers, made if need be; the caller closes. */
int engine_layers(struct engine *e, struct err *err) HULL_MUST_CHECK;

/* --- workload.c: records --- */

/* Writes a new record within txn; EEXIST when its name is taken. */
int workload_insert(struct db *txn, const struct workload *w, const char *config, struct err *err)
	HULL_MUST_CHECK;

/* Reads the record again: what another command made of it meanwhile. ENOENT when it is gone. */
int workload_reload(struct engine *e, struct workload *w, struct err *err) HULL_MUST_CHECK;

/* The record's config, caller frees. */
int workload_config(struct engine *e, const struct workload *w, char **ret, struct err *err)
	HULL_MUST_CHECK;

/* Writes state, pid, exit, times and error as they stand in w. */
int workload_save_state(struct engine *e, const struct workload *w, struct err *err)
	HULL_MUST_CHECK;

/* Removes the record (and with it its address). */
int workload_delete_row(struct engine *e, const char *id, struct err *err) HULL_MUST_CHECK;

/* --- folder.c: files of a workload --- */

/*
 * Takes the workload's lock: the handle of its folder, locked. What starts, repairs or removes a
 * workload holds it; a keeper does not. Waits up to 10 s, or not at all (EBUSY). ENOENT when the
 * folder is gone. The caller closes.
 */
int workload_lock(struct engine *e, const char *id, bool wait, struct err *err) HULL_MUST_CHECK;

/* The workload's folder; the caller closes. */
int workload_folder(struct engine *e, const char *id, struct err *err) HULL_MUST_CHECK;

/* Opens the run folder; ENOENT when there is none. With make it is made. */
int workload_run_folder(struct engine *e, const char *id, bool make, struct err *err)
	HULL_MUST_CHECK;

/* The names of all folders of workloads, appended. */
int folder_names(struct engine *e, struct strv *ret, struct err *err) HULL_MUST_CHECK;

/* Reads a record of the folder; the caller releases it with record_done(), on failure too. */
int workload_read_plan(struct engine *e, const char *id, struct plan *ret, struct err *err)
	HULL_MUST_CHECK;
int workload_read_orders(struct engine *e, const char *id, struct keeper_orders *ret,
			 struct err *err) HULL_MUST_CHECK;

/* Writes one record as file `name` of the folder dirfd. */
int record_write(int dirfd, const char *name, const struct record *type, const void *obj,
		 struct err *err) HULL_MUST_CHECK;

/* Removes the run folder, or both. */
int workload_remove_run(struct engine *e, const char *id, struct err *err) HULL_MUST_CHECK;
int workload_remove_folders(struct engine *e, const char *id, struct err *err) HULL_MUST_CHECK;

/* --- fold.c: what became of it --- */

/*
 * Brings w up to date from what its keeper wrote: state, pid, exit. What a killed keeper left is
 * repaired (status 137) and the restart policy applied. Answers 1 when the workload was removed by
 * that (it had --rm); w is then only good for workload_free().
 */
int workload_fold(struct engine *e, struct workload *w, struct err *err) HULL_MUST_CHECK;

/* The same by a holder of the lock, of a workload whose record says that it was started. */
int workload_fold_locked(struct engine *e, struct workload *w, struct err *err) HULL_MUST_CHECK;

/* Whether the keeper that the run folder names runs. */
bool keeper_is_alive(int run_fd);

/* Waits until its keeper has ended, at most timeout_ms (ETIMEDOUT). */
int keeper_wait(struct engine *e, const struct workload *w, int timeout_ms, struct err *err)
	HULL_MUST_CHECK;

/* --- start.c, life.c --- */

/* Starts it in the background; the lock is held by the caller. */
int workload_start_locked(struct engine *e, struct workload *w, struct err *err) HULL_MUST_CHECK;

/* Connects to the keeper of a running workload; ESRCH when it does not run. */
int keeper_connect(struct engine *e, const struct workload *w, struct err *err) HULL_MUST_CHECK;

/* Receives what a keeper says about its first start; the caller releases *ret. */
int keeper_read_life(int life, struct keeper_status *ret, struct err *err) HULL_MUST_CHECK;

/* Removes a workload whose keeper is gone, with all it has; the lock is held by the caller. */
int workload_discard(struct engine *e, const struct workload *w, struct err *err) HULL_MUST_CHECK;
