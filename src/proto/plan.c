/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/plan.h"

static const struct field plan_rlimit_fields[] = {
	FIELD(1, FIELD_U32, struct plan_rlimit, resource),
	FIELD(2, FIELD_U64, struct plan_rlimit, soft),
	FIELD(3, FIELD_U64, struct plan_rlimit, hard),
};
const struct record plan_rlimit_record = RECORD(plan_rlimit, plan_rlimit_fields);

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
};
const struct record plan_process_record = RECORD(plan_process, plan_process_fields);

static const struct field plan_mount_fields[] = {
	FIELD(1, FIELD_STR, struct plan_mount, source),
	FIELD(2, FIELD_STR, struct plan_mount, target),
	FIELD(3, FIELD_STR, struct plan_mount, type),
	FIELD(4, FIELD_U64, struct plan_mount, flags),
	FIELD(5, FIELD_U64, struct plan_mount, propagation),
	FIELD(6, FIELD_STR, struct plan_mount, data),
	FIELD(7, FIELD_BOOL, struct plan_mount, copy_up),
	FIELD(8, FIELD_BOOL, struct plan_mount, make_source),
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
static const struct record plan_join_record = RECORD(plan_join, plan_join_fields);

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
};
static const struct record plan_machine_record = RECORD(plan_machine, plan_machine_fields);

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
};
const struct record plan_record = RECORD(plan, plan_fields);
