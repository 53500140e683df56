/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run. The keeper is a child of this process, so that wait4() tells at its end the CPU time of
 * everything that it had reaped: the workload's processes, or monitor and share. What this process
 * itself spends on making and starting is added.
 */
#include "compare/round.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/loop.h"
#include "base/proc.h"
#include "base/store.h"
#include "compare/compare.h"
#include "compare/host.h"
#include "compare/load.h"

enum { SAMPLE_US = 10000, SAMPLE_SHARE = 20, SETTLE_MS = 1500, NAP_MS = 20 };

static const char probe_inside[] = "/.hull-probe";

/* A workload while it is there. */
struct running {
	const struct round *round;
	struct workload *w;
	pid_t keeper; /* 0: not known */
	uint64_t begun_ns; /* CLOCK_REALTIME */
	uint64_t deadline_ms; /* CLOCK_MONOTONIC */
	double own_cpu_ns; /* this process' part */
	uint64_t peak;
	uint32_t port;
};

static double time_ns(struct timeval t)
{
	return (double)t.tv_sec * 1e9 + (double)t.tv_usec * 1e3;
}

static double own_cpu_ns(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u);
	return time_ns(u.ru_utime) + time_ns(u.ru_stime);
}

static void running_done(struct running *run)
{
	struct err ignored = ERR_INIT; /* an earlier failure is the one to tell */

	if (run->w && workload_remove(run->round->e, run->w, true, &ignored) < 0)
		run->keeper = 0; /* it may live on: not waited for */
	if (run->keeper > 0)
		(void)waitpid(run->keeper, NULL, 0);
	workload_free(run->w);
	*run = (struct running){0};
}

/* Adds a sample, unless this is a warm-up. */
static int note(const struct round *r, enum metric metric, double value, struct err *err)
{
	return r->counted ? series_add(&r->to->series[metric][r->side], value, err) : 0;
}

static int go_on(const struct running *run, struct err *err)
{
	const struct compare_options *o = run->round->o;

	if (o->interrupted && o->interrupted(o->ctx))
		return err_set(err, EINTR, "interrupted; what was made is removed");
	if (clock_ms() > run->deadline_ms)
		return err_set(err, ETIMEDOUT,
			       "it did not get ready in time (a server needs --load; see "
			       "--timeout)");
	return 0;
}

static int nap(const struct running *run, int ms, struct err *err)
{
	uint64_t until = clock_ms() + (uint64_t)ms;
	int r = 0;

	while (r == 0 && clock_ms() < until) {
		(void)poll(NULL, 0, ms < NAP_MS ? ms : NAP_MS);
		r = go_on(run, err);
	}
	return r;
}

/* Its keeper's pid, from the file that the keeper writes first. */
static int find_keeper(struct running *run, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	char path[128];
	struct proc_id id;

	(void)snprintf(path, sizeof(path), "workloads/%s/keeper", run->w->id);
	int r = file_read(engine_store(run->round->e)->run_fd, path, PROC_ID_TEXT, &text, err);
	buf_str(&text, "");
	if (r == 0)
		r = buf_check(&text, err);
	if (r == 0)
		r = proc_id_parse(text.data, &id, err);
	if (r == 0)
		run->keeper = id.pid;
	return r;
}

/* Makes and starts it, on the clock. */
static int start(struct running *run, struct run_options *options, struct err *err)
{
	const struct round *r = run->round;
	double cpu = own_cpu_ns();

	options->image = r->o->image;
	options->vm = r->side == SIDE_MACHINE;
	options->isolation = options->vm ? "vm" : "container";
	options->kernel = options->vm ? r->o->kernel : NULL;
	options->limits = r->o->limits;
	options->env = r->o->env;
	options->detach = true;
	run->deadline_ms = clock_ms() + r->o->timeout_ms;
	run->begun_ns = host_now_ns();
	int made = workload_create(r->e, options, true, &run->w, err);
	if (made == 0)
		made = workload_start(r->e, run->w, err);
	run->own_cpu_ns = own_cpu_ns() - cpu;
	if (made < 0)
		return made;
	made = find_keeper(run, err);
	if (made == 0)
		made = go_on(run, err);
	if (made == 0)
		made = note(r, METRIC_START, (double)(run->w->started_ns - run->begun_ns), err);
	return made;
}

static void sample(struct running *run)
{
	uint64_t now = host_memory(run->keeper);

	run->peak = now > run->peak ? now : run->peak;
}

/* Until its first process (or its monitor) has ended. Looking takes at most a twentieth of the
 * time, lest it be measured too. */
