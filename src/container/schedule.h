/* SPDX-License-Identifier: Apache-2.0 */
/* When, where and with whose memory a process runs: scheduler, I/O priority, CPUs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/attr.h"

struct err;
struct plan_schedule;

/* Sets what the plan asks for on the calling process; to be called with all rights. With `later`
 * the scheduler is left for a gate. */
int schedule_apply(const struct plan_schedule *schedule, bool later, struct err *err)
	HULL_MUST_CHECK;

/*
 * Who has SCHED_DEADLINE may not fork, and a joiner drops its rights before it forks: its parent
 * sets the scheduler, and the process waits for that, without a system call that its filter might
 * forbid.
 */
struct gate;

/* Makes one, for a fork to share, when this schedule needs it; else *ret is NULL. */
int gate_new(const struct plan_schedule *schedule, struct gate **ret, struct err *err)
	HULL_MUST_CHECK;

/* Lets go of it; NULL is fine. */
void gate_free(struct gate *gate);

/* The parent: sets the scheduler of process `pid`, and lets it pass. */
void gate_open(struct gate *gate, const struct plan_schedule *schedule, pid_t pid);

/* The process: waits until it may pass; fails as the parent's call did. NULL: passes. */
int gate_pass(const struct gate *gate, struct err *err) HULL_MUST_CHECK;

DEFINE_AUTO(struct gate, gate_free)
