/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/err.h"
#include "cli/commands.h"
#include "cli/each.h"
#include "engine/engine.h"

static const struct option options[] = {
	{"interactive", 'i', OPTION_FLAG, NULL, "keep standard input open",
	 offsetof(struct exec_options, interactive)},
	{"tty", 't', OPTION_FLAG, NULL, "give it a terminal", offsetof(struct exec_options, tty)},
	{"detach", 'd', OPTION_FLAG, NULL, "leave it running",
	 offsetof(struct exec_options, detach)},
	{"env", 'e', OPTION_LIST, "KEY[=VALUE]", "set a variable, or hand on one's own",
	 offsetof(struct exec_options, env)},
	{"env-file", 0, OPTION_LIST, "FILE", "set the variables that FILE lists",
	 offsetof(struct exec_options, env_files)},
	{"workdir", 'w', OPTION_STRING, "PATH", "start in PATH",
	 offsetof(struct exec_options, workdir)},
	{"user", 'u', OPTION_STRING, "USER[:GROUP]", "run as USER",
	 offsetof(struct exec_options, user)},
	{"privileged", 0, OPTION_FLAG, NULL, "give it all capabilities",
	 offsetof(struct exec_options, privileged)},
	{"detach-keys", 0, OPTION_STRING, "KEYS", "keys to leave it with (ctrl-p,ctrl-q)",
	 offsetof(struct exec_options, detach_keys)},
};

static int run(struct call *call, struct err *err)
{
	struct exec_options *o = call->options;
	struct attach_end end = {.status = 0};
	struct engine *e = NULL;
	AUTO(auto_workload_free) struct workload *w = NULL;

	o->command = call->operands + 1;
	o->n_command = call->n - 1;
	int r = first_workload(call, &e, &w, err);
	if (r < 0)
		return r;
	r = workload_exec(e, w, o, &end, err);
	if (r == -ENOENT || r == -EACCES || r == -ENOEXEC) {
		complain("exec", err->msg);
		return r == -ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
	}
	if (r < 0 || end.detached)
		return r;
	if (end.keeper_lost)
		complain("exec", "the workload's keeper was killed");
	return (int)end.status;
}

const struct command command_exec = {
	.names = {"exec", "container exec"},
	.operands = "WORKLOAD COMMAND [ARG...]",
	.summary = "Run one more process in a running workload",
	.example = "hull exec -it web sh",
	.groups = {OPTION_GROUP(options, 0)},
	.size = sizeof(struct exec_options),
	.min = 2,
	.max = OPERANDS_ANY,
	.operands_end_options = true,
	.run = run,
};
