/* SPDX-License-Identifier: Apache-2.0 */
/* Limits as files. v1 and v2 name and count differently; a plan always speaks v1's scales. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "container/cgroup_impl.h"
#include "proto/plan.h"

enum { DEFAULT_PERIOD_US = 100000 };

int hierarchy_need(const struct cgroup *cg, enum controller c, const char *field,
		   const struct hierarchy **ret, struct err *err)
{
	*ret = cgroup_with(cg, c);
	if (!*ret)
		return err_set(err, ENOTSUP,
			       "this host's cgroups cannot limit %s: no such controller", field);
	return 0;
}

int hierarchy_put(const struct hierarchy *h, const char *file, uint64_t value, struct err *err)
{
	char text[32] = "max";

	if (value != UINT64_MAX)
		(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	else if (!h->v2 && strcmp(file, "pids.max") != 0)
		(void)snprintf(text, sizeof(text), "-1");
	return file_put(h->fd, file, text, err);
}

void hierarchy_put_any(const struct cgroup_config *config, const struct hierarchy *h,
		       const char *const *files, uint64_t value, const char *field)
{
	for (size_t i = 0; h && files[i]; i++) {
		struct err ignored = ERR_INIT; /* the next file, or the warning below */
		if (hierarchy_put(h, files[i], value, &ignored) == 0)
			return;
	}
	char line[160];
	(void)snprintf(line, sizeof(line), "this host's cgroups cannot limit %s; it is ignored",
		       field);
	config->warn(config->ctx, line);
}

/* v1 wants memory <= memory + swap at each moment: raising starts with the sum, lowering ends with
 * it. */
static int limit_memory_v1(const struct hierarchy *h, const struct cgroup_config *config,
			   struct err *err)
{
	static const char *const memsw[] = {"memory.memsw.limit_in_bytes", NULL};
	const struct plan_limits *l = config->limits;
	bool swap = l->memory_swap && faccessat(h->fd, memsw[0], W_OK, 0) == 0;
	bool raising = swap && l->memory_swap > hierarchy_number(h, memsw[0]);

	if (l->memory_swap && !swap)
		hierarchy_put_any(config, NULL, memsw, 0, "swap");
	if (raising && hierarchy_put(h, memsw[0], l->memory_swap, err) < 0)
		return -err->code;
	if (l->memory && hierarchy_put(h, "memory.limit_in_bytes", l->memory, err) < 0)
		return -err->code;
	if (swap && !raising)
		return hierarchy_put(h, memsw[0], l->memory_swap, err);
	return 0;
}

/* v1's kernel refuses by itself what v2's would enforce by killing. */
static int check_use_v2(const struct hierarchy *h, const struct plan_limits *l, struct err *err)
{
	uint64_t used = l->memory_check && l->memory ? hierarchy_number(h, "memory.current") : 0;

	if (used > l->memory)
		return err_set(err, EBUSY,
			       "memory.limit: %" PRIu64 " bytes are in use, and checkBeforeUpdate "
			       "asks not to kill for less",
			       used);
	return 0;
}

static int limit_memory_v2(const struct hierarchy *h, const struct cgroup_config *config,
			   struct err *err)
{
	static const char *const swap[] = {"memory.swap.max", NULL};
	const struct plan_limits *l = config->limits;

	if (check_use_v2(h, l, err) < 0)
		return -err->code;
	if (l->memory && hierarchy_put(h, "memory.max", l->memory, err) < 0)
		return -err->code;
	if (!l->memory_swap)
		return 0;
	if (l->memory_swap == UINT64_MAX) {
		hierarchy_put_any(config, h, swap, UINT64_MAX, "swap");
		return 0;
	}
	/* v2 counts swap alone */
	uint64_t memory = l->memory ? l->memory : hierarchy_number(h, "memory.max");
	if (memory == 0 || memory == UINT64_MAX)
		return err_set(err, EINVAL, "memory.swap: a limit of swap needs one of memory");
	if (l->memory_swap < memory)
		return err_set(err, EINVAL,
			       "memory.swap is memory and swap together: it cannot be "
			       "less than the limit of memory");
	hierarchy_put_any(config, h, swap, l->memory_swap - memory, "swap");
	return 0;
}

