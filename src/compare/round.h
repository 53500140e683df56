/* SPDX-License-Identifier: Apache-2.0 */
/* Single runs of a workload in one isolation. Each leaves nothing behind, however it ends. */
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "base/str.h"
#include "compare/metrics.h"

struct compare_options;
struct comparison;
struct engine;
struct err;

/* What a run belongs to; all borrowed. */
struct round {
	struct engine *e;
	const struct compare_options *o;
	const struct strv *probes; /* the probe's operands; empty: the command itself is run */
	int side; /* SIDE_CONTAINER or SIDE_MACHINE */
	bool counted; /* a warm-up is not */
	struct comparison *to;
};

/* The command, or the probes, from start to end. */
int round_to_end(const struct round *r, struct err *err) HULL_MUST_CHECK;

/* The built-in probe, waiting: what the isolation takes while nothing happens. */
int round_idle(const struct round *r, struct err *err) HULL_MUST_CHECK;

/* The server, under load. */
int round_load(const struct round *r, struct err *err) HULL_MUST_CHECK;
