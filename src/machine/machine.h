/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Isolation by a kernel of its own: a machine per workload, run by a monitor, its agent carrying
 * out the plan. The only header of machine/ that others include; kernels and the probe are part of
 * the door.
 */
#pragma once

#include "machine/kernel.h"
#include "machine/probe.h"
#include "proto/isolation.h"

/*
 * create() makes the plan's writable disk when it is missing. The machine's monitor and share stand
 * in the cgroup plan->cgroup on the host; repair() expects it to be "hull/ID/workload".
 */
extern const struct isolation_ops machine_isolation;
