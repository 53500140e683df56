/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of workloads, whatever their isolation. An engine is one store opened by one command;
 * workloads are found by name or id, and every finding first learns from files and /proc what
 * became of them (fold.c): nothing is believed from memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "engine/log.h"
#include "engine/options.h"
#include "proto/control.h"

struct buf;
struct engine;
struct json_object;
struct store;
struct strv;

enum { WORKLOAD_SHORT_ID = 12 };

/* A workload as it is known now. All owned by it. */
struct workload {
	char *id, *name;
	char *image; /* as asked for */
	char *manifest; /* the image's id */
	bool vm;
	char *command; /* for people */
	char *labels; /* JSON object; NULL: none */
	char *ports; /* bound now: "127.0.0.1:8080->80/tcp, …"; NULL: none */
	struct strv interfaces; /* beside its first, now: "eth1 10.214.0.3" */
	bool auto_remove, stopped_by_user;
	uint32_t restart; /* enum restart_policy */
	uint32_t state; /* enum keeper_state; 0: created, never started */
	uint32_t pid, exit_status, restarts;
	bool oom;
	char *error; /* why the isolation failed; NULL */
	uint64_t created_ns, started_ns, finished_ns;
	char *notice; /* of a creation: what the user should know; NULL */
	int lock; /* the engine's own; -1 */
};

/* Several of them. */
struct workloads {
	struct workload **v;
	size_t n;
};

/* Opens the store at root (NULL: the default); the caller frees. */
int engine_open(const char *root, struct engine **ret, struct err *err) HULL_MUST_CHECK;

/* Closes; NULL is fine. */
void engine_free(struct engine *e);

/* The store, borrowed; for commands about images and kernels. */
struct store *engine_store(struct engine *e);

/* --- finding --- */

/* Finds by name, id, or an id's beginning that only one has; ENOENT when none has, EINVAL when
 * several have. Caller frees. */
int workload_find(struct engine *e, const char *ref, struct workload **ret, struct err *err)
	HULL_MUST_CHECK;

/* All of them, newest first. Caller frees with workloads_done(). */
int workload_list(struct engine *e, struct workloads *ret, struct err *err) HULL_MUST_CHECK;

/* Frees one; NULL is fine. */
void workload_free(struct workload *w);

/* Frees all; the list is empty afterwards. */
void workloads_done(struct workloads *list);

/* docker's word for its state: "created", "running", "paused", "restarting", "exited". */
const char *workload_state_name(const struct workload *w);

/* Whether its processes run, paused or not. */
bool workload_is_running(const struct workload *w);

/* Removes what commands that were killed left: folders without a record. */
int workload_sweep(struct engine *e, struct err *err) HULL_MUST_CHECK;

/* --- images as folders --- */

/* Mounts the image `what` read-only below the store's run folder, or finds it mounted; *ret_path is
 * where, the caller frees. It stays until image_view_unmount() or the end of the host's boot. */
int image_view_mount(struct engine *e, const char *what, char **ret_path, struct err *err)
	HULL_MUST_CHECK;

/* Unmounts it; force: though somebody is in it. ENOENT when it is not mounted. */
int image_view_unmount(struct engine *e, const char *what, bool force, struct err *err)
	HULL_MUST_CHECK;

/* Appends the ids of all mounted images. */
int image_view_list(struct engine *e, struct strv *ret, struct err *err) HULL_MUST_CHECK;

/* --- life --- */

/* Makes a workload that does not run yet. With start it is the caller's to start at once, and until
 * then no other command touches it. Caller frees. */
int workload_create(struct engine *e, const struct run_options *o, bool start,
		    struct workload **ret, struct err *err) HULL_MUST_CHECK;

/* How a command is bound to a workload's streams. */
struct attach_options {
	bool tty, in, out;
	bool no_sig_proxy;
	const char *detach_keys; /* NULL: ctrl-p,ctrl-q */
};

/* What became of an attached process. */
struct attach_end {
	bool detached; /* the user left; it goes on */
	bool keeper_lost; /* its keeper was killed */
	bool oom;
	uint32_t status;
	char reason[ERR_MSG_MAX]; /* of an isolation that failed; "" */
};

/*
 * Starts it in the background; nothing happens when it runs already. When it fails with w->state
 * KEEPER_FAILED the workload itself could not be run, and w->exit_status says how: 125, 126, 127.
 */
int workload_start(struct engine *e, struct workload *w, struct err *err) HULL_MUST_CHECK;

/* Starts it with this command's own streams, so that nothing it writes is missed, and waits for its
 * end. A start that failed is told by w->state KEEPER_FAILED and *ret. */
int workload_start_attached(struct engine *e, struct workload *w,
			    const struct attach_options *options, struct attach_end *ret,
			    struct err *err) HULL_MUST_CHECK;

/* Puts this command's streams to a running workload until its end, or until the user leaves. */
int workload_attach(struct engine *e, struct workload *w, const struct attach_options *options,
		    struct attach_end *ret, struct err *err) HULL_MUST_CHECK;

