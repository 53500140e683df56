/* SPDX-License-Identifier: Apache-2.0 */
/* What a keeper tells of the machine it owns. What the monitor said of it may be a lie of its
 * guest's: for people, not for decisions. */
#pragma once

#include <stdint.h>

#include "proto/record.h"

/* A virtio device as its driver left it. */
struct machine_device {
	uint32_t slot; /* by address and interrupt line */
	char *kind, *label; /* "block", "layers"; label NULL: none */
	uint64_t offered, agreed; /* features */
	uint32_t status; /* the driver's, virtio 1.2 section 2.1 */
	uint64_t ready_us; /* since the monitor's launch; 0: not yet */
	char *queues; /* "256,256": the size of each, 0 while it is off; "busy" */
};

/* A run of guest memory. */
struct machine_range {
	uint64_t address, size;
};

struct machine_report {
	char *driver; /* "hull-monitor", "qemu" */
	uint32_t pid; /* the monitor's */
	uint64_t memory; /* bytes */
	uint32_t cpus, max_cpus; /* cpus: online */
	uint64_t monitor_pss, share_pss; /* bytes of the host's memory */
	/* Microseconds since the monitor was launched; 0: not yet, or not known. */
	uint64_t started_us, entered_us, driver_us, hello_us, ready_us;
	uint64_t exits_ports, exits_mmio, exits_other;
	struct list ranges; /* struct machine_range */
	struct list devices; /* struct machine_device */
};

extern const struct record machine_device_record;
extern const struct record machine_range_record;
extern const struct record machine_report_record;
