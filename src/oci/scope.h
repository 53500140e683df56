/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemd's cgroup driver (--systemd-cgroup): the cgroups of a container are those of a transient
 * scope, which systemd makes, and which it removes when the last process has left it. The cgroup
 * code finds the folders already there.
 */
#pragma once

#include <sys/types.h>

#include "base/attr.h"

struct err;
struct oci;
struct oci_state;
struct plan_limits;

/*
 * From cgroupsPath "SLICE:PREFIX:NAME" (in state->plan.cgroup; NULL or empty: the manager's usual
 * slice, "hull-oci" and the id): sets state's unit and slice, and makes plan.cgroup the path of
 * its folders.
 */
int scope_place(struct oci *oci, struct oci_state *state, const char *id, struct err *err)
	HULL_MUST_CHECK;

/* Makes the scope. Returns the pid of the process that keeps it until the container's first one is
 * in it: a child of the caller, for scope_release(). */
pid_t scope_start(struct oci *oci, const struct oci_state *state, struct err *err) HULL_MUST_CHECK;

/* Ends the process that scope_start() left; 0 is fine. */
void scope_release(pid_t holder);

/* Tells systemd of changed limits; what it does not know of, the caller writes. */
int scope_limit(struct oci *oci, const struct oci_state *state, const struct plan_limits *limits,
		struct err *err) HULL_MUST_CHECK;

/* Takes the scope away; nothing to do for a container without one, or when it is gone. */
int scope_stop(struct oci *oci, const struct oci_state *state, struct err *err) HULL_MUST_CHECK;