/* Whether its first process has a terminal. */
int workload_has_tty(struct engine *e, const struct workload *w, bool *ret, struct err *err)
	HULL_MUST_CHECK;

/* Waits for the keeper of a workload that has ended to go, and writes the end down (--rm: removes
 * the workload). */
int workload_finish(struct engine *e, struct workload *w, struct err *err) HULL_MUST_CHECK;

/* Runs one more process in a running workload. ENOENT and EACCES are about its program. */
int workload_exec(struct engine *e, struct workload *w, const struct exec_options *o,
		  struct attach_end *ret, struct err *err) HULL_MUST_CHECK;

/* Stops it by `signal` (0: its own), by SIGKILL after timeout_ms (OPTION_UNSET: its own). Nothing
 * happens when it does not run. */
int workload_stop(struct engine *e, struct workload *w, int signal, uint64_t timeout_ms,
		  struct err *err) HULL_MUST_CHECK;

/* Stops and starts it. */
int workload_restart(struct engine *e, struct workload *w, int signal, uint64_t timeout_ms,
		     struct err *err) HULL_MUST_CHECK;

/* Sends a signal to its first process. */
int workload_kill(struct engine *e, struct workload *w, int signal, struct err *err)
	HULL_MUST_CHECK;

/* Waits for its end; of one that does not run, the last. */
int workload_wait(struct engine *e, struct workload *w, uint32_t *ret_status, struct err *err)
	HULL_MUST_CHECK;

/* Freezes or thaws it. */
int workload_pause(struct engine *e, struct workload *w, bool paused, struct err *err)
	HULL_MUST_CHECK;

/* Changes the limits that are not zero, now and for later starts; disks and interfaces come and go
 * now, as long as it runs. */
int workload_update(struct engine *e, struct workload *w, const struct update_options *o,
		    struct err *err) HULL_MUST_CHECK;

/* Gives it another name. */
int workload_rename(struct engine *e, struct workload *w, const char *name, struct err *err)
	HULL_MUST_CHECK;

/* Removes it with all it has; EBUSY while it runs, unless forced. */
int workload_remove(struct engine *e, struct workload *w, bool force, struct err *err)
	HULL_MUST_CHECK;

/* Writes its root file system as a tar to `out`, without what is mounted into it. A stopped
 * machine's cannot be had. */
int workload_export(struct engine *e, struct workload *w, int out, struct err *err) HULL_MUST_CHECK;

/* Copies a file or folder out of a running workload (to "-": as a tar stream on standard output),
 * or into it (from "-": standard input). Paths inside are the workload's. With owners they are
 * kept. */
int workload_copy_out(struct engine *e, const struct workload *w, const char *from, const char *to,
		      bool owners, struct err *err) HULL_MUST_CHECK;
int workload_copy_in(struct engine *e, const struct workload *w, const char *from, const char *to,
		     bool owners, struct err *err) HULL_MUST_CHECK;

/* --- looking --- */

/* Counters of a running workload. */
int workload_stats(struct engine *e, struct workload *w, struct isolation_stats *ret,
		   struct err *err) HULL_MUST_CHECK;

/* Its processes; the caller releases with record_done(&isolation_top_record, …). */
int workload_top(struct engine *e, struct workload *w, struct isolation_top *ret, struct err *err)
	HULL_MUST_CHECK;

/* What a machine is, running or not; driver is a literal. */
struct machine_facts {
	const char *driver;
	uint64_t memory; /* bytes */
	uint32_t cpus;
};

/* EINVAL for what is no machine. */
int workload_machine(struct engine *e, const struct workload *w, struct machine_facts *ret,
		     struct err *err) HULL_MUST_CHECK;

/* Appends all that is known of a machine as a JSON object; of one that runs, what its monitor says
 * too. */
int workload_machine_inspect(struct engine *e, struct workload *w, struct buf *to, struct err *err)
	HULL_MUST_CHECK;

/* Appends docker's inspect object, and hull's Isolation and Machine. */
int workload_inspect(struct engine *e, const struct workload *w, struct buf *to, bool pretty,
		     struct err *err) HULL_MUST_CHECK;

/* Reads its log; query->alive is not used: following ends with the workload. */
int workload_logs(struct engine *e, const struct workload *w, const struct log_query *query,
		  struct err *err) HULL_MUST_CHECK;

/* Which events, and what to do with each; a negative answer of `event` ends the reading. */
struct event_query {
	uint64_t since_ns, until_ns; /* 0: no bound */
	bool past, follow;
	int (*event)(void *ctx, struct json_object *event, struct err *err);
	void *ctx;
};

/* Reads the store's events, oldest first. */
int events_read(struct engine *e, const struct event_query *query, struct err *err) HULL_MUST_CHECK;

/* Reads the texts of struct workload's `ports` ("127.0.0.1:8080->80/tcp, …") into a list of struct
 * keeper_port, which the caller releases with port_list_done(), on failure too. */
int port_texts_parse(const char *texts, struct list *ret, struct err *err) HULL_MUST_CHECK;

/* Frees a list of struct keeper_port. */
void port_list_done(struct list *ports);

DEFINE_AUTO(struct workload, workload_free)
