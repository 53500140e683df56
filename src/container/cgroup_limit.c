/* SPDX-License-Identifier: Apache-2.0 */
/* Limits as files. v1 and v2 name and count differently; a plan always speaks v1's scales. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"
#include "container/cgroup_impl.h"
#include "proto/plan.h"

enum { DEFAULT_PERIOD_US = 100000 };

/* The hierarchy of a controller that a limit cannot do without. */
static int need(const struct cgroup *cg, enum controller c, const char *limit,
		const struct hierarchy **ret, struct err *err)
{
	*ret = cgroup_with(cg, c);
	if (!*ret)
		return err_set(err, ENOTSUP,
			       "this host's cgroups cannot limit %s: no such controller", limit);
	return 0;
}

static int put_number(const struct hierarchy *h, const char *file, uint64_t value, struct err *err)
{
	char text[32] = "max";

	if (value != UINT64_MAX)
		(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	else if (!h->v2 && strcmp(file, "pids.max") != 0)
		(void)snprintf(text, sizeof(text), "-1");
	return file_put(h->fd, file, text, err);
}

/* A limit that many kernels lack: passed over with a word. */
static void put_optional(const struct cgroup_config *config, const struct hierarchy *h,
			 const char *const *files, uint64_t value, const char *limit)
{
	for (size_t i = 0; h && files[i]; i++) {
		struct err ignored = ERR_INIT; /* the next file, or the warning below */
		if (put_number(h, files[i], value, &ignored) == 0)
			return;
	}
	char line[160];
	(void)snprintf(line, sizeof(line), "this host's cgroups cannot limit %s; it is ignored",
		       limit);
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
		put_optional(config, NULL, memsw, 0, "swap");
	if (raising && put_number(h, memsw[0], l->memory_swap, err) < 0)
		return -err->code;
	if (l->memory && put_number(h, "memory.limit_in_bytes", l->memory, err) < 0)
		return -err->code;
	if (swap && !raising)
		return put_number(h, memsw[0], l->memory_swap, err);
	return 0;
}

static int limit_memory_v2(const struct hierarchy *h, const struct cgroup_config *config,
			   struct err *err)
{
	static const char *const swap[] = {"memory.swap.max", NULL};
	const struct plan_limits *l = config->limits;

	if (l->memory && put_number(h, "memory.max", l->memory, err) < 0)
		return -err->code;
	if (l->memory_swap == UINT64_MAX)
		put_optional(config, h, swap, UINT64_MAX, "swap");
	else if (l->memory_swap >= l->memory && l->memory)
		put_optional(config, h, swap, l->memory_swap - l->memory, "swap");
	return 0;
}

static int limit_memory(const struct cgroup *cg, const struct cgroup_config *config,
			struct err *err)
{
	const struct plan_limits *l = config->limits;
	const struct hierarchy *h;

	if (!l->memory && !l->memory_swap && !l->memory_reservation)
		return 0;
	int r = need(cg, CTL_MEMORY, "memory", &h, err);
	if (r == 0)
		r = h->v2 ? limit_memory_v2(h, config, err) : limit_memory_v1(h, config, err);
	if (r == 0 && l->memory_reservation) {
		static const char *const v1[] = {"memory.soft_limit_in_bytes", NULL};
		static const char *const v2[] = {"memory.low", NULL};
		put_optional(config, h, h->v2 ? v2 : v1, l->memory_reservation,
			     "memory reservation");
	}
	return r;
}

static int limit_cpu_quota(const struct hierarchy *h, const struct plan_limits *l, struct err *err)
{
	uint64_t period = l->cpu_period_us ? l->cpu_period_us : DEFAULT_PERIOD_US;

	if (h->v2) {
		char text[64];
		if (l->cpu_quota_us && l->cpu_quota_us != UINT64_MAX)
			(void)snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64, l->cpu_quota_us,
				       period);
		else
			(void)snprintf(text, sizeof(text), "max %" PRIu64, period);
		return file_put(h->fd, "cpu.max", text, err);
	}
	int r = put_number(h, "cpu.cfs_period_us", period, err);
	if (r == 0 && l->cpu_quota_us)
		r = put_number(h, "cpu.cfs_quota_us", l->cpu_quota_us, err);
	return r;
}

static int limit_cpu(const struct cgroup *cg, const struct cgroup_config *config, struct err *err)
{
	const struct plan_limits *l = config->limits;
	const struct hierarchy *h;

	if (!l->cpu_quota_us && !l->cpu_period_us && !l->cpu_shares)
		return 0;
	int r = need(cg, CTL_CPU, "CPU time", &h, err);
	if (r == 0 && (l->cpu_quota_us || l->cpu_period_us))
		r = limit_cpu_quota(h, l, err);
	if (r < 0 || !l->cpu_shares)
		return r;
	uint64_t shares = l->cpu_shares < 2 ? 2 : l->cpu_shares > 262144 ? 262144 : l->cpu_shares;
	/* 2..262144 onto 1..10000, as every runtime maps it */
	return h->v2 ? put_number(h, "cpu.weight", 1 + (shares - 2) * 9999 / 262142, err)
		     : put_number(h, "cpu.shares", shares, err);
}

static int limit_cpuset(const struct cgroup *cg, const struct cgroup_config *config,
			struct err *err)
{
	const struct plan_limits *l = config->limits;
	const struct hierarchy *h;

	if (!l->cpuset_cpus && !l->cpuset_mems)
		return 0;
	int r = need(cg, CTL_CPUSET, "CPUs", &h, err);
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
	int r = need(cg, CTL_PIDS, "processes", &h, err);
	return r < 0 ? r : put_number(h, "pids.max", config->limits->pids, err);
}

static void limit_io(const struct cgroup *cg, const struct cgroup_config *config)
{
	static const char *const v1[] = {"blkio.weight", "blkio.bfq.weight", NULL};
	static const char *const v2[] = {"io.weight", "io.bfq.weight", NULL};
	const struct hierarchy *h = cgroup_with(cg, CTL_BLKIO);
	uint64_t weight = config->limits->blkio_weight;

	if (!weight)
		return;
	if (h && h->v2) /* 10..1000 onto 1..10000 */
		put_optional(config, h, v2, 1 + (weight - 10) * 9999 / 990, "block I/O weight");
	else
		put_optional(config, h, v1, weight, "block I/O weight");
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
		limit_io(cg, config);
	return r;
}
