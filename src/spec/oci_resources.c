/* SPDX-License-Identifier: Apache-2.0 */
/* linux.resources: memory, processors, processes; the rest is in oci_io_limits.c. */
#include <errno.h>
#include <stddef.h>

#include "base/err.h"
#include "base/json.h"
#include "proto/plan.h"
#include "spec/doc.h"
#include "spec/oci.h"
#include "spec/spec.h"

#define AT(member) offsetof(struct plan_limits, member)

/* useHierarchy is how the kernel counts anyway. */
struct ignored {
	bool hierarchy;
};

static int read_memory(void *ctx, struct json_object *obj, struct err *err)
{
	static const struct doc_field fields[] = {
		{"limit", DOC_LIMIT, AT(memory), 0, 0},
		{"reservation", DOC_LIMIT, AT(memory_reservation), 0, 0},
		{"swap", DOC_LIMIT, AT(memory_swap), 0, 0},
		{"kernel", DOC_LIMIT, AT(memory_kernel), 0, 0},
		{"kernelTCP", DOC_LIMIT, AT(memory_kernel_tcp), 0, 0},
		{"swappiness", DOC_U64, AT(swappiness), 100, AT(has_swappiness)},
		{"disableOOMKiller", DOC_BOOL, AT(oom_disable), 0, AT(has_oom_disable)},
		{"checkBeforeUpdate", DOC_BOOL, AT(memory_check), 0, 0},
	};
	static const struct doc_field others[] = {
		{"useHierarchy", DOC_BOOL, offsetof(struct ignored, hierarchy), 0, 0},
	};
	struct plan_limits *to = ctx;
	struct ignored ignored = {0};

	int r = doc_fields(obj, DOC_TABLE(fields), to, err);
	if (r >= 0)
		r = doc_fields(obj, DOC_TABLE(others), &ignored, err);
	if (r < 0)
		return r;
	if (to->memory && to->memory_swap && to->memory_swap < to->memory)
		return err_set(err, EINVAL, "swap: less than limit, which it contains");
	return 0;
}

static int judge_cpu(struct plan_limits *to, struct err *err)
{
	if (to->cpu_shares == 1)
		to->cpu_shares = 2; /* as the kernel does */
	if (to->cpu_shares > 262144)
		to->cpu_shares = 262144;
	if (to->cpu_burst_us && to->cpu_quota_us && to->cpu_burst_us > to->cpu_quota_us)
		return err_set(err, EINVAL, "burst: more than quota");
	if (to->cpu_rt_period_us && to->cpu_rt_runtime_us > to->cpu_rt_period_us)
		return err_set(err, EINVAL, "realtimeRuntime: more than realtimePeriod");
	return 0;
}

static int read_cpu(void *ctx, struct json_object *obj, struct err *err)
{
	static const struct doc_field fields[] = {
		{"shares", DOC_U64, AT(cpu_shares), 0, 0},
		{"quota", DOC_LIMIT, AT(cpu_quota_us), 0, 0},
		{"period", DOC_U64, AT(cpu_period_us), 0, 0},
		{"burst", DOC_U64, AT(cpu_burst_us), 0, 0},
		{"realtimeRuntime", DOC_U64, AT(cpu_rt_runtime_us), INT64_MAX, 0},
		{"realtimePeriod", DOC_U64, AT(cpu_rt_period_us), 0, 0},
		{"cpus", DOC_CPUS, AT(cpuset_cpus), 0, 0},
		{"mems", DOC_CPUS, AT(cpuset_mems), 0, 0},
		{"idle", DOC_U64, AT(cpu_idle), 1, AT(has_cpu_idle)},
	};
	int r = doc_fields(obj, DOC_TABLE(fields), ctx, err);

	return r < 0 ? r : judge_cpu(ctx, err);
}

/* 0 has always meant "not asked for" to callers, and every negative number "no limit". */
static int read_pids(void *ctx, struct json_object *obj, struct err *err)
{
	struct plan_limits *to = ctx;
	int64_t limit = 0;

	int r = json_get_int(obj, "limit", INT64_MIN, INT64_MAX, &limit, err);
	to->pids = limit < 0 ? UINT64_MAX : (uint64_t)limit;
	return r < 0 ? r : 0;
}

int oci_limits(struct json_object *obj, struct plan_limits *to, struct err *err)
{
	static const struct doc_part parts[] = {
		{"memory", read_memory, false},
		{"cpu", read_cpu, false},
		{"pids", read_pids, false},
	};

	int r = oci_device_rules(obj, to, err);
	if (r >= 0)
		r = doc_parts(obj, DOC_TABLE(parts), to, err);
	if (r >= 0)
		r = oci_io_limits(obj, to, err);
	return r < 0 ? doc_in(err, "linux.resources") : 0;
}

int spec_limits(struct json_object *obj, const struct spec_config *config, struct plan_limits *ret,
		struct err *err)
{
	struct plan_limits limits = {0};

	if (!json_is_obj(obj))
		return err_set(err, EINVAL, "linux.resources: must be an object");
	if (oci_limits(obj, &limits, err) < 0) {
		record_done(&plan_limits_record, &limits);
		return doc_fail(err);
	}
	*ret = limits;
	return 0;
}
