/* SPDX-License-Identifier: Apache-2.0 */
/* When, where and with whose memory a process runs: scheduler, I/O priority, CPUs. */
#pragma once

#include <stddef.h>

#include "base/attr.h"

struct err;
struct plan_schedule;

/* Sets what the plan asks for on the calling process; to be called with all rights. */
int schedule_apply(const struct plan_schedule *schedule, struct err *err) HULL_MUST_CHECK;
