/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/message.h"

static const struct field machine_extent_fields[] = {
	FIELD(1, FIELD_U64, struct machine_extent, offset),
	FIELD(2, FIELD_U64, struct machine_extent, size),
};
const struct record machine_extent_record = RECORD(machine_extent, machine_extent_fields);

static const struct field machine_setup_fields[] = {
	FIELD(1, FIELD_U32, struct machine_setup, number),
	FIELD_OF(2, FIELD_RECORD, struct machine_setup, plan, &plan_record),
	FIELD_OF(3, FIELD_LIST, struct machine_setup, layers, &machine_extent_record),
	FIELD(4, FIELD_BOOL, struct machine_setup, scratch),
	FIELD(5, FIELD_BOOL, struct machine_setup, modules),
	FIELD(6, FIELD_STR, struct machine_setup, share_tag),
	FIELD(7, FIELD_BYTES, struct machine_setup, seed),
};
const struct record machine_setup_record = RECORD(machine_setup, machine_setup_fields);

static const struct field machine_order_fields[] = {
	FIELD(1, FIELD_U32, struct machine_order, number),
	FIELD(2, FIELD_U32, struct machine_order, streams),
	FIELD_OF(3, FIELD_RECORD, struct machine_order, process, &plan_process_record),
	FIELD(4, FIELD_U32, struct machine_order, rows),
	FIELD(5, FIELD_U32, struct machine_order, cols),
	FIELD(6, FIELD_U32, struct machine_order, signal),
	FIELD(7, FIELD_BOOL, struct machine_order, all),
	FIELD_OF(8, FIELD_RECORD, struct machine_order, limits, &plan_limits_record),
	FIELD(9, FIELD_U32, struct machine_order, cpus),
	FIELD(10, FIELD_U32, struct machine_order, slot),
	FIELD(11, FIELD_STR, struct machine_order, serial),
	FIELD(12, FIELD_STR, struct machine_order, target),
	FIELD(13, FIELD_BOOL, struct machine_order, readonly),
	FIELD(14, FIELD_STR, struct machine_order, mac),
	FIELD(15, FIELD_STR, struct machine_order, address),
	FIELD(16, FIELD_U32, struct machine_order, mtu),
};
const struct record machine_order_record = RECORD(machine_order, machine_order_fields);

static const struct field machine_answer_fields[] = {
	FIELD(1, FIELD_U32, struct machine_answer, number),
	FIELD(2, FIELD_U32, struct machine_answer, code),
	FIELD(3, FIELD_STR, struct machine_answer, message),
	FIELD_OF(4, FIELD_RECORD, struct machine_answer, stats, &isolation_stats_record),
	FIELD_OF(5, FIELD_RECORD, struct machine_answer, top, &isolation_top_record),
};
const struct record machine_answer_record = RECORD(machine_answer, machine_answer_fields);
