/* SPDX-License-Identifier: Apache-2.0 */
/* stop, restart, kill, rm, wait, pause, unpause: one word to the engine for each workload. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include "base/err.h"
#include "cli/commands.h"
#include "cli/each.h"
#include "engine/engine.h"

struct stop_args {
	int signal;
	uint64_t timeout_ms;
};

static const struct stop_args stop_defaults = {.timeout_ms = OPTION_UNSET};

static const struct option stop_options[] = {
	{"signal", 's', OPTION_SIGNAL, "SIGNAL", "what is sent first (its own stop signal)",
	 offsetof(struct stop_args, signal)},
	{"time", 't', OPTION_DURATION, "TIME", "how long until it is killed (its own, or 10s)",
	 offsetof(struct stop_args, timeout_ms)},
};

static int stop_one(struct call *call, struct engine *e, struct workload *w, struct err *err)
{
	const struct stop_args *a = call->options;

	return workload_stop(e, w, a->signal, a->timeout_ms, err);
}

static int stop(struct call *call, struct err *err)
{
	return each_workload(call, stop_one, false, err);
}

static int restart_one(struct call *call, struct engine *e, struct workload *w, struct err *err)
{
	const struct stop_args *a = call->options;

	return workload_restart(e, w, a->signal, a->timeout_ms, err);
}

static int restart(struct call *call, struct err *err)
{
	return each_workload(call, restart_one, false, err);
}

struct kill_args {
	int signal;
};

static const struct kill_args kill_defaults = {.signal = SIGKILL};

static const struct option kill_options[] = {
	{"signal", 's', OPTION_SIGNAL, "SIGNAL", "which (KILL)",
	 offsetof(struct kill_args, signal)},
};

static int kill_one(struct call *call, struct engine *e, struct workload *w, struct err *err)
{
	const struct kill_args *a = call->options;

	return workload_kill(e, w, a->signal, err);
}

static int kill_command(struct call *call, struct err *err)
{
	return each_workload(call, kill_one, false, err);
}

struct rm_args {
	bool force, ignore, volumes;
};

static const struct option rm_options[] = {
	{"force", 'f', OPTION_FLAG, NULL, "end it first when it runs",
	 offsetof(struct rm_args, force)},
	{"ignore", 'i', OPTION_FLAG, NULL, "one that does not exist is fine",
	 offsetof(struct rm_args, ignore)},
	{"volumes", 'v', OPTION_FLAG, NULL, "its own volumes too (they always go)",
	 offsetof(struct rm_args, volumes)},
};

static int rm_one(struct call *call, struct engine *e, struct workload *w, struct err *err)
{
	const struct rm_args *a = call->options;

	return workload_remove(e, w, a->force, err);
}

static int rm(struct call *call, struct err *err)
{
	const struct rm_args *a = call->options;
	struct engine *e = NULL;
	size_t kept = 0;

	int r = call_engine(call, &e, err);
	if (r == 0)
		r = workload_sweep(e, err);
	if (r < 0)
		return r;
	for (size_t i = 0; a->ignore && i < call->n; i++) {
		AUTO(auto_workload_free) struct workload *w = NULL;
		struct err missing = ERR_INIT;
		if (workload_find(e, call->operands[i], &w, &missing) != -ENOENT)
			call->operands[kept++] = call->operands[i];
	}
	if (a->ignore)
		call->n = kept;
	return each_workload(call, rm_one, false, err);
}

static int wait_one(struct call *call, struct engine *e, struct workload *w, struct err *err)
{
	uint32_t status = 0;

	int r = workload_wait(e, w, &status, err);
	if (r == 0) {
		printf("%" PRIu32 "\n", status);
		(void)fflush(stdout); /* the next one may take long; main() judges ferror() */
	}
	return r;
}

static int wait_command(struct call *call, struct err *err)
{
	return each_workload(call, wait_one, true, err);
}

static int pause_one(struct call *call, struct engine *e, struct workload *w, struct err *err)
{
	return workload_pause(e, w, true, err);
}

static int pause_command(struct call *call, struct err *err)
{
	return each_workload(call, pause_one, false, err);
}

static int unpause_one(struct call *call, struct engine *e, struct workload *w, struct err *err)
{
	return workload_pause(e, w, false, err);
}

static int unpause(struct call *call, struct err *err)
{
	return each_workload(call, unpause_one, false, err);
}

const struct command command_stop = {
	.names = {"stop", "container stop"},
	.operands = "WORKLOAD...",
	.summary = "Ask workloads to end, and kill them when they do not",
	.example = "hull stop -t 3 web",
	.groups = {OPTION_GROUP(stop_options, 0)},
	.size = sizeof(struct stop_args),
	.defaults = &stop_defaults,
	.min = 1,
	.max = OPERANDS_ANY,
	.run = stop,
};

const struct command command_restart = {
	.names = {"restart", "container restart"},
	.operands = "WORKLOAD...",
	.summary = "Stop workloads and start them again",
	.example = "hull restart web",
	.groups = {OPTION_GROUP(stop_options, 0)},
	.size = sizeof(struct stop_args),
	.defaults = &stop_defaults,
	.min = 1,
	.max = OPERANDS_ANY,
	.run = restart,
};

const struct command command_kill = {
	.names = {"kill", "container kill"},
	.operands = "WORKLOAD...",
	.summary = "Send a signal to the first process of workloads",
	.example = "hull kill -s HUP web",
	.groups = {OPTION_GROUP(kill_options, 0)},
	.size = sizeof(struct kill_args),
	.defaults = &kill_defaults,
	.min = 1,
	.max = OPERANDS_ANY,
	.run = kill_command,
};

const struct command command_rm = {
	.names = {"rm", "container rm", "container remove"},
	.operands = "WORKLOAD...",
	.summary = "Remove workloads with all they have",
	.example = "hull rm -f web",
	.groups = {OPTION_GROUP(rm_options, 0)},
	.size = sizeof(struct rm_args),
	.min = 1,
	.max = OPERANDS_ANY,
	.run = rm,
};

const struct command command_wait = {
	.names = {"wait", "container wait"},
	.operands = "WORKLOAD...",
	.summary = "Wait for workloads to end and print their exit status",
	.example = "hull wait job",
	.min = 1,
	.max = OPERANDS_ANY,
	.run = wait_command,
};

const struct command command_pause = {
	.names = {"pause", "container pause"},
	.operands = "WORKLOAD...",
	.summary = "Freeze all processes of workloads",
	.example = "hull pause web",
	.min = 1,
	.max = OPERANDS_ANY,
	.run = pause_command,
};

const struct command command_unpause = {
	.names = {"unpause", "container unpause"},
	.operands = "WORKLOAD...",
	.summary = "Let frozen workloads go on",
	.example = "hull unpause web",
	.min = 1,
	.max = OPERANDS_ANY,
	.run = unpause,
};
