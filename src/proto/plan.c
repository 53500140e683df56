/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/plan.h"

static const struct field plan_rlimit_fields[] = {
	FIELD(1, FIELD_U32, struct plan_rlimit, resource),
	FIELD(2, FIELD_U64, struct plan_rlimit, soft),
	FIELD(3, FIELD_U64, struct plan_rlimit, hard),
};
const struct record plan_rlimit_record = RECORD(plan_rlimit, plan_rlimit_fields);

static const struct field plan_schedule_fields[] = {
	FIELD(1, FIELD_BOOL, struct plan_schedule, set),
	FIELD(2, FIELD_U32, struct plan_schedule, policy),
	FIELD(3, FIELD_U32, struct plan_schedule, nice),
	FIELD(4, FIELD_U32, struct plan_schedule, priority),
	FIELD(5, FIELD_U64, struct plan_schedule, flags),
	FIELD(6, FIELD_U64, struct plan_schedule, runtime),
	FIELD(7, FIELD_U64, struct plan_schedule, deadline),
	FIELD(8, FIELD_U64, struct plan_schedule, period),
	FIELD(9, FIELD_BOOL, struct plan_schedule, has_ioprio),
	FIELD(10, FIELD_U32, struct plan_schedule, ioprio),
	FIELD(11, FIELD_STR, struct plan_schedule, cpus_initial),
	FIELD(12, FIELD_STR, struct plan_schedule, cpus_final),
};
static const struct record plan_schedule_record = RECORD(plan_schedule, plan_schedule_fields);

static const struct field plan_process_fields[] = {
	FIELD(1, FIELD_STRV, struct plan_process, args),
	FIELD(2, FIELD_STRV, struct plan_process, env),
	FIELD(3, FIELD_STR, struct plan_process, cwd),
	FIELD(4, FIELD_STR, struct plan_process, user),
	FIELD(5, FIELD_STRV, struct plan_process, groups),
	FIELD(6, FIELD_BOOL, struct plan_process, has_umask),
	FIELD(7, FIELD_U32, struct plan_process, umask),
	FIELD(8, FIELD_BOOL, struct plan_process, tty),
	FIELD(9, FIELD_U32, struct plan_process, rows),
	FIELD(10, FIELD_U32, struct plan_process, cols),
	FIELD(11, FIELD_BOOL, struct plan_process, no_new_privs),
	FIELD(12, FIELD_U64, struct plan_process, cap_bounding),
	FIELD(13, FIELD_U64, struct plan_process, cap_effective),
	FIELD(14, FIELD_U64, struct plan_process, cap_permitted),
	FIELD(15, FIELD_U64, struct plan_process, cap_inheritable),
	FIELD(16, FIELD_U64, struct plan_process, cap_ambient),
	FIELD_OF(17, FIELD_LIST, struct plan_process, rlimits, &plan_rlimit_record),
	FIELD(18, FIELD_BOOL, struct plan_process, has_oom_score_adj),
	FIELD(19, FIELD_U32, struct plan_process, oom_score_adj),
	FIELD(20, FIELD_BYTES, struct plan_process, seccomp),
	FIELD(21, FIELD_U32, struct plan_process, seccomp_flags),
	FIELD(22, FIELD_STR, struct plan_process, builtin),
	FIELD(23, FIELD_BOOL, struct plan_process, has_ids),
	FIELD(24, FIELD_U32, struct plan_process, uid),
	FIELD(25, FIELD_U32, struct plan_process, gid),
	FIELD(26, FIELD_STR, struct plan_process, apparmor),
	FIELD(27, FIELD_STR, struct plan_process, selinux_label),
	FIELD_OF(28, FIELD_RECORD, struct plan_process, schedule, &plan_schedule_record),
	FIELD(29, FIELD_STR, struct plan_process, seccomp_listener),
	FIELD(30, FIELD_STR, struct plan_process, seccomp_metadata),
	FIELD(31, FIELD_BOOL, struct plan_process, detached),
	FIELD(32, FIELD_BOOL, struct plan_process, keep_groups),
};
const struct record plan_process_record = RECORD(plan_process, plan_process_fields);

static const struct field plan_idmap_fields[] = {
	FIELD(1, FIELD_U32, struct plan_idmap, inside),
	FIELD(2, FIELD_U32, struct plan_idmap, outside),
	FIELD(3, FIELD_U32, struct plan_idmap, size),
};
const struct record plan_idmap_record = RECORD(plan_idmap, plan_idmap_fields);

