/* SPDX-License-Identifier: Apache-2.0 */
/* A machine as its own files see it: machine.c leads its life, the others carry out what is asked
 * of one that runs. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "machine/driver.h"
#include "machine/rates.h"
#include "machine/share.h"
#include "proto/isolation.h"

struct agent;
struct asker;
struct change;
struct console;
struct lines;
struct memory_change;
struct loop;
struct plan;
struct plugged;
struct report_call;
struct timer;
struct watch;

enum { REASON_MAX = 400 };

struct isolation {
	const struct plan *plan;
	struct loop *loop;
	const struct isolation_events *events;
	void *ctx;
	int state_fd;
	const struct driver *driver;
	struct monitor monitor;
	struct report_call *reports; /* on their way (report.c) */
	struct asker *asker; /* of a monitor that takes requests; NULL */
	struct lines *control; /* of one that does not; NULL */
	struct lines *complaints;
	struct console *console;
	struct watch *ended_watch;
	struct share share;
	struct agent *agent;
	struct plugged *plugged; /* disks and interfaces that came while it runs (plug.c) */
	struct change *changes; /* of limits, under way */
	unsigned n_plugged; /* how many disks ever came */
	uint64_t net_rates[RATES_WAYS]; /* bytes a second of each interface; 0: no limit */
	struct timer *boot, *lost;
	uint64_t launched_us, ready_us; /* the monitor, the box inside; by clock_us(); 0: not yet */
	enum monitor_word word; /* how the guest ended by the monitor's account */
	uint32_t cpus, max_cpus; /* online, as far as is known; made */
	uint64_t memory; /* bytes that it is to have */
	struct memory_change *memory_change; /* on its way (memory.c) */
	bool over; /* the monitor is gone and reaped */
	bool set_up; /* the box inside stands */
	struct err failed; /* it does not, or the channel broke: why */
	char complaint[REASON_MAX]; /* the monitor's last line of its own */

	/* start, while setup is on its way */
	isolation_reply *start_reply;
	void *start_ctx;
	struct process_io start_io; /* duplicates; -1 */
};

/* What the monitor may take on the host beside the guest's memory: its own, its translations of the
 * guest's code, and the page cache of the disks. */
#define MONITOR_MEMORY (512ULL << 20)

/* A request to carry out; borrowed for the call. */
struct update {
	const struct plan_limits *limits;
	uint32_t cpus; /* as agent_update() has it */
	isolation_reply *reply;
	void *ctx;
};

/* Carries the update out with another limit of memory: the machine gets more first, or gives back
 * what is too much; when it cannot, all stays as it was and the reply says what was reached. */
void memory_update(struct isolation *m, const struct update *u);

/* Drops a change on its way, without a word. */
void memory_forget(struct isolation *m);
