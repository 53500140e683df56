/* SPDX-License-Identifier: Apache-2.0 */
/* How a process is scheduled: process.scheduler and process.ioPriority. */
#include <errno.h>
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <stddef.h>

#include "base/err.h"
#include "base/json.h"
#include "proto/plan.h"
#include "spec/doc.h"
#include "spec/oci_process.h"

static const struct doc_word policies[] = {
	{"SCHED_OTHER", SCHED_NORMAL}, {"SCHED_FIFO", SCHED_FIFO},
	{"SCHED_RR", SCHED_RR},        {"SCHED_BATCH", SCHED_BATCH},
	{"SCHED_IDLE", SCHED_IDLE},    {"SCHED_DEADLINE", SCHED_DEADLINE},
};

static const struct doc_word flags[] = {
	{"SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK},
	{"SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM},
	{"SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN},
	{"SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY},
	{"SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS},
	{"SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN},
	{"SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX},
};

static int judge_deadline(const struct plan_schedule *s, struct err *err)
{
	if (s->policy != SCHED_DEADLINE) {
		if (s->runtime || s->deadline || s->period)
			return err_set(err, EINVAL,
				       "runtime, deadline and period are SCHED_DEADLINE's alone");
		return 0;
	}
	if (s->runtime == 0 || s->runtime > s->deadline)
		return err_set(err, EINVAL, "runtime: must be from 1 to deadline");
	if (s->period && s->deadline > s->period)
		return err_set(err, EINVAL, "deadline: more than period");
	return 0;
}

static int judge(const struct plan_schedule *s, struct err *err)
{
	bool realtime = s->policy == SCHED_FIFO || s->policy == SCHED_RR;

	if (realtime && s->priority == 0)
		return err_set(err, EINVAL, "priority: must be from 1 to 99 with this policy");
	if (!realtime && s->priority != 0)
		return err_set(err, EINVAL, "priority: SCHED_FIFO's and SCHED_RR's alone");
	if (s->nice && s->policy != SCHED_NORMAL && s->policy != SCHED_BATCH)
		return err_set(err, EINVAL, "nice: SCHED_OTHER's and SCHED_BATCH's alone");
	return judge_deadline(s, err);
}

int oci_scheduler(struct json_object *obj, struct plan_schedule *ret, struct err *err)
{
	static const struct doc_field fields[] = {
		{"priority", DOC_U32, offsetof(struct plan_schedule, priority), 99, 0},
		{"runtime", DOC_U64, offsetof(struct plan_schedule, runtime), 0, 0},
		{"deadline", DOC_U64, offsetof(struct plan_schedule, deadline), 0, 0},
		{"period", DOC_U64, offsetof(struct plan_schedule, period), 0, 0},
	};
	uint64_t policy = 0;
	int64_t nice = 0;

	int r = json_need(doc_word(obj, "policy", DOC_TABLE(policies), &policy, err), "policy",
			  err);
	if (r >= 0)
		r = json_get_int(obj, "nice", -20, 19, &nice, err);
	if (r >= 0)
		r = doc_bits(obj, "flags", DOC_TABLE(flags), &ret->flags, err);
	if (r >= 0)
		r = doc_fields(obj, DOC_TABLE(fields), ret, err);
	if (r < 0)
		return r;
	ret->set = true;
	ret->policy = (uint32_t)policy;
	ret->nice = (int32_t)nice;
	return judge(ret, err);
}

int oci_ioprio(struct json_object *obj, struct plan_schedule *ret, struct err *err)
{
	static const struct doc_word classes[] = {
		{"IOPRIO_CLASS_RT", IOPRIO_CLASS_RT},
		{"IOPRIO_CLASS_BE", IOPRIO_CLASS_BE},
		{"IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE},
	};
	uint64_t class = 0;
	uint32_t level = 0;

	int r = json_need(doc_word(obj, "class", DOC_TABLE(classes), &class, err), "class", err);
	if (r >= 0)
		r = doc_u32(obj, "priority", 7, &level, err);
	if (r < 0)
		return r;
	ret->has_ioprio = true;
	ret->ioprio = (uint32_t) class << IOPRIO_CLASS_SHIFT | level;
	return 0;
}
