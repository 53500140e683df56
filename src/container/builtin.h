/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that hull does inside a workload with its own code instead of a program of the image's:
 * copying files in and out. It runs where execve would stand, with the identity, limits and filter
 * of a process of the workload's.
 */
#pragma once

#include "base/attr.h"

struct err;
struct plan_process;

/* Whether there is one of that name (plan_process.builtin); EINVAL if not. */
int builtin_check(const struct plan_process *what, struct err *err) HULL_MUST_CHECK;

/* Does it and ends the process: status 0, or 1 with one line on standard error. */
_Noreturn void builtin_run(const struct plan_process *what);
