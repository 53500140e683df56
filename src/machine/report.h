/* SPDX-License-Identifier: Apache-2.0 */
/* `hull machine inspect`, the keeper's part: what itself knows of a machine that runs, and what the
 * monitor says of it. */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "proto/isolation.h"

struct err;
struct machine_report;

enum { REPORT_RANGES_MAX = 8, REPORT_DEVICES_MAX = 64 };

/*
 * Adds what the monitor's answer to "report" (vmm/vmm_impl.h) says to *ret, times as microseconds
 * since launched_us. EBADMSG for what is no such answer; *ret is the caller's to release then too.
 */
int report_parse(const char *text, uint64_t launched_us, struct machine_report *ret,
		 struct err *err) HULL_MUST_CHECK;

/* isolation_ops.report of a machine. */
void machine_report(struct isolation *m, isolation_reply *reply, void *ctx);

/* Drops the reports without an answer, when the asker is gone. */
void reports_forget(struct isolation *m);
