/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/keeper_exec.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/fd.h"
#include "engine/keeper.h"

enum { EXECS_MAX = 1024 };

struct exec {
	struct execs *set;
	struct exec *next;
	uint32_t process;
	bool tty, started, ended;
	struct process_exit end;
	struct stdio *stdio;
	exec_told *told; /* NULL: nobody listens */
	void *ctx;
};

struct execs {
	struct keeper *k;
	struct exec *first;
	uint32_t last_process;
	uint32_t n;
};

int execs_new(struct execs **ret, struct keeper *k, struct err *err)
{
	struct execs *x = calloc(1, sizeof(*x));
	if (!x)
		return err_set(err, ENOMEM, "out of memory");
	x->k = k;
	*ret = x;
	return 0;
}

static void exec_free(struct exec *e)
{
	struct exec **at = &e->set->first;

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	e->set->n--;
	stdio_free(e->stdio);
	free(e);
}

static void tell(struct exec *e, const struct err *failure, const struct process_exit *end)
{
	if (e->told)
		e->told(e->ctx, e->process, failure, end);
}

static void exec_drained(void *ctx)
{
	struct exec *e = ctx;

	tell(e, NULL, &e->end);
	exec_free(e);
}

static void exec_started(void *ctx, const struct err *failure, const void *answer)
{
	struct exec *e = ctx;
	struct keeper *k = e->set->k;
	struct err err = ERR_INIT;
	int console = -1;

	if (!failure && e->tty) {
		console = k->ops->console(k->iso, e->process, &err);
		if (console < 0)
			failure = &err;
	}
	if (!failure && stdio_started(e->stdio, console, &err) < 0)
		failure = &err;
	tell(e, failure, NULL);
	if (failure) {
		exec_free(e);
		return;
	}
	e->started = true;
	if (e->ended)
		stdio_finish(e->stdio, exec_drained, e);
}

static int exec_open(struct exec *e, const struct exec_request *request, struct process_io *io,
		     struct err *err)
{
	const struct stdio_config config = {.loop = e->set->k->loop,
					    .tty = request->process->tty,
					    .open_stdin = request->fds.in >= 0,
					    .stdin_once = true};
	struct attach_fds fds = request->fds;
	struct attachment *client;

	int r = stdio_new(&e->stdio, &config, err);
	if (r < 0) {
		auto_close(&fds.in);
		auto_close(&fds.out);
		auto_close(&fds.err);
		return r;
	}
	r = stdio_attach(e->stdio, &fds, true, &client, err);
	return r < 0 ? r : stdio_open(e->stdio, io, err);
}

int exec_start(struct execs *x, const struct exec_request *request, struct err *err)
{
	struct process_io io;
	struct exec *e = x->n < EXECS_MAX ? calloc(1, sizeof(*e)) : NULL;
	if (!e) {
		struct attach_fds fds = request->fds;
		auto_close(&fds.in);
		auto_close(&fds.out);
		auto_close(&fds.err);
		return x->n < EXECS_MAX
			       ? err_set(err, ENOMEM, "out of memory")
			       : err_set(err, EAGAIN,
					 "%d processes were added to this workload already",
					 EXECS_MAX);
	}
	e->set = x;
	e->next = x->first;
	x->first = e;
	x->n++;
	e->tty = request->process->tty;
	e->process = ++x->last_process;
	e->told = request->told;
	e->ctx = request->ctx;
	int r = exec_open(e, request, &io, err);
	if (r < 0) {
		exec_free(e);
		return r;
	}
	x->k->ops->exec(x->k->iso, e->process, request->process, &io, exec_started, e);
	return 0;
}

void execs_forget(struct execs *x, const void *ctx)
{
	for (struct exec *e = x->first; e; e = e->next) {
		if (e->ctx == ctx) {
			e->told = NULL;
			e->ctx = NULL;
		}
	}
}

void execs_exited(struct execs *x, const struct process_exit *end)
{
	for (struct exec *e = x->first; e; e = e->next) {
		if (e->process != end->process || e->ended)
			continue;
		e->ended = true;
		e->end = (struct process_exit){.process = end->process,
					       .status = end->status,
					       .oom = end->oom};
		if (e->started)
			stdio_finish(e->stdio, exec_drained, e);
		return;
	}
}

void execs_end(struct execs *x)
{
	while (x->first) {
		struct exec *e = x->first;
		const struct process_exit killed = {.process = e->process, .status = 128 + SIGKILL};
		if (e->started)
			tell(e, NULL, e->ended ? &e->end : &killed);
		exec_free(e);
	}
}

void execs_free(struct execs *x)
{
	if (!x)
		return;
	while (x->first)
		exec_free(x->first);
	free(x);
}
