/* SPDX-License-Identifier: Apache-2.0 */
/* Cleaning up behind a keeper that was killed, and what its restart policy says then. */
#pragma once

#include <stdbool.h>

#include "base/attr.h"

struct engine;
struct err;
struct workload;

/* Ends and removes whatever is left of w on this host: processes, cgroups, mounts, links. The lock
 * is held by the caller. */
int workload_repair(struct engine *e, const struct workload *w, struct err *err) HULL_MUST_CHECK;

/* Whether the policy wants w, which ended as it says, to run again. */
bool workload_restart_wanted(struct engine *e, const struct workload *w);
