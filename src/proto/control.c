/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/control.h"

static const struct field control_request_fields[] = {
	FIELD(1, FIELD_U32, struct control_request, verb),
	FIELD(2, FIELD_U32, struct control_request, number),
	FIELD(3, FIELD_U32, struct control_request, streams),
	FIELD(4, FIELD_U32, struct control_request, process),
	FIELD(5, FIELD_U32, struct control_request, signal),
	FIELD(6, FIELD_BOOL, struct control_request, all),
	FIELD(7, FIELD_BOOL, struct control_request, detach),
	FIELD(8, FIELD_BOOL, struct control_request, foreground),
	FIELD(9, FIELD_U32, struct control_request, rows),
	FIELD(10, FIELD_U32, struct control_request, cols),
	FIELD(11, FIELD_U64, struct control_request, timeout_ms),
	FIELD_OF(12, FIELD_RECORD, struct control_request, exec, &plan_process_record),
	FIELD_OF(13, FIELD_RECORD, struct control_request, limits, &plan_limits_record),
	FIELD(14, FIELD_STR, struct control_request, target),
	FIELD(15, FIELD_BOOL, struct control_request, readonly),
	FIELD(16, FIELD_STR, struct control_request, address),
};
const struct record control_request_record = RECORD(control_request, control_request_fields);

static const struct field control_reply_fields[] = {
	FIELD(1, FIELD_U32, struct control_reply, number),
	FIELD(2, FIELD_U32, struct control_reply, code),
	FIELD(3, FIELD_STR, struct control_reply, message),
	FIELD(4, FIELD_U32, struct control_reply, process),
	FIELD(5, FIELD_BOOL, struct control_reply, ended),
	FIELD_OF(6, FIELD_RECORD, struct control_reply, exit, &process_exit_record),
	FIELD_OF(7, FIELD_RECORD, struct control_reply, stats, &isolation_stats_record),
	FIELD_OF(8, FIELD_RECORD, struct control_reply, top, &isolation_top_record),
	FIELD_OF(9, FIELD_RECORD, struct control_reply, report, &machine_report_record),
};
const struct record control_reply_record = RECORD(control_reply, control_reply_fields);

static const struct field keeper_status_fields[] = {
	FIELD(1, FIELD_U32, struct keeper_status, state),
	FIELD(2, FIELD_U32, struct keeper_status, code),
	FIELD(3, FIELD_U32, struct keeper_status, pid),
	FIELD(4, FIELD_U64, struct keeper_status, started_ns),
	FIELD(5, FIELD_U64, struct keeper_status, finished_ns),
	FIELD(6, FIELD_U32, struct keeper_status, restarts),
	FIELD_OF(7, FIELD_RECORD, struct keeper_status, exit, &process_exit_record),
	FIELD(8, FIELD_STRV, struct keeper_status, ports),
	FIELD(9, FIELD_STRV, struct keeper_status, interfaces),
};
const struct record keeper_status_record = RECORD(keeper_status, keeper_status_fields);

static const struct field keeper_port_fields[] = {
	FIELD(1, FIELD_STR, struct keeper_port, host_ip),
	FIELD(2, FIELD_U32, struct keeper_port, host_port),
	FIELD(3, FIELD_U32, struct keeper_port, port),
	FIELD(4, FIELD_BOOL, struct keeper_port, udp),
};
const struct record keeper_port_record = RECORD(keeper_port, keeper_port_fields);

static const struct field keeper_network_fields[] = {
	FIELD(1, FIELD_STR, struct keeper_network, name),
	FIELD(2, FIELD_STR, struct keeper_network, bridge),
	FIELD(3, FIELD_STR, struct keeper_network, subnet),
	FIELD(4, FIELD_STR, struct keeper_network, address),
};
static const struct record keeper_network_record = RECORD(keeper_network, keeper_network_fields);

static const struct field keeper_orders_fields[] = {
	FIELD(1, FIELD_BOOL, struct keeper_orders, vm),
	FIELD(2, FIELD_BOOL, struct keeper_orders, open_stdin),
	FIELD(3, FIELD_BOOL, struct keeper_orders, stdin_once),
	FIELD(4, FIELD_U32, struct keeper_orders, stop_signal),
	FIELD(5, FIELD_U64, struct keeper_orders, stop_timeout_ms),
	FIELD(6, FIELD_U32, struct keeper_orders, restart),
	FIELD(7, FIELD_U32, struct keeper_orders, restart_max),
	FIELD(8, FIELD_U64, struct keeper_orders, log_max),
	FIELD(9, FIELD_U32, struct keeper_orders, log_files),
	FIELD_OF(10, FIELD_RECORD, struct keeper_orders, network, &keeper_network_record),
	FIELD_OF(11, FIELD_LIST, struct keeper_orders, ports, &keeper_port_record),
};
const struct record keeper_orders_record = RECORD(keeper_orders, keeper_orders_fields);
