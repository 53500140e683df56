/* SPDX-License-Identifier: Apache-2.0 */
/* A machine made ready for its workload, as the host's setup says. */
#pragma once

#include <stdint.h>

#include "base/attr.h"

struct err;
struct machine_setup;

/* Where the agent keeps what isolation needs. */
#define AGENT_STATE  "/run/hull/state"
#define AGENT_LAYERS "/run/hull/layers"

/* Sets the clock. */
void furnish_clock(uint64_t ns);

/* Adds randomness, sets name and network, mounts disks and share, and fills in the plan with
 * where they are. */
int furnish(struct machine_setup *setup, struct err *err) HULL_MUST_CHECK;
