/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of a process that take more than a table to judge. */
#pragma once

#include "base/attr.h"

struct err;
struct json_object;
struct plan_schedule;
struct strv;

/* process.env: NAME=VALUE each; of equal names the last wins, in its own place. */
int oci_env(struct json_object *process, struct strv *ret, struct err *err) HULL_MUST_CHECK;

/* process.scheduler and process.ioPriority, judged as sched_setattr(2) and ioprio_set(2) would. */
int oci_scheduler(struct json_object *obj, struct plan_schedule *ret, struct err *err)
	HULL_MUST_CHECK;
int oci_ioprio(struct json_object *obj, struct plan_schedule *ret, struct err *err) HULL_MUST_CHECK;
