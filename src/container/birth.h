/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a workload's processes come into the world: cloned into its namespaces and cgroups, as
 * children of the caller, whoever that is (a keeper, an agent, the OCI runtime).
 */
#pragma once

#include "base/attr.h"

struct box;
struct err;
struct joiner;
struct task;

/* Starts the first process (of an empty task) and waits until it has made its box. Of `box` all but
 * sock is set; takes box->root. On failure the task has no process. */
int birth_first(struct task *first, const struct box *box, struct err *err) HULL_MUST_CHECK;

/* Starts one more process of a workload that runs. Of `joiner` all but sock is set. */
int birth_other(struct task *task, const struct joiner *joiner, struct err *err) HULL_MUST_CHECK;
