/* SPDX-License-Identifier: Apache-2.0 */
/* The processes that were added to a running workload by exec, with their streams. */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "engine/keeper_stdio.h"

struct err;
struct execs;
struct keeper;
struct plan_process;
struct process_exit;

/* Told of one exec: first with end NULL (it runs, or failure says why not and nothing follows),
 * then with its end. */
typedef void exec_told(void *ctx, uint32_t process, const struct err *failure,
		       const struct process_exit *end);

/* Makes an empty set for the keeper. */
int execs_new(struct execs **ret, struct keeper *k, struct err *err) HULL_MUST_CHECK;

struct exec_request {
	const struct plan_process *process; /* borrowed for the call */
	struct attach_fds fds; /* taken, also on failure */
	bool detach;
	exec_told *told;
	void *ctx;
};

/* Starts one; told is called perhaps before this returns, and is not called when this fails. */
int exec_start(struct execs *x, const struct exec_request *request, struct err *err)
	HULL_MUST_CHECK;

/* Nobody listens to what is told under ctx any more; the processes go on. */
void execs_forget(struct execs *x, const void *ctx);

/* The isolation says that one ended. */
void execs_exited(struct execs *x, const struct process_exit *end);

/* The workload is gone: tells each that is left that it was killed. */
void execs_end(struct execs *x);

/* Frees all, telling nobody; NULL is fine. */
void execs_free(struct execs *x);
