/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that do the same to each of several workloads. */
#pragma once

#include <stdbool.h>

#include "base/attr.h"

struct call;
struct engine;
struct err;
struct workload;

/* What is done to one; a positive answer becomes the exit status. */
typedef int each_fn(struct call *call, struct engine *e, struct workload *w, struct err *err);

/*
 * Does fn to every operand and prints the operand when that went well (quiet: does not). A failure
 * is told at once and the others go on; the exit status is 1 then.
 */
int each_workload(struct call *call, each_fn *fn, bool quiet, struct err *err) HULL_MUST_CHECK;

/* Finds the workload of the first operand. Caller frees. */
int first_workload(struct call *call, struct engine **ret_engine, struct workload **ret,
		   struct err *err) HULL_MUST_CHECK;
