/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks and network interfaces that come to a machine while it runs, and what else is changed of
 * its devices then: the monitor is asked to put the file or the tap behind a spare device, then the
 * agent to bind that device and to show it to the workload, mounted or set up; the other way round
 * when it goes.
 */
#pragma once

#include <stdint.h>

#include "proto/isolation.h"

struct plan_limits;

/* As the members `disk` and `interface` of struct isolation_ops. */
void plug_disk(struct isolation *m, const struct isolation_disk *disk, isolation_reply *reply,
	       void *ctx);
void plug_interface(struct isolation *m, const struct isolation_interface *what,
		    isolation_reply *reply, void *ctx);

/* Changes limits, and the number of processors online (0: as many as are): what is about the host's
 * block devices and about its interfaces by the monitor, all else by the agent. No answer. */
void plug_update(struct isolation *m, const struct plan_limits *limits, uint32_t cpus,
		 isolation_reply *reply, void *ctx);

/* Forgets all of them, when nobody answers any more. */
void plug_done(struct isolation *m);
