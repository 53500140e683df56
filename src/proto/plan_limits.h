/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a plan that may change while the workload runs: what cgroups carry out, and what its
 * network interfaces may carry. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/record.h"

/* Numbers for cgroups. has_* tells an asked-for 0 or -1 from silence. */
struct plan_limits {
	uint64_t memory, memory_swap /* memory + swap; UINT64_MAX: no limit */,
		memory_reservation; /* bytes */
	uint64_t cpu_quota_us, cpu_period_us;
	uint64_t cpu_shares; /* v1's scale, 2 to 262144 */
	char *cpuset_cpus, *cpuset_mems;
	uint64_t pids; /* UINT64_MAX: no limit */
	uint64_t blkio_weight;
	struct list devices; /* struct plan_device: rules and nodes, in order */
	uint64_t cpu_burst_us;
	bool has_cpu_idle;
	int64_t cpu_idle;
	uint64_t cpu_rt_runtime_us, cpu_rt_period_us;
	bool has_swappiness, has_oom_disable;
	uint64_t swappiness;
	bool oom_disable;
	uint64_t memory_kernel, memory_kernel_tcp; /* v1, gone from new kernels */
	uint64_t blkio_leaf_weight;
	struct list blkio; /* struct plan_blkio */
	struct list hugetlb; /* struct plan_pair: "2MB" -> bytes */
	bool has_net_class;
	uint32_t net_class; /* v1 net_cls.classid */
	struct list net_priorities; /* struct plan_pair: interface -> priority */
	struct list rdma; /* struct plan_rdma */
	struct list unified; /* struct plan_text_pair: v2 file -> its content */
	uint64_t net_ingress, net_egress; /* bytes a second to the workload and from it, by each
					     interface; UINT64_MAX: no limit */
	bool memory_check; /* a limit below what is in use is refused, not enforced by killing */
};

/* How many whole processors the quota needs; 0: there is none. */
uint32_t plan_limits_cpus(const struct plan_limits *l);

/* A rate as those who carry it out know it: 0 is no limit. */
static inline uint64_t plan_rate(uint64_t rate)
{
	return rate == UINT64_MAX ? 0 : rate;
}

/* A limit of one block device. */
struct plan_blkio {
	uint32_t kind; /* enum plan_blkio_kind */
	uint32_t major, minor;
	uint64_t value; /* weight, bytes or operations per second */
};

enum plan_blkio_kind {
	BLKIO_WEIGHT,
	BLKIO_LEAF_WEIGHT,
	BLKIO_READ_BPS,
	BLKIO_WRITE_BPS,
	BLKIO_READ_IOPS,
	BLKIO_WRITE_IOPS,
};

struct plan_pair {
	char *name;
	uint64_t value;
};

struct plan_text_pair {
	char *name, *value;
};

struct plan_rdma {
	char *device;
	bool has_handles, has_objects;
	uint32_t handles, objects;
};
