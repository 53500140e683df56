/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service manager, over D-Bus: it makes the cgroups of a container, as a transient scope.
 * libsystemd is loaded by systemd_open() and by nothing else: who never asks for it does not pay.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/attr.h"

struct err;
struct systemd;
struct unit;

/* Connects to the manager of the system, or of this user. The caller closes. */
int systemd_open(struct systemd **ret, bool user, struct err *err) HULL_MUST_CHECK;

/* NULL is fine. */
void systemd_close(struct systemd *sd);

/* The cgroup that all of its units are below, "" for the root; the caller frees. */
int systemd_root(struct systemd *sd, char **ret, struct err *err) HULL_MUST_CHECK;

/* Makes a transient unit and waits until it is there. One of this name that failed is forgotten
 * first. */
int systemd_start(struct systemd *sd, const char *name, const struct unit *unit, struct err *err)
	HULL_MUST_CHECK;

/* Changes properties of a unit, until the next reboot. */
int systemd_set(struct systemd *sd, const char *name, const struct unit *unit, struct err *err)
	HULL_MUST_CHECK;

/* Stops a unit and waits until it is gone; one that is not there is fine. */
int systemd_stop(struct systemd *sd, const char *name, struct err *err) HULL_MUST_CHECK;
