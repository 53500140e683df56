/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/report.h"

static const struct field machine_device_fields[] = {
	FIELD(1, FIELD_U32, struct machine_device, slot),
	FIELD(2, FIELD_STR, struct machine_device, kind),
	FIELD(3, FIELD_STR, struct machine_device, label),
	FIELD(4, FIELD_U64, struct machine_device, offered),
	FIELD(5, FIELD_U64, struct machine_device, agreed),
	FIELD(6, FIELD_U32, struct machine_device, status),
	FIELD(7, FIELD_U64, struct machine_device, ready_us),
	FIELD(8, FIELD_STR, struct machine_device, queues),
};
const struct record machine_device_record = RECORD(machine_device, machine_device_fields);

static const struct field machine_range_fields[] = {
	FIELD(1, FIELD_U64, struct machine_range, address),
	FIELD(2, FIELD_U64, struct machine_range, size),
};
const struct record machine_range_record = RECORD(machine_range, machine_range_fields);

static const struct field machine_report_fields[] = {
	FIELD(1, FIELD_STR, struct machine_report, driver),
	FIELD(2, FIELD_U32, struct machine_report, pid),
	FIELD(3, FIELD_U64, struct machine_report, memory),
	FIELD(4, FIELD_U32, struct machine_report, cpus),
	FIELD(5, FIELD_U32, struct machine_report, max_cpus),
	FIELD(6, FIELD_U64, struct machine_report, monitor_pss),
	FIELD(7, FIELD_U64, struct machine_report, share_pss),
	FIELD(8, FIELD_U64, struct machine_report, started_us),
	FIELD(9, FIELD_U64, struct machine_report, entered_us),
	FIELD(10, FIELD_U64, struct machine_report, driver_us),
	FIELD(11, FIELD_U64, struct machine_report, hello_us),
	FIELD(12, FIELD_U64, struct machine_report, ready_us),
	FIELD(13, FIELD_U64, struct machine_report, exits_ports),
	FIELD(14, FIELD_U64, struct machine_report, exits_mmio),
	FIELD(15, FIELD_U64, struct machine_report, exits_other),
	FIELD_OF(16, FIELD_LIST, struct machine_report, ranges, &machine_range_record),
	FIELD_OF(17, FIELD_LIST, struct machine_report, devices, &machine_device_record),
};
const struct record machine_report_record = RECORD(machine_report, machine_report_fields);
