/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the frames between a host and the agent in its machine carry (proto/channel.h): records.
 * Each order of the host has a number, which the agent's one answer to it repeats; exits and log
 * lines come unasked.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/isolation.h"
#include "proto/plan.h"

/* Folders inside the machine. */
#define MACHINE_SHARE   "/run/hull/share" /* the share; bind N of a plan is its entry N */
#define MACHINE_MODULES "/run/hull/modules"

/* Serial numbers by which the agent finds its disks, and the name of its port. */
#define MACHINE_DISK_LAYERS  "layers"
#define MACHINE_DISK_SCRATCH "scratch"
#define MACHINE_DISK_MODULES "modules"
#define MACHINE_PORT         "hull.channel"

/* Where one layer's EROFS stands on the disk of layers; bytes, whole sectors. */
struct machine_extent {
	uint64_t offset, size;
};

/* FRAME_SETUP: the workload's box is made. Answered when it stands. */
struct machine_setup {
	uint32_t number;
	struct plan plan; /* sources of binds below MACHINE_SHARE; no host paths, no joins */
	struct list layers; /* struct machine_extent, lowest first; none: the plan's root has no
			       layers */
	bool scratch; /* there is a disk for the writable part, else it is a tmpfs */
	bool modules; /* there is a disk with the kernel's modules */
	char *share_tag; /* virtiofs; NULL: no share */
	struct bytes seed; /* randomness */
};

/* All other orders; each uses what it needs. The stream bits are those of proto/control.h. */
struct machine_order {
	uint32_t number;
	uint32_t streams; /* START, EXEC; which streams there are */
	struct plan_process process; /* EXEC */
	uint32_t rows, cols; /* RESIZE */
	uint32_t signal; /* SIGNAL */
	bool all;
	struct plan_limits limits; /* UPDATE */
	uint32_t cpus; /* UPDATE: how many are to be online; 0: as many as are */
	uint32_t slot; /* DISK, UNDISK, NET, UNNET: the number of its device */
	char *serial; /* DISK, UNDISK */
	char *target; /* DISK, UNDISK: where the workload sees it, absolute; NET, UNNET: the name
			 of the interface inside */
	bool readonly; /* DISK */
	char *mac, *address; /* NET: of which interface, and "10.214.0.3/16" */
	uint32_t mtu; /* NET; 0: as it is */
};

/* FRAME_ANSWER. FRAME_EXITED carries a process_exit, FRAME_LOG a line as it is. */
struct machine_answer {
	uint32_t number;
	uint32_t code; /* 0, or a positive errno */
	char *message; /* of a failure */
	struct isolation_stats stats;
	struct isolation_top top;
};

extern const struct record machine_setup_record;
extern const struct record machine_extent_record;
extern const struct record machine_order_record;
extern const struct record machine_answer_record;
