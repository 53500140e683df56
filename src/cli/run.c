/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "cli/commands.h"
#include "cli/run_options.h"
#include "engine/engine.h"

static const struct option own_options[] = {
	{"detach", 'd', OPTION_FLAG, NULL, "leave it running and print its id",
	 offsetof(struct run_options, detach)},
};

static const struct run_options defaults = {.stop_timeout_ms = OPTION_UNSET,
					    .log_max = OPTION_UNSET};

static void take_operands(struct call *call, struct run_options *o)
{
	o->image = call->operands[0];
	o->command = call->operands + 1;
	o->n_command = call->n - 1;
}

/* Where an ordinary user's run ends differs from host to host; what to do instead does not. */
static int explain(int r, struct err *err)
{
	if (r < 0 && geteuid() != 0 && (err->code == EACCES || err->code == EPERM))
		return err_wrap(err, "only root can do that (others: podman --runtime hull-oci)");
	return r;
}

static int run_detached(struct engine *e, struct workload *w, struct err *err)
{
	int r = explain(workload_start(e, w, err), err);

	if (r < 0 && w->state == KEEPER_FAILED) {
		complain("run", err->msg);
		return (int)w->exit_status;
	}
	if (r == 0)
		puts(w->id);
	return r;
}

static int run_attached(struct engine *e, struct workload *w, const struct run_options *o,
			struct err *err)
{
	const struct attach_options attach = {.tty = o->tty,
					      .in = o->interactive,
					      .out = true,
					      .no_sig_proxy = o->no_sig_proxy,
					      .detach_keys = o->detach_keys};
	struct attach_end end = {.status = 0};

	int r = explain(workload_start_attached(e, w, &attach, &end, err), err);
	if (r < 0 && w->state == KEEPER_FAILED) {
		complain("run", err->msg);
		return (int)w->exit_status;
	}
	if (r < 0 || end.detached)
		return r;
	if (end.keeper_lost)
		complain("run", "its keeper was killed");
	if (end.reason[0]) {
		struct err why = ERR_INIT;
		(void)err_set(&why, EACCES, "%s",
			      end.reason); /* what an isolation lacks, as a rule */
		(void)explain(w->state == KEEPER_FAILED ? -EACCES : 0, &why);
		complain("run", why.msg);
	}
	if (o->auto_remove || end.keeper_lost || w->state == KEEPER_FAILED) {
		struct err trouble = ERR_INIT;
		if (workload_finish(e, w, &trouble) < 0)
			complain("run", trouble.msg);
	}
	return (int)end.status;
}

static int run(struct call *call, struct err *err)
{
	struct run_options *o = call->options;
	struct engine *e = NULL;
	AUTO(auto_workload_free) struct workload *w = NULL;

	take_operands(call, o);
	int r = call_engine(call, &e, err);
	if (r == 0)
		r = workload_create(e, o, true, &w, err);
	if (r != 0)
		return explain(r, err);
	if (w->notice)
		complain("run", w->notice);
	r = o->detach ? run_detached(e, w, err) : run_attached(e, w, o, err);
	if (r < 0) {
		struct err ignored = ERR_INIT; /* the next command finds it */
		(void)!workload_finish(e, w, &ignored);
	}
	return r;
}

static int create(struct call *call, struct err *err)
{
	struct run_options *o = call->options;
	struct engine *e = NULL;
	AUTO(auto_workload_free) struct workload *w = NULL;

	take_operands(call, o);
	int r = call_engine(call, &e, err);
	if (r == 0)
		r = workload_create(e, o, false, &w, err);
	if (r == 0)
		puts(w->id);
	return r;
}

const struct command command_run = {
	.names = {"run", "container run"},
	.operands = "IMAGE [COMMAND [ARG...]]",
	.summary = "Make a workload from an image and run it",
	.example = "hull run --rm -it debian bash\n"
		   "hull run -d --name web -p 8080:80 web\n"
		   "hull run --rm --vm debian uname -r",
	.groups = {OPTION_GROUP(own_options, 0), OPTION_GROUP(run_option_table, 0),
		   OPTION_GROUP(limit_option_table, offsetof(struct run_options, limits))},
	.size = sizeof(struct run_options),
	.defaults = &defaults,
	.min = 1,
	.max = OPERANDS_ANY,
	.operands_end_options = true,
	.run = run,
};

const struct command command_create = {
	.names = {"create", "container create"},
	.operands = "IMAGE [COMMAND [ARG...]]",
	.summary = "Make a workload from an image without starting it",
	.example = "hull create --name web -p 8080:80 web && hull start web",
	.groups = {OPTION_GROUP(run_option_table, 0),
		   OPTION_GROUP(limit_option_table, offsetof(struct run_options, limits))},
	.size = sizeof(struct run_options),
	.defaults = &defaults,
	.min = 1,
	.max = OPERANDS_ANY,
	.operands_end_options = true,
	.run = create,
};