static int watch(struct running *run, struct err *err)
{
	AUTO_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)run->w->pid, 0);
	int r = 0;

	while (r == 0 && pidfd >= 0) {
		struct pollfd pfd = {.fd = pidfd, .events = POLLIN};
		uint64_t from = host_now_ns();
		sample(run);
		int64_t us = (int64_t)(host_now_ns() - from) / 1000 * SAMPLE_SHARE;
		us = us < SAMPLE_US ? SAMPLE_US : us > 20L * SAMPLE_US ? 20L * SAMPLE_US : us;
		if (poll(&pfd, 1, (int)(us / 1000)) > 0)
			break;
		r = go_on(run, err);
	}
	return r;
}

struct last_line {
	char text[200];
};

static int keep_line(void *ctx, const struct log_entry *entry, struct err *err)
{
	struct last_line *last = ctx;
	int n = (int)(entry->len < sizeof(last->text) ? entry->len : sizeof(last->text) - 1);

	(void)snprintf(last->text, sizeof(last->text), "%.*s", n, entry->text);
	last->text[strcspn(last->text, "\n")] = '\0';
	return 0;
}

static int judge_status(struct running *run, uint32_t status, struct err *err)
{
	struct last_line last = {""};
	struct err ignored = ERR_INIT; /* no log, no last words */
	const struct log_query query = {.streams = 1U << LOG_STDERR,
					.has_tail = true,
					.tail = 1,
					.entry = keep_line,
					.ctx = &last};

	if (status == 0)
		return 0;
	if (workload_logs(run->round->e, run->w, &query, &ignored) < 0)
		last.text[0] = '\0';
	const char *words = last.text[0] ? last.text : run->w->error ? run->w->error : "no words";
	return err_set(err, ECHILD, "the command ended with status %u as %s: %s", status,
		       run->w->vm ? "machine" : "container", words);
}

static int note_end(struct running *run, struct err *err)
{
	const struct round *r = run->round;
	char path[128];
	struct rusage u = {0};
	uint64_t disk = 0;

	(void)snprintf(path, sizeof(path), "workloads/%s", run->w->id);
	int made = host_disk(engine_store(r->e)->root_fd, path, &disk, err);
	if (made < 0)
		return made;
	if (wait4(run->keeper, NULL, 0, &u) != run->keeper)
		return err_sys(err, "wait for the keeper");
	run->keeper = 0;
	made = note(r, METRIC_CPU, run->own_cpu_ns + time_ns(u.ru_utime) + time_ns(u.ru_stime),
		    err);
	if (made == 0)
		made = note(r, METRIC_PEAK, (double)run->peak, err);
	if (made == 0)
		made = note(r, METRIC_DISK, (double)disk, err);
	return made;
}

/* One line of the probe: "NAME VALUE"; ctx points at a pointer to the round. */
static int read_probe_line(void *ctx, const struct log_entry *entry, struct err *err)
{
	const struct round *r = *(const struct round **)ctx;
	char line[128];
	int n = (int)(entry->len < sizeof(line) ? entry->len : sizeof(line) - 1);

	(void)snprintf(line, sizeof(line), "%.*s", n, entry->text);
	char *space = strchr(line, ' ');
	if (!space)
		return 0;
	*space = '\0';
	for (int m = METRIC_PROBE_CPU; m < METRICS; m++) {
		if (strcmp(metric_infos[m].key, line) == 0)
			return note(r, m, strtod(space + 1, NULL), err);
	}
	return 0;
}

/* The volumes of the comparison, and with `probe` hull-probe as the command. *ret is the caller's;
 * the options borrow it. */
static int add_volumes(const struct round *round, struct run_options *options, bool probe,
		       struct strv *ret, struct err *err)
{
	AUTO_FREE char *program = NULL;
	AUTO_BUF struct buf spec = BUF_INIT;

	int r = strv_add_all(ret, &round->o->volumes, err);
	if (r == 0 && probe)
		r = program_path("hull-probe", &program, err);
	if (r == 0 && probe) {
		buf_printf(&spec, "%s:%s:ro", program, probe_inside);
		r = buf_check(&spec, err);
	}
	if (r == 0 && probe) {
		options->entrypoint = probe_inside;
		r = strv_add(ret, spec.data, err);
	}
	options->volumes = *ret;
	return r;
}

static int end_noted(struct running *run, uint32_t *status, struct err *err)
{
	struct engine *e = run->round->e;

	int r = workload_wait(e, run->w, status, err);
	if (r == 0)
		r = workload_finish(e, run->w, err);
	return r;
}

int round_to_end(const struct round *r, struct err *err)
{
	AUTO(running_done) struct running run = {.round = r};
	struct run_options options = RUN_OPTIONS_INIT;
	AUTO_STRV struct strv volumes = {0};
	uint32_t status = 0;

	bool probing = r->probes->n > 0;
	options.command = probing ? r->probes->v : r->o->command;
	options.n_command = probing ? r->probes->n : r->o->n_command;
	options.network = "none";
	int made = add_volumes(r, &options, probing, &volumes, err);
	if (made == 0)
		made = start(&run, &options, err);
	if (made == 0)
		made = watch(&run, err);
	if (made == 0)
		made = end_noted(&run, &status, err);
	if (made == 0)
		made = judge_status(&run, status, err);
	if (made == 0 && probing) {
		const struct log_query query = {.streams = 1U << LOG_STDOUT,
						.entry = read_probe_line,
						.ctx = &r};
		made = workload_logs(r->e, run.w, &query, err);
	}
	if (made == 0)
		made = note(r, METRIC_EXIT, (double)(run.w->finished_ns - run.begun_ns), err);
	return made != 0 ? made : note_end(&run, err);
}

