/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/each.h"

#include <stdio.h>

#include "base/err.h"
#include "cli/cli.h"
#include "engine/engine.h"

int each_workload(struct call *call, each_fn *fn, bool quiet, struct err *err)
{
	struct engine *e = NULL;
	int status = 0;

	int r = call_engine(call, &e, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < call->n; i++) {
		AUTO(auto_workload_free) struct workload *w = NULL;
		struct err failure = ERR_INIT;
		r = workload_find(e, call->operands[i], &w, &failure);
		if (r == 0)
			r = fn(call, e, w, &failure);
		if (r < 0) {
			complain(call->command->names[0], failure.msg);
			status = 1;
		} else if (r > 0) {
			status = r;
		} else if (!quiet) {
			puts(call->operands[i]);
		}
	}
	return status;
}

int first_workload(struct call *call, struct engine **ret_engine, struct workload **ret,
		   struct err *err)
{
	int r = call_engine(call, ret_engine, err);

	return r < 0 ? r : workload_find(*ret_engine, call->operands[0], ret, err);
}
