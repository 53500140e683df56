/* SPDX-License-Identifier: Apache-2.0 */
/* A monitor that reports anything. */
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "machine/report.h"
#include "proto/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct machine_report report = {0};
	AUTO_BUF struct buf text = BUF_INIT;
	struct err err = ERR_INIT;

	buf_str(&text, "");
	buf_add(&text, data, n);
	(void)!report_parse(text.data, 1000, &report, &err);
	if (report.devices.n > REPORT_DEVICES_MAX || report.ranges.n > REPORT_RANGES_MAX)
		__builtin_trap();
	record_done(&machine_report_record, &report);
	return 0;
}