/* What only v1 has, and not every kernel. */
static void limit_memory_more(const struct hierarchy *h, const struct cgroup_config *config)
{
	static const char *const reserve_v1[] = {"memory.soft_limit_in_bytes", NULL};
	static const char *const reserve_v2[] = {"memory.low", NULL};
	static const char *const kernel[] = {"memory.kmem.limit_in_bytes", NULL};
	static const char *const tcp[] = {"memory.kmem.tcp.limit_in_bytes", NULL};
	static const char *const swappiness[] = {"memory.swappiness", NULL};
	static const char *const oom[] = {"memory.oom_control", NULL};
	const struct plan_limits *l = config->limits;
	const struct hierarchy *v1 = h->v2 ? NULL : h;

	if (l->memory_reservation)
		hierarchy_put_any(config, h, v1 ? reserve_v1 : reserve_v2, l->memory_reservation,
				  "memory reservation");
	if (l->memory_kernel)
		hierarchy_put_any(config, v1, kernel, l->memory_kernel, "memory.kernel");
	if (l->memory_kernel_tcp)
		hierarchy_put_any(config, v1, tcp, l->memory_kernel_tcp, "memory.kernelTCP");
	if (l->has_swappiness)
		hierarchy_put_any(config, v1, swappiness, l->swappiness, "memory.swappiness");
	if (l->has_oom_disable && l->oom_disable)
		hierarchy_put_any(config, v1, oom, 1, "memory.disableOOMKiller");
	else if (l->has_oom_disable && v1 && hierarchy_key(v1, oom[0], "oom_kill_disable") == 1)
		hierarchy_put_any(config, v1, oom, 0, "memory.disableOOMKiller");
}

static bool wants_memory(const struct cgroup *cg, const struct plan_limits *l)
{
	if (l->memory || l->memory_swap || l->memory_reservation || l->memory_kernel ||
	    l->memory_kernel_tcp || l->has_swappiness)
		return true;
	/* what is not to be disabled needs no controller */
	return l->has_oom_disable && (l->oom_disable || cgroup_with(cg, CTL_MEMORY));
}

static int limit_memory(const struct cgroup *cg, const struct cgroup_config *config,
			struct err *err)
{
	const struct hierarchy *h;

	if (!wants_memory(cg, config->limits))
		return 0;
	int r = hierarchy_need(cg, CTL_MEMORY, "memory", &h, err);
	if (r == 0)
		r = h->v2 ? limit_memory_v2(h, config, err) : limit_memory_v1(h, config, err);
	if (r == 0)
		limit_memory_more(h, config);
	return r;
}

/* The parent's limit allows either the new period with the old quota, or the new quota first. */
static int limit_cpu_quota_v1(const struct hierarchy *h, const struct plan_limits *l,
			      struct err *err)
{
	struct err first = ERR_INIT;
	bool both = l->cpu_period_us && l->cpu_quota_us;
	int r = l->cpu_period_us ? hierarchy_put(h, "cpu.cfs_period_us", l->cpu_period_us, &first)
				 : 0;

	if (r < 0 && !(both && first.code == EINVAL))
		return err_set(err, first.code, "%s", first.msg);
	bool again = r < 0;
	r = l->cpu_quota_us ? hierarchy_put(h, "cpu.cfs_quota_us", l->cpu_quota_us, err) : 0;
	if (r == 0 && again)
		r = hierarchy_put(h, "cpu.cfs_period_us", l->cpu_period_us, err);
	return r;
}

static int limit_cpu_quota_v2(const struct hierarchy *h, const struct plan_limits *l,
			      struct err *err)
{
	AUTO_BUF struct buf now = BUF_INIT;
	char text[64];
	char quota[24] = "max";
	uint64_t period = l->cpu_period_us;

	/* what is not asked for stays: "max 100000" */
	if (hierarchy_read(h, "cpu.max", &now) && !l->cpu_quota_us)
		(void)snprintf(quota, sizeof(quota), "%.*s", (int)strcspn(now.data, " \n"),
			       now.data);
	if (!period && now.data && strchr(now.data, ' '))
		period = strtoull(strchr(now.data, ' '), NULL, 10);
	if (l->cpu_quota_us && l->cpu_quota_us != UINT64_MAX)
		(void)snprintf(quota, sizeof(quota), "%" PRIu64, l->cpu_quota_us);
	(void)snprintf(text, sizeof(text), "%s %" PRIu64, quota,
		       period ? period : (uint64_t)DEFAULT_PERIOD_US);
	return file_put(h->fd, "cpu.max", text, err);
}

static int limit_cpu_quota(const struct hierarchy *h, const struct plan_limits *l, struct err *err)
{
	const char *burst = h->v2 ? "cpu.max.burst" : "cpu.cfs_burst_us";
	int r = 0;

	/* a burst above the new quota would forbid that */
	if (l->cpu_burst_us && l->cpu_quota_us && hierarchy_number(h, burst) > 0)
		r = hierarchy_put(h, burst, 0, err);
	if (r == 0 && (l->cpu_quota_us || l->cpu_period_us))
		r = h->v2 ? limit_cpu_quota_v2(h, l, err) : limit_cpu_quota_v1(h, l, err);
	if (r == 0 && l->cpu_burst_us)
		r = hierarchy_put(h, burst, l->cpu_burst_us, err);
	return r;
}

