/* SPDX-License-Identifier: Apache-2.0 */
/* Cache and memory bandwidth by resctrl (runtime-spec linux.intelRdt). */
#pragma once

#include <sys/types.h>

#include "base/attr.h"

struct err;
struct plan;

/* A handle of the host's resctrl, the caller's; ENOTSUP when none is mounted. */
int rdt_open(struct err *err) HULL_MUST_CHECK;

/* Puts process `pid` into the group that the plan names, or one of the plan's id, with the schemata
 * of the plan; `resctrl` is such a handle. A group that is only named must be there. */
int rdt_enter(int resctrl, const struct plan *plan, pid_t pid, struct err *err) HULL_MUST_CHECK;

/* Removes what rdt_enter() made for this plan alone. */
int rdt_leave(int resctrl, const struct plan *plan, struct err *err) HULL_MUST_CHECK;
