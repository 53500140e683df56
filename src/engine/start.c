/* SPDX-License-Identifier: Apache-2.0 */
/* Starting workloads: a keeper is spawned under the workload's lock and tells how it went. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/db.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/proc.h"
#include "engine/address.h"
#include "engine/control_client.h"
#include "engine/events.h"
#include "engine/internal.h"
#include "engine/session.h"

enum { CONNECT_NAP_US = 200, CONNECT_TRIES = 50000, KEEPER_END_MS = 30000 };

/* A keeper that was spawned. */
struct keeper_start {
	int run_fd;
	int life;
};

static void keeper_start_done(struct keeper_start *k)
{
	auto_close(&k->run_fd);
	auto_close(&k->life);
}

int keeper_read_life(int life, struct keeper_status *ret, struct err *err)
{
	char bytes[8192];
	ssize_t n;

	do {
		n = recv(life, bytes, sizeof(bytes), 0);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return err_set(err, EIO, "the keeper ended before it had started anything");
	return record_decode(&keeper_status_record, bytes, (size_t)n, ret, err);
}

static int spawn(const char *const *argv, int life, struct err *err)
{
	const struct spawn s = {.argv = argv,
				.in = -1,
				.out = -1,
				.err = -1,
				.keep = &life,
				.n_keep = 1,
				.new_session = true};
	pid_t pid = proc_spawn(&s, err);

	return pid < 0 ? pid : 0;
}

/* Makes the run folder anew and spawns the keeper on it. */
static int keeper_spawn(struct engine *e, const struct workload *w, bool wait_attach,
			struct keeper_start *ret, struct err *err)
{
	AUTO_FREE char *program = NULL;
	char folder[4096];
	char run[4096];
	char layers[4096];
	char number[16];
	int pair[2];

	int r = program_path("hull-keeper", &program, err);
	if (r == 0)
		r = workload_remove_run(e, w->id, err);
	if (r == 0)
		r = path_mkdir_all(e->store->run_fd, "layers", 0700, err);
	if (r < 0)
		return r;
	AUTO_CLOSE int run_fd = workload_run_folder(e, w->id, true, err);
	if (run_fd < 0)
		return run_fd;
	if (snprintf(folder, sizeof(folder), "%s/workloads/%s", e->store->root, w->id) >=
		    (int)sizeof(folder) ||
	    snprintf(run, sizeof(run), "%s/workloads/%s", e->store->run, w->id) >=
		    (int)sizeof(run) ||
	    snprintf(layers, sizeof(layers), "%s/layers", e->store->run) >= (int)sizeof(layers))
		return err_set(err, ENAMETOOLONG, "the store's path is too long");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "create socket pair");
	AUTO_CLOSE int ours = pair[0];
	AUTO_CLOSE int theirs = pair[1];
	(void)snprintf(number, sizeof(number), "%d", theirs);
	const char *argv[] = {program, "--wait-attach", folder, run, layers, number, NULL};
	const char *argv_now[] = {program, folder, run, layers, number, NULL};
	r = spawn(wait_attach ? argv : argv_now, theirs, err);
	if (r < 0)
		return r;
	ret->run_fd = TAKE_FD(run_fd);
	ret->life = TAKE_FD(ours);
	return 0;
}

/* The keeper's socket appears within milliseconds; a keeper that ends instead hangs up on life, or
 * has something to say there: then it answers 1. The caller closes *ret. */
static int connect_keeper(const struct keeper_start *k, int *ret, struct err *err)
{
	for (int i = 0; i < CONNECT_TRIES; i++) {
		struct err not_yet = ERR_INIT;
		struct pollfd pfd = {.fd = k->life, .events = POLLIN};
		int fd = control_open(k->run_fd, &not_yet);
		if (fd >= 0) {
			*ret = fd;
			return 0;
		}
		if (poll(&pfd, 1, 0) > 0)
			return 1;
		(void)nanosleep(&(struct timespec){.tv_nsec = CONNECT_NAP_US * 1000L}, NULL);
	}
	return err_set(err, ETIMEDOUT, "the keeper does not answer");
}

/* w as it is when its start failed. The keeper takes everything apart and ends. */
static int start_failed(struct engine *e, struct workload *w, const struct keeper_status *status,
			struct err *err)
{
	struct err ignored = ERR_INIT; /* the next command finds what is left */
	uint32_t code = status->exit.status ? status->exit.status : 125;
	char reason[ERR_MSG_MAX];

	(void)snprintf(reason, sizeof(reason), "%s",
		       status->exit.reason ? status->exit.reason : "the keeper gave no reason");
	if (keeper_wait(e, w, KEEPER_END_MS, &ignored) == 0 &&
	    workload_fold_locked(e, w, &ignored) < 0)
		w->error = w->error ? w->error : strdup(ignored.msg);
	w->state = KEEPER_FAILED;
	w->exit_status = code;
	return err_set(err, status->code ? (int)status->code : EIO, "%s", reason);
}

/* The orders are written last: until they are, the next start does all of it again. */
static int write_address(struct engine *e, const struct workload *w, const struct plan *plan,
			 const struct keeper_orders *orders, struct err *err)
{
	AUTO_CLOSE int folder = workload_folder(e, w->id, err);
	if (folder < 0)
		return folder;
	int r = record_write(folder, "plan", &plan_record, plan, err);
	return r < 0 ? r : record_write(folder, "orders", &keeper_orders_record, orders, err);
}

/* A workload that stood still may have missed that the store's network chose another subnet. */
static int renew_address(struct engine *e, const struct workload *w, struct keeper_orders *orders,
			 struct err *err)
{
	AUTO_TXN struct db *txn = NULL;
	struct plan plan = {0};

