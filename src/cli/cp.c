/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cli/commands.h"
#include "engine/engine.h"

struct cp_args {
	bool archive;
};

static const struct option options[] = {
	{"archive", 'a', OPTION_FLAG, NULL, "keep owners (default: the caller's, or root inside)",
	 offsetof(struct cp_args, archive)},
};

/* "WORKLOAD:PATH": the colon, or NULL for a path of the host's ("./a:b", "/a:b"). */
static char *colon(char *text)
{
	char *at = strchr(text, ':');

	return at && at > text && text[0] != '.' && text[0] != '/' ? at : NULL;
}

static int run(struct call *call, struct err *err)
{
	const struct cp_args *a = call->options;
	char *from = colon(call->operands[0]);
	char *to = colon(call->operands[1]);
	struct engine *e = NULL;
	AUTO(auto_workload_free) struct workload *w = NULL;

	if (!from == !to)
		return err_set(err, EINVAL,
			       "one side is WORKLOAD:PATH, and one a path of the host");
	char *inside = from ? from : to;
	*inside++ = '\0';
	int r = call_engine(call, &e, err);
	if (r == 0)
		r = workload_find(e, call->operands[from ? 0 : 1], &w, err);
	if (r < 0)
		return r;
	if (from)
		return workload_copy_out(e, w, *inside ? inside : "/", call->operands[1],
					 a->archive, err);
	return workload_copy_in(e, w, call->operands[0], *inside ? inside : "/", a->archive, err);
}

const struct command command_cp = {
	.names = {"cp", "container cp"},
	.operands = "WORKLOAD:PATH PATH | PATH WORKLOAD:PATH",
	.summary = "Copy files between a running workload and the host",
	.example =
		"hull cp web:/etc/nginx .\nhull cp page.html web:/srv\nhull cp web:/srv - | tar t",
	.groups = {OPTION_GROUP(options, 0)},
	.size = sizeof(struct cp_args),
	.min = 2,
	.max = 2,
	.run = run,
};