static const struct field plan_mount_fields[] = {
	FIELD(1, FIELD_STR, struct plan_mount, source),
	FIELD(2, FIELD_STR, struct plan_mount, target),
	FIELD(3, FIELD_STR, struct plan_mount, type),
	FIELD(4, FIELD_U64, struct plan_mount, flags),
	FIELD(5, FIELD_U64, struct plan_mount, propagation),
	FIELD(6, FIELD_STR, struct plan_mount, data),
	FIELD(7, FIELD_BOOL, struct plan_mount, copy_up),
	FIELD(8, FIELD_BOOL, struct plan_mount, make_source),
	FIELD(9, FIELD_U64, struct plan_mount, attr_clear),
	FIELD(10, FIELD_U64, struct plan_mount, rec_set),
	FIELD(11, FIELD_U64, struct plan_mount, rec_clear),
	FIELD(12, FIELD_BOOL, struct plan_mount, idmap),
	FIELD(13, FIELD_BOOL, struct plan_mount, idmap_recursive),
	FIELD_OF(14, FIELD_LIST, struct plan_mount, uid_maps, &plan_idmap_record),
	FIELD_OF(15, FIELD_LIST, struct plan_mount, gid_maps, &plan_idmap_record),
	FIELD(16, FIELD_BOOL, struct plan_mount, copy_symlink),
	FIELD(17, FIELD_BOOL, struct plan_mount, source_nofollow),
	FIELD(18, FIELD_BOOL, struct plan_mount, target_nofollow),
	FIELD(19, FIELD_BOOL, struct plan_mount, source_real),
};
const struct record plan_mount_record = RECORD(plan_mount, plan_mount_fields);

static const struct field plan_file_fields[] = {
	FIELD(1, FIELD_STR, struct plan_file, path),
	FIELD(2, FIELD_U32, struct plan_file, mode),
	FIELD(3, FIELD_BYTES, struct plan_file, content),
};
const struct record plan_file_record = RECORD(plan_file, plan_file_fields);

static const struct field plan_device_fields[] = {
	FIELD(1, FIELD_STR, struct plan_device, path),
	FIELD(2, FIELD_U32, struct plan_device, type),
	FIELD(3, FIELD_U32, struct plan_device, major),
	FIELD(4, FIELD_U32, struct plan_device, minor),
	FIELD(5, FIELD_U32, struct plan_device, mode),
	FIELD(6, FIELD_U32, struct plan_device, uid),
	FIELD(7, FIELD_U32, struct plan_device, gid),
	FIELD(8, FIELD_BOOL, struct plan_device, deny),
	FIELD(9, FIELD_STR, struct plan_device, access),
};
const struct record plan_device_record = RECORD(plan_device, plan_device_fields);

static const struct field plan_root_fields[] = {
	FIELD(1, FIELD_STRV, struct plan_root, layers),
	FIELD(2, FIELD_STRV, struct plan_root, lower),
	FIELD(3, FIELD_STR, struct plan_root, path),
	FIELD(4, FIELD_STR, struct plan_root, upper),
	FIELD(5, FIELD_STR, struct plan_root, work),
	FIELD(6, FIELD_BOOL, struct plan_root, readonly),
	FIELD(7, FIELD_BOOL, struct plan_root, is_volatile),
	FIELD(8, FIELD_U64, struct plan_root, size_max),
};
static const struct record plan_root_record = RECORD(plan_root, plan_root_fields);

static const struct field plan_join_fields[] = {
	FIELD(1, FIELD_U32, struct plan_join, type),
	FIELD(2, FIELD_STR, struct plan_join, path),
};
const struct record plan_join_record = RECORD(plan_join, plan_join_fields);

static const struct field plan_blkio_fields[] = {
	FIELD(1, FIELD_U32, struct plan_blkio, kind),
	FIELD(2, FIELD_U32, struct plan_blkio, major),
	FIELD(3, FIELD_U32, struct plan_blkio, minor),
	FIELD(4, FIELD_U64, struct plan_blkio, value),
};
const struct record plan_blkio_record = RECORD(plan_blkio, plan_blkio_fields);

static const struct field plan_pair_fields[] = {
	FIELD(1, FIELD_STR, struct plan_pair, name),
	FIELD(2, FIELD_U64, struct plan_pair, value),
};
const struct record plan_pair_record = RECORD(plan_pair, plan_pair_fields);

static const struct field plan_text_pair_fields[] = {
	FIELD(1, FIELD_STR, struct plan_text_pair, name),
	FIELD(2, FIELD_STR, struct plan_text_pair, value),
};
const struct record plan_text_pair_record = RECORD(plan_text_pair, plan_text_pair_fields);

static const struct field plan_rdma_fields[] = {
	FIELD(1, FIELD_STR, struct plan_rdma, device),
	FIELD(2, FIELD_BOOL, struct plan_rdma, has_handles),
	FIELD(3, FIELD_BOOL, struct plan_rdma, has_objects),
	FIELD(4, FIELD_U32, struct plan_rdma, handles),
	FIELD(5, FIELD_U32, struct plan_rdma, objects),
};
const struct record plan_rdma_record = RECORD(plan_rdma, plan_rdma_fields);

