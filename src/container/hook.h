/* SPDX-License-Identifier: Apache-2.0 */
/* Hooks: programs of the host's or of the image's that run at points of a workload's life. */
#pragma once

#include "base/attr.h"

struct err;
struct plan_hook;

/*
 * Runs one to its end in the caller's namespaces, with `state` (JSON) on its standard input and
 * exactly the environment it asks for. Fails when it cannot be started, ends badly, or takes longer
 * than its timeout (then it is killed); the error names its path and says the last line of its
 * standard error.
 */
int hook_run(const struct plan_hook *hook, const char *state, struct err *err) HULL_MUST_CHECK;