static int limit_cpu_shares(const struct hierarchy *h, const struct plan_limits *l, struct err *err)
{
	uint64_t shares = l->cpu_shares < 2 ? 2 : l->cpu_shares > 262144 ? 262144 : l->cpu_shares;

	if (!l->cpu_shares)
		return 0;
	/* 2..262144 onto 1..10000, as every runtime maps it */
	return h->v2 ? hierarchy_put(h, "cpu.weight", 1 + (shares - 2) * 9999 / 262142, err)
		     : hierarchy_put(h, "cpu.shares", shares, err);
}

static int limit_cpu_realtime(const struct hierarchy *h, const struct plan_limits *l,
			      struct err *err)
{
	int r = 0;

	if (!l->cpu_rt_period_us && !l->cpu_rt_runtime_us)
		return 0;
	if (h->v2 || faccessat(h->fd, "cpu.rt_runtime_us", W_OK, 0) < 0)
		return err_set(err, ENOTSUP,
			       "this host's cgroups cannot limit cpu.realtimeRuntime");
	if (l->cpu_rt_period_us)
		r = hierarchy_put(h, "cpu.rt_period_us", l->cpu_rt_period_us, err);
	if (r == 0 && l->cpu_rt_runtime_us)
		r = hierarchy_put(h, "cpu.rt_runtime_us", l->cpu_rt_runtime_us, err);
	return r < 0 ? err_wrap(err, "cpu.realtimeRuntime") : 0;
}

/* An idle group has no weight to set: that comes before, or after its end. */
static int limit_cpu_weight(const struct hierarchy *h, const struct plan_limits *l, struct err *err)
{
	int r = 0;

	if (l->has_cpu_idle && l->cpu_idle == 0)
		r = hierarchy_put(h, "cpu.idle", 0, err);
	if (r == 0)
		r = limit_cpu_shares(h, l, err);
	if (r == 0 && l->has_cpu_idle && l->cpu_idle != 0)
		r = hierarchy_put(h, "cpu.idle", (uint64_t)l->cpu_idle, err);
	return r;
}

static int limit_cpu(const struct cgroup *cg, const struct cgroup_config *config, struct err *err)
{
	const struct plan_limits *l = config->limits;
	const struct hierarchy *h;

	if (!l->cpu_quota_us && !l->cpu_period_us && !l->cpu_shares && !l->cpu_burst_us &&
	    !l->has_cpu_idle && !l->cpu_rt_period_us && !l->cpu_rt_runtime_us)
		return 0;
	int r = hierarchy_need(cg, CTL_CPU, "CPU time", &h, err);
	if (r == 0)
		r = limit_cpu_weight(h, l, err);
	if (r == 0)
		r = limit_cpu_quota(h, l, err);
	return r < 0 ? r : limit_cpu_realtime(h, l, err);
}

static int limit_cpuset(const struct cgroup *cg, const struct cgroup_config *config,
			struct err *err)
{
	const struct plan_limits *l = config->limits;
	const struct hierarchy *h;

	if (!l->cpuset_cpus && !l->cpuset_mems)
		return 0;
	int r = hierarchy_need(cg, CTL_CPUSET, "CPUs", &h, err);
	if (r == 0 && l->cpuset_cpus)
		r = file_put(h->fd, "cpuset.cpus", l->cpuset_cpus, err);
	if (r == 0 && l->cpuset_mems)
		r = file_put(h->fd, "cpuset.mems", l->cpuset_mems, err);
	return r;
}

static int limit_pids(const struct cgroup *cg, const struct cgroup_config *config, struct err *err)
{
	const struct hierarchy *h;

	if (!config->limits->pids)
		return 0;
	int r = hierarchy_need(cg, CTL_PIDS, "processes", &h, err);
	return r < 0 ? r : hierarchy_put(h, "pids.max", config->limits->pids, err);
}

int cgroup_limit(const struct cgroup *cg, const struct cgroup_config *config, struct err *err)
{
	int r = limit_memory(cg, config, err);

	if (r == 0)
		r = limit_cpu(cg, config, err);
	if (r == 0)
		r = limit_cpuset(cg, config, err);
	if (r == 0)
		r = limit_pids(cg, config, err);
	if (r == 0)
		r = cgroup_limit_io(cg, config, err);
	return r < 0 ? r : cgroup_limit_more(cg, config, err);
}