	int r = db_begin(e->store->db, &txn, err);
	if (r == 0)
		r = address_is_outdated(e->store, &orders->network, err);
	if (r <= 0)
		return r;
	r = workload_read_plan(e, w->id, &plan, err);
	if (r == 0)
		r = address_renew(e->store, txn, w->id, &plan, &orders->network, err);
	if (r == 0)
		r = db_commit(&txn, err);
	if (r == 0)
		r = write_address(e, w, &plan, orders, err);
	record_done(&plan_record, &plan);
	return r;
}

static int check_address(struct engine *e, const struct workload *w, struct err *err)
{
	struct keeper_orders orders = {0};

	int r = workload_read_orders(e, w->id, &orders, err);
	if (r == 0 && orders.network.name)
		r = renew_address(e, w, &orders, err);
	record_done(&keeper_orders_record, &orders);
	return r;
}

/* The record says "started" from here on: whoever finds it without a keeper repairs it. */
static int note_start(struct engine *e, struct workload *w, struct err *err)
{
	if (w->state == KEEPER_STARTING)
		return 0; /* made so by workload_create() */
	int r = check_address(e, w, err);
	if (r < 0)
		return r;
	w->pid = 0;
	w->state = KEEPER_STARTING;
	w->stopped_by_user = false;
	w->oom = false;
	w->exit_status = 0;
	free(w->error);
	w->error = NULL;
	return workload_save_state(e, w, err);
}

int workload_start_locked(struct engine *e, struct workload *w, struct err *err)
{
	AUTO(keeper_start_done) struct keeper_start k = {-1, -1};
	struct keeper_status status = {0};

	int r = note_start(e, w, err);
	if (r == 0)
		r = keeper_spawn(e, w, false, &k, err);
	if (r == 0)
		r = keeper_read_life(k.life, &status, err);
	if (r == 0 && status.state == KEEPER_FAILED)
		r = start_failed(e, w, &status, err);
	if (r == 0) {
		w->state = status.state;
		w->pid = status.pid;
		w->started_ns = status.started_ns;
		event_write(e, w, "start", NULL);
	}
	record_done(&keeper_status_record, &status);
	return r;
}

/* Takes the lock and looks again. Answers 1 when it runs already. */
static int lock_for_start(struct engine *e, struct workload *w, int *ret_lock, struct err *err)
{
	if (w->lock >= 0) { /* it was made for this */
		*ret_lock = TAKE_FD(w->lock);
		return 0;
	}
	AUTO_CLOSE int lock = workload_lock(e, w->id, true, err);
	if (lock < 0)
		return lock;
	int r = workload_reload(e, w, err);
	if (r == 0 && w->state != 0 && w->state != KEEPER_EXITED && w->state != KEEPER_FAILED)
		r = workload_fold_locked(e, w, err);
	if (r == 1)
		return err_set(err, ENOENT, "it ended meanwhile and had --rm");
	if (r == 0 && (workload_is_running(w) || w->state == KEEPER_RESTARTING))
		return 1;
	if (r == 0)
		*ret_lock = TAKE_FD(lock);
	return r;
}

int workload_start(struct engine *e, struct workload *w, struct err *err)
{
	AUTO_CLOSE int lock = -1;

	int r = lock_for_start(e, w, &lock, err);
	if (r != 0)
		return r < 0 ? r : 0;
	return workload_start_locked(e, w, err);
}

int workload_finish(struct engine *e, struct workload *w, struct err *err)
{
	int r = keeper_wait(e, w, KEEPER_END_MS, err);

	if (r == 0)
		r = workload_fold(e, w, err);
	return r < 0 ? r : 0;
}

static int attached(struct engine *e, struct workload *w, const struct session_config *config,
		    struct attach_end *ret, struct err *err)
{
	AUTO(auto_session_free) struct session *s = NULL;
	struct keeper_status status = {0};
	struct control_request q = {.verb = CONTROL_ATTACH, .foreground = true};

	int r = session_new(config, &s, err);
	if (r == 0)
		r = session_begin(s, &q, err);
	if (r == 0)
		r = session_run(s, &status, ret, err);
	if (r == 0 && status.state == KEEPER_FAILED)
		w->state = KEEPER_FAILED;
	else if (r == 0)
		event_write(e, w, "start", NULL);
	record_done(&keeper_status_record, &status);
	return r;
}

/* A start that failed before the keeper could listen. */
static int failed_early(struct engine *e, struct workload *w, int life, struct err *err)
{
	struct keeper_status status = {0};

	int r = keeper_read_life(life, &status, err);
	if (r == 0)
		r = start_failed(e, w, &status, err);
	record_done(&keeper_status_record, &status);
	return r;
}

int workload_start_attached(struct engine *e, struct workload *w,
			    const struct attach_options *options, struct attach_end *ret,
			    struct err *err)
{
	AUTO(keeper_start_done) struct keeper_start k = {-1, -1};
	AUTO_CLOSE int lock = -1;
	AUTO_CLOSE int ctl = -1;

	int r = lock_for_start(e, w, &lock, err);
	if (r == 1)
		return workload_attach(e, w, options, ret, err);
	if (r == 0)
		r = note_start(e, w, err);
	if (r == 0)
		r = keeper_spawn(e, w, true, &k, err);
	if (r == 0)
		r = connect_keeper(&k, &ctl, err);
	if (r != 0)
		return r < 0 ? r : failed_early(e, w, k.life, err);
	auto_close(&lock); /* `keeper` is written before it listens: nobody takes it for dead */
	const struct session_config config = {.ctl = ctl,
					      .life = k.life,
					      .tty = options->tty,
					      .in = options->in,
					      .out = options->out,
					      .no_sig_proxy = options->no_sig_proxy,
					      .detach_keys = options->detach_keys};
	return attached(e, w, &config, ret, err);
}
