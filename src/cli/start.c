/* SPDX-License-Identifier: Apache-2.0 */
/* start and attach. */
#include <errno.h>

#include "base/err.h"
#include "cli/commands.h"
#include "cli/each.h"
#include "engine/engine.h"

struct start_args {
	bool attach, interactive;
	const char *detach_keys;
	bool no_sig_proxy;
};

static const struct option start_options[] = {
	{"attach", 'a', OPTION_FLAG, NULL, "show what it writes and wait for its end",
	 offsetof(struct start_args, attach)},
	{"interactive", 'i', OPTION_FLAG, NULL, "hand standard input on",
	 offsetof(struct start_args, interactive)},
	{"detach-keys", 0, OPTION_STRING, "KEYS", "keys to leave it with (ctrl-p,ctrl-q)",
	 offsetof(struct start_args, detach_keys)},
	{"sig-proxy", 0, OPTION_FLAG, NULL, "hand signals on to it (default; =false: do not)",
	 offsetof(struct start_args, no_sig_proxy), .flag_value = true},
};

static int start_one(struct call *call, struct engine *e, struct workload *w, struct err *err)
{
	int r = workload_start(e, w, err);

	if (r < 0 && w->state == KEEPER_FAILED) {
		complain("start", err->msg);
		return (int)w->exit_status;
	}
	return r;
}

/* The end of an attached workload as an exit status, with what there is to say. */
static int tell_end(const struct call *call, const struct attach_end *end)
{
	if (end->detached)
		return 0;
	if (end->keeper_lost)
		complain(call->command->names[0], "its keeper was killed");
	if (end->reason[0])
		complain(call->command->names[0], end->reason);
	return (int)end->status;
}

static int start_attached(struct call *call, struct err *err)
{
	const struct start_args *a = call->options;
	struct attach_end end = {.status = 0};
	struct engine *e = NULL;
	AUTO(auto_workload_free) struct workload *w = NULL;
	struct attach_options attach = {.in = a->interactive,
					.out = true,
					.no_sig_proxy = a->no_sig_proxy,
					.detach_keys = a->detach_keys};

	if (call->n != 1)
		return err_set(err, EINVAL, "-a: only one workload at a time");
	int r = first_workload(call, &e, &w, err);
	if (r == 0)
		r = workload_has_tty(e, w, &attach.tty, err);
	if (r == 0)
		r = workload_start_attached(e, w, &attach, &end, err);
	if (r < 0 && w && w->state == KEEPER_FAILED) {
		complain("start", err->msg);
		return (int)w->exit_status;
	}
	if (r == 0 && w->auto_remove && !end.detached) {
		struct err trouble = ERR_INIT;
		if (workload_finish(e, w, &trouble) < 0)
			complain("start", trouble.msg);
	}
	return r < 0 ? r : tell_end(call, &end);
}

static int start(struct call *call, struct err *err)
{
	const struct start_args *a = call->options;

	if (a->attach || a->interactive)
		return start_attached(call, err);
	return each_workload(call, start_one, false, err);
}

struct attach_args {
	bool no_stdin, no_sig_proxy;
	const char *detach_keys;
};

static const struct option attach_option_table[] = {
	{"no-stdin", 0, OPTION_FLAG, NULL, "do not hand standard input on",
	 offsetof(struct attach_args, no_stdin)},
	{"detach-keys", 0, OPTION_STRING, "KEYS", "keys to leave it with (ctrl-p,ctrl-q)",
	 offsetof(struct attach_args, detach_keys)},
	{"sig-proxy", 0, OPTION_FLAG, NULL, "hand signals on to it (default; =false: do not)",
	 offsetof(struct attach_args, no_sig_proxy), .flag_value = true},
};

static int attach(struct call *call, struct err *err)
{
	const struct attach_args *a = call->options;
	struct attach_end end = {.status = 0};
	struct engine *e = NULL;
	AUTO(auto_workload_free) struct workload *w = NULL;
	struct attach_options options = {.in = !a->no_stdin,
					 .out = true,
					 .no_sig_proxy = a->no_sig_proxy,
					 .detach_keys = a->detach_keys};

	int r = first_workload(call, &e, &w, err);
	if (r == 0)
		r = workload_has_tty(e, w, &options.tty, err);
	if (r == 0)
		r = workload_attach(e, w, &options, &end, err);
	return r < 0 ? r : tell_end(call, &end);
}

const struct command command_start = {
	.names = {"start", "container start"},
	.operands = "WORKLOAD...",
	.summary = "Start workloads that do not run",
	.example = "hull start web\nhull start -ai shell",
	.groups = {OPTION_GROUP(start_options, 0)},
	.size = sizeof(struct start_args),
	.min = 1,
	.max = OPERANDS_ANY,
	.run = start,
};

const struct command command_attach = {
	.names = {"attach", "container attach"},
	.operands = "WORKLOAD",
	.summary = "Put one's own terminal to a running workload",
	.example = "hull attach shell",
	.groups = {OPTION_GROUP(attach_option_table, 0)},
	.size = sizeof(struct attach_args),
	.min = 1,
	.max = 1,
	.run = attach,
};