static const struct field plan_limits_fields[] = {
	FIELD(1, FIELD_U64, struct plan_limits, memory),
	FIELD(2, FIELD_U64, struct plan_limits, memory_swap),
	FIELD(3, FIELD_U64, struct plan_limits, memory_reservation),
	FIELD(4, FIELD_U64, struct plan_limits, cpu_quota_us),
	FIELD(5, FIELD_U64, struct plan_limits, cpu_period_us),
	FIELD(6, FIELD_U64, struct plan_limits, cpu_shares),
	FIELD(7, FIELD_STR, struct plan_limits, cpuset_cpus),
	FIELD(8, FIELD_STR, struct plan_limits, cpuset_mems),
	FIELD(9, FIELD_U64, struct plan_limits, pids),
	FIELD(10, FIELD_U64, struct plan_limits, blkio_weight),
	FIELD_OF(11, FIELD_LIST, struct plan_limits, devices, &plan_device_record),
	FIELD(12, FIELD_U64, struct plan_limits, cpu_burst_us),
	FIELD(13, FIELD_BOOL, struct plan_limits, has_cpu_idle),
	FIELD(14, FIELD_U64, struct plan_limits, cpu_idle),
	FIELD(15, FIELD_U64, struct plan_limits, cpu_rt_runtime_us),
	FIELD(16, FIELD_U64, struct plan_limits, cpu_rt_period_us),
	FIELD(17, FIELD_BOOL, struct plan_limits, has_swappiness),
	FIELD(18, FIELD_BOOL, struct plan_limits, has_oom_disable),
	FIELD(19, FIELD_U64, struct plan_limits, swappiness),
	FIELD(20, FIELD_BOOL, struct plan_limits, oom_disable),
	FIELD(21, FIELD_U64, struct plan_limits, memory_kernel),
	FIELD(22, FIELD_U64, struct plan_limits, memory_kernel_tcp),
	FIELD(23, FIELD_U64, struct plan_limits, blkio_leaf_weight),
	FIELD_OF(24, FIELD_LIST, struct plan_limits, blkio, &plan_blkio_record),
	FIELD_OF(25, FIELD_LIST, struct plan_limits, hugetlb, &plan_pair_record),
	FIELD(26, FIELD_BOOL, struct plan_limits, has_net_class),
	FIELD(27, FIELD_U32, struct plan_limits, net_class),
	FIELD_OF(28, FIELD_LIST, struct plan_limits, net_priorities, &plan_pair_record),
	FIELD_OF(29, FIELD_LIST, struct plan_limits, rdma, &plan_rdma_record),
	FIELD_OF(30, FIELD_LIST, struct plan_limits, unified, &plan_text_pair_record),
	FIELD(31, FIELD_BOOL, struct plan_limits, memory_check),
	FIELD(32, FIELD_U64, struct plan_limits, net_ingress),
	FIELD(33, FIELD_U64, struct plan_limits, net_egress),
};
const struct record plan_limits_record = RECORD(plan_limits, plan_limits_fields);

static const struct field plan_net_fields[] = {
	FIELD(1, FIELD_U32, struct plan_net, kind),
	FIELD(2, FIELD_STR, struct plan_net, address),
	FIELD(3, FIELD_STR, struct plan_net, gateway),
	FIELD(4, FIELD_STR, struct plan_net, mac),
	FIELD(5, FIELD_U32, struct plan_net, mtu),
};
static const struct record plan_net_record = RECORD(plan_net, plan_net_fields);

static const struct field plan_machine_fields[] = {
	FIELD(1, FIELD_STR, struct plan_machine, kernel),
	FIELD(2, FIELD_STR, struct plan_machine, initramfs),
	FIELD(3, FIELD_STR, struct plan_machine, modules),
	FIELD(4, FIELD_STR, struct plan_machine, kernel_args),
	FIELD(5, FIELD_U64, struct plan_machine, memory),
	FIELD(6, FIELD_U32, struct plan_machine, cpus),
	FIELD(7, FIELD_STR, struct plan_machine, disk),
	FIELD(8, FIELD_STR, struct plan_machine, tap),
	FIELD(9, FIELD_U32, struct plan_machine, accel),
	FIELD(10, FIELD_U32, struct plan_machine, max_cpus),
	FIELD(11, FIELD_U64, struct plan_machine, memory_own),
	FIELD(12, FIELD_U64, struct plan_machine, max_memory),
	FIELD(13, FIELD_U32, struct plan_machine, tap_queues),
};
static const struct record plan_machine_record = RECORD(plan_machine, plan_machine_fields);

