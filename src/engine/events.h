/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened, for `hull events`: one line of JSON per event in ROOT/events, appended whole and
 * rotated to events.1. No process serves it.
 */
#pragma once

#include "base/attr.h"

struct engine;
struct err;
struct workload;

/* Appends one event about w: action "create", "start", "die", "stop" …; detail is a further
 * "KEY=VALUE" attribute or NULL. An event that cannot be written is lost: the act itself counts. */
void event_write(struct engine *e, const struct workload *w, const char *action,
		 const char *detail);
