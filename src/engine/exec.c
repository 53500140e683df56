/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that put their own streams to a running workload: attach and exec. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "engine/build.h"
#include "engine/control_client.h"
#include "engine/events.h"
#include "engine/internal.h"
#include "engine/session.h"

int workload_attach(struct engine *e, struct workload *w, const struct attach_options *options,
		    struct attach_end *ret, struct err *err)
{
	AUTO(auto_session_free) struct session *s = NULL;
	struct control_request q = {.verb = CONTROL_ATTACH};

	AUTO_CLOSE int ctl = keeper_connect(e, w, err);
	if (ctl < 0)
		return ctl;
	const struct session_config config = {.ctl = ctl,
					      .life = -1,
					      .tty = options->tty,
					      .in = options->in,
					      .out = options->out,
					      .no_sig_proxy = options->no_sig_proxy,
					      .detach_keys = options->detach_keys};
	int r = session_new(&config, &s, err);
	if (r == 0)
		r = session_begin(s, &q, err);
	return r < 0 ? r : session_run(s, NULL, ret, err);
}

/* Replaces *to by a copy of s. */
static int replace(char **to, const char *s, struct err *err)
{
	free(*to);
	*to = NULL;
	return set_str(to, s, err);
}

static int exec_place(const struct exec_options *o, struct plan_process *p, struct err *err)
{
	int r = 0;

	if (o->workdir && o->workdir[0] != '/')
		return err_set(err, EINVAL, "-w: '%s' is not an absolute path", o->workdir);
	if (o->workdir)
		r = replace(&p->cwd, o->workdir, err);
	if (r == 0 && o->user) {
		r = replace(&p->user, *o->user ? o->user : NULL, err);
		strv_done(&p->groups);
	}
	return r;
}

/* The new process inherits what the workload's own has, and what the user says goes over it. */
static int exec_process(const struct plan *plan, const struct exec_options *o,
			struct plan_process *ret, struct err *err)
{
	int r = record_copy(&plan_process_record, &plan->process, ret, err);
	if (r < 0)
		return r;
	strv_done(&ret->args);
	for (size_t i = 0; r == 0 && i < o->n_command; i++)
		r = strv_add(&ret->args, o->command[i], err);
	if (r == 0 && o->tty && !plan->process.tty)
		r = strv_set_env(&ret->env, "TERM=xterm", err);
	if (r == 0)
		r = env_options(&o->env, &o->env_files, &ret->env, err);
	if (r == 0)
		r = exec_place(o, ret, err);
	ret->tty = o->tty;
	ret->rows = ret->cols = 0;
	if (o->tty)
		terminal_size(&ret->rows, &ret->cols);
	process_privileges(ret, o->privileged ? UINT64_MAX >> 23 : ret->cap_bounding);
	return r;
}

static int exec_here(int ctl, const struct exec_options *o, struct control_request *q,
		     struct attach_end *ret, struct err *err)
{
	AUTO(auto_session_free) struct session *s = NULL;
	const struct session_config config = {.ctl = ctl,
					      .life = -1,
					      .tty = o->tty,
					      .in = o->interactive,
					      .out = true,
					      .detach_keys = o->detach_keys};

	int r = session_new(&config, &s, err);
	if (r == 0)
		r = session_begin(s, q, err);
	return r < 0 ? r : session_run(s, NULL, ret, err);
}

static int exec_detached(int ctl, struct control_request *q, struct err *err)
{
	struct control_reply reply;

	q->number = 1;
	q->detach = true;
	int r = control_ask(ctl, q, NULL, 0, &reply, err);
	if (r == 0)
		record_done(&control_reply_record, &reply);
	return r;
}

int workload_exec(struct engine *e, struct workload *w, const struct exec_options *o,
		  struct attach_end *ret, struct err *err)
{
	struct control_request q = {.verb = CONTROL_EXEC};
	struct plan plan = {0};

	AUTO_CLOSE int ctl = keeper_connect(e, w, err);
	if (ctl < 0)
		return ctl;
	int r = workload_read_plan(e, w->id, &plan, err);
	if (r == 0)
		r = exec_process(&plan, o, &q.exec, err);
	if (r == 0)
		r = o->detach ? exec_detached(ctl, &q, err) : exec_here(ctl, o, &q, ret, err);
	record_done(&plan_record, &plan);
	record_done(&plan_process_record, &q.exec);
	return r;
}

int workload_has_tty(struct engine *e, const struct workload *w, bool *ret, struct err *err)
{
	struct plan plan;

	int r = workload_read_plan(e, w->id, &plan, err);
	if (r == 0) {
		*ret = plan.process.tty;
		record_done(&plan_record, &plan);
	}
	return r;
}