static int note_idle(const struct running *run, struct err *err)
{
	const struct round *r = run->round;
	struct memory m;

	host_memory_apart(run->keeper, &m);
	const uint64_t sum = m.keeper + m.monitor + m.guest + m.share + m.workload;
	int made = note(r, METRIC_IDLE, (double)sum, err);
	if (made == 0)
		made = note(r, METRIC_IDLE_WORKLOAD, (double)m.workload, err);
	if (made == 0)
		made = note(r, METRIC_IDLE_GUEST, (double)m.guest, err);
	if (made == 0)
		made = note(r, METRIC_IDLE_MONITOR, (double)m.monitor, err);
	if (made == 0)
		made = note(r, METRIC_IDLE_SHARE, (double)m.share, err);
	if (made == 0)
		made = note(r, METRIC_IDLE_KEEPER, (double)m.keeper, err);
	return made;
}

int round_idle(const struct round *r, struct err *err)
{
	char word[] = "idle";
	char *idle[] = {word, NULL};
	/* only what it takes while idle is counted */
	const struct round uncounted = {.e = r->e, .o = r->o, .side = r->side, .to = r->to};
	AUTO(running_done) struct running run = {.round = &uncounted};
	struct run_options options = RUN_OPTIONS_INIT;
	AUTO_STRV struct strv volumes = {0};

	options.command = idle;
	options.n_command = 1;
	options.network = "none";
	int made = add_volumes(r, &options, true, &volumes, err);
	if (made == 0)
		made = start(&run, &options, err);
	if (made == 0)
		made = nap(&run, SETTLE_MS, err);
	run.round = r;
	return made < 0 ? made : note_idle(&run, err);
}

/* The port that was bound for it: "127.0.0.1:PORT->…". */
static int find_port(struct running *run, struct err *err)
{
	AUTO(auto_workload_free) struct workload *now = NULL;

	int r = workload_find(run->round->e, run->w->id, &now, err);
	if (r < 0)
		return r;
	const char *colon = now->ports ? strchr(now->ports, ':') : NULL;
	run->port = colon ? (uint32_t)strtoul(colon + 1, NULL, 10) : 0;
	if (run->port == 0)
		return err_set(err, EIO, "no port was published");
	return 0;
}

static int await_answer(struct running *run, struct err *err)
{
	int r = 0;

	while (r == 0 && !load_answers(run->port, run->round->o->load)) {
		AUTO_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)run->w->pid, 0);
		if (pidfd < 0)
			return err_set(err, ECHILD, "the server ended before it had answered");
		r = nap(run, NAP_MS, err);
	}
	return r;
}

static int under_load(struct running *run, struct err *err)
{
	const struct round *r = run->round;
	struct load load = {0};

	int made = load_run(run->port, r->o->load, r->o->duration_ms, &load, err);
	if (made < 0)
		return err_wrap(err, "%s", r->side == SIDE_MACHINE ? "machine" : "container");
	sample(run);
	made = note(r, METRIC_RATE, load.rate, err);
	if (made == 0)
		made = note(r, METRIC_P50, load.p50, err);
	if (made == 0)
		made = note(r, METRIC_P99, load.p99, err);
	return made;
}

int round_load(const struct round *r, struct err *err)
{
	AUTO(running_done) struct running run = {.round = r};
	struct run_options options = RUN_OPTIONS_INIT;
	AUTO_STRV struct strv publish = {0};
	char port[48];
	uint32_t status = 0;

	(void)snprintf(port, sizeof(port), "127.0.0.1::%u", r->o->port);
	int made = strv_add(&publish, port, err);
	options.command = r->o->command;
	options.n_command = r->o->n_command;
	options.volumes = r->o->volumes;
	options.publish = publish;
	if (made == 0)
		made = start(&run, &options, err);
	if (made == 0)
		made = find_port(&run, err);
	if (made == 0)
		made = await_answer(&run, err);
	if (made == 0)
		made = note(r, METRIC_READY, (double)(host_now_ns() - run.begun_ns), err);
	if (made == 0)
		made = nap(&run, SETTLE_MS, err);
	if (made == 0)
		made = note_idle(&run, err);
	if (made == 0)
		made = under_load(&run, err);
	if (made == 0)
		made = workload_stop(r->e, run.w, 0, OPTION_UNSET, err);
	if (made == 0)
		made = end_noted(&run, &status, err);
	return made != 0 ? made : note_end(&run, err);
}
