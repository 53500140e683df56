/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/isolation.h"

static const struct field process_exit_fields[] = {
	FIELD(1, FIELD_U32, struct process_exit, process),
	FIELD(2, FIELD_U32, struct process_exit, status),
	FIELD(3, FIELD_BOOL, struct process_exit, oom),
	FIELD(4, FIELD_STR, struct process_exit, reason),
};
const struct record process_exit_record = RECORD(process_exit, process_exit_fields);

static const struct field isolation_stats_fields[] = {
	FIELD(1, FIELD_U64, struct isolation_stats, cpu_ns),
	FIELD(2, FIELD_U64, struct isolation_stats, memory),
	FIELD(3, FIELD_U64, struct isolation_stats, memory_peak),
	FIELD(4, FIELD_U64, struct isolation_stats, memory_limit),
	FIELD(5, FIELD_U64, struct isolation_stats, pids),
	FIELD(6, FIELD_U64, struct isolation_stats, pids_limit),
	FIELD(7, FIELD_U64, struct isolation_stats, io_read),
	FIELD(8, FIELD_U64, struct isolation_stats, io_write),
	FIELD(9, FIELD_U64, struct isolation_stats, oom_kills),
	FIELD(10, FIELD_U64, struct isolation_stats, overhead),
};
const struct record isolation_stats_record = RECORD(isolation_stats, isolation_stats_fields);

static const struct field process_info_fields[] = {
	FIELD(1, FIELD_U32, struct process_info, pid),
	FIELD(2, FIELD_U32, struct process_info, ppid),
	FIELD(3, FIELD_U32, struct process_info, uid),
	FIELD(4, FIELD_U64, struct process_info, cpu_ms),
	FIELD(5, FIELD_U64, struct process_info, start_ms),
	FIELD(6, FIELD_STR, struct process_info, tty),
	FIELD(7, FIELD_STR, struct process_info, command),
};
const struct record process_info_record = RECORD(process_info, process_info_fields);

static const struct field isolation_top_fields[] = {
	FIELD_OF(1, FIELD_LIST, struct isolation_top, processes, &process_info_record),
};
const struct record isolation_top_record = RECORD(isolation_top, isolation_top_fields);