static const struct field plan_hook_fields[] = {
	FIELD(1, FIELD_U32, struct plan_hook, point),
	FIELD(2, FIELD_STR, struct plan_hook, path),
	FIELD(3, FIELD_STRV, struct plan_hook, args),
	FIELD(4, FIELD_STRV, struct plan_hook, env),
	FIELD(5, FIELD_U32, struct plan_hook, timeout_s),
};
const struct record plan_hook_record = RECORD(plan_hook, plan_hook_fields);

static const struct field plan_time_offset_fields[] = {
	FIELD(1, FIELD_U32, struct plan_time_offset, clock),
	FIELD(2, FIELD_U64, struct plan_time_offset, seconds),
	FIELD(3, FIELD_U32, struct plan_time_offset, nanoseconds),
};
const struct record plan_time_offset_record = RECORD(plan_time_offset, plan_time_offset_fields);

static const struct field plan_fields[] = {
	FIELD(1, FIELD_STR, struct plan, id),
	FIELD(2, FIELD_STR, struct plan, hostname),
	FIELD(3, FIELD_STR, struct plan, domainname),
	FIELD_OF(4, FIELD_RECORD, struct plan, process, &plan_process_record),
	FIELD_OF(5, FIELD_RECORD, struct plan, root, &plan_root_record),
	FIELD_OF(6, FIELD_LIST, struct plan, mounts, &plan_mount_record),
	FIELD_OF(7, FIELD_LIST, struct plan, files, &plan_file_record),
	FIELD(8, FIELD_STRV, struct plan, masked),
	FIELD(9, FIELD_STRV, struct plan, read_only),
	FIELD(10, FIELD_STRV, struct plan, sysctl),
	FIELD(11, FIELD_U64, struct plan, namespaces),
	FIELD_OF(12, FIELD_LIST, struct plan, joins, &plan_join_record),
	FIELD_OF(13, FIELD_RECORD, struct plan, limits, &plan_limits_record),
	FIELD(14, FIELD_STR, struct plan, cgroup),
	FIELD(15, FIELD_BOOL, struct plan, init),
	FIELD(16, FIELD_BOOL, struct plan, privileged),
	FIELD_OF(17, FIELD_RECORD, struct plan, net, &plan_net_record),
	FIELD_OF(18, FIELD_RECORD, struct plan, machine, &plan_machine_record),
	FIELD(19, FIELD_U64, struct plan, shm_size),
	FIELD(20, FIELD_BOOL, struct plan, as_specified),
	FIELD_OF(21, FIELD_LIST, struct plan, uid_maps, &plan_idmap_record),
	FIELD_OF(22, FIELD_LIST, struct plan, gid_maps, &plan_idmap_record),
	FIELD_OF(23, FIELD_LIST, struct plan, time_offsets, &plan_time_offset_record),
	FIELD(24, FIELD_U64, struct plan, root_propagation),
	FIELD(25, FIELD_BOOL, struct plan, has_personality),
	FIELD(26, FIELD_U64, struct plan, personality),
	FIELD(27, FIELD_STR, struct plan, mount_label),
	FIELD_OF(28, FIELD_LIST, struct plan, hooks, &plan_hook_record),
	FIELD(29, FIELD_STRV, struct plan, annotations),
	FIELD(30, FIELD_STR, struct plan, rdt_closid),
	FIELD(31, FIELD_STR, struct plan, rdt_l3),
	FIELD(32, FIELD_STR, struct plan, rdt_mb),
	FIELD_OF(33, FIELD_LIST, struct plan, net_devices, &plan_text_pair_record),
	FIELD(34, FIELD_BOOL, struct plan, has_memory_policy),
	FIELD(35, FIELD_U32, struct plan, memory_policy),
	FIELD(36, FIELD_STR, struct plan, memory_nodes),
	FIELD(37, FIELD_BOOL, struct plan, rdt_monitor),
	FIELD(38, FIELD_STR, struct plan, keyring),
	FIELD(39, FIELD_STR, struct plan, mount_context),
	FIELD(40, FIELD_STR, struct plan, hook_out),
	FIELD(41, FIELD_STR, struct plan, hook_err),
	FIELD(42, FIELD_STR, struct plan, pidfd_receiver),
};
const struct record plan_record = RECORD(plan, plan_fields);

const struct plan_join *plan_joined(const struct plan *plan, uint64_t type)
{
	const struct plan_join *join = plan->joins.items;

	for (size_t i = 0; i < plan->joins.n; i++) {
		if (join[i].type == type)
			return &join[i];
	}
	return NULL;
}

uint32_t plan_limits_cpus(const struct plan_limits *l)
{
	if (l->cpu_quota_us == 0 || l->cpu_period_us == 0)
		return 0;
	uint64_t n = (l->cpu_quota_us - 1) / l->cpu_period_us + 1;
	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

uint64_t plan_machine_memory(uint64_t own, uint64_t workload)
{
	/* the kernel's own record of each page: 64 bytes of 4096 */
	return own + workload + workload / 64;
}
