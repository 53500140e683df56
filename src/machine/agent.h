/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's end of the channel to the agent inside a machine: what struct isolation_ops asks, for
 * the workload inside. What the agent says is a guest's word: bounded, checked, never trusted.
 * Everything but agent_free() may be called before the agent has booted; it is sent when it has.
 *
 * A machine for the agent has: a virtio-serial port named MACHINE_PORT (proto/message.h) whose
 * chardev's other end is `fd`; virtio-blk disks with the serial numbers there; a virtiofs device
 * with setup.share_tag; an initramfs with /init (hull-agent), and lists of modules to load in their
 * order, at once (/modules/order) and when the workload runs (/modules/late), one file name of
 * /modules per line; `panic=-1` on its command line. Once told to power
 * off, or when the channel is hung up, the agent ends the workload, syncs, and powers off.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "proto/isolation.h"
#include "proto/message.h"

struct agent;
struct strv;

struct agent_config {
	struct loop *loop;
	int fd; /* connected stream to the machine's port */
	const struct isolation_events *events; /* `message` is not NULL */
	void *events_ctx;
	/* The channel is gone: the machine ended, or its agent broke the rules; `why` is fit for
	 * people. Once; agent_end() is due then, when the cause is known. May be within any event.
	 */
	void (*lost)(void *ctx, const struct err *why);
	void *lost_ctx;
};

/* Starts to talk. Takes config->fd, on failure too. The caller frees, also from within an event. */
int agent_new(const struct agent_config *config, struct agent **ret, struct err *err)
	HULL_MUST_CHECK;

/* When the agent said hello first, by clock_us(); 0: not yet. */
uint64_t agent_hello_us(const struct agent *agent);

/* Closes the channel (upon which the agent powers off). Replies that are due never come. NULL is
 * fine. */
void agent_free(struct agent *agent);

/*
 * Makes *ret, what the agent is to prepare for `plan`: a copy of the plan without the host's
 * matters, its binds rewritten to entries of the share, randomness added. The host paths to
 * be shown as entries 0, 1, … of the share are appended to *shares; with any, ret->share_tag is
 * `tag`. The caller adds layers and disks, and releases *ret with machine_setup_record.
 */
int agent_prepare(const struct plan *plan, const char *tag, struct machine_setup *ret,
		  struct strv *shares, struct err *err) HULL_MUST_CHECK;

/* Makes the workload's box inside; no answer. setup is borrowed for the call (its number is set).
 */
void agent_setup(struct agent *agent, struct machine_setup *setup, isolation_reply *reply,
		 void *ctx);

/* As the members of struct isolation_ops of the same names. io's descriptors become non-blocking.
 */
void agent_start(struct agent *agent, const struct plan_process *what, const struct process_io *io,
		 isolation_reply *reply, void *ctx);
void agent_exec(struct agent *agent, uint32_t process, const struct plan_process *what,
		const struct process_io *io, isolation_reply *reply, void *ctx);
int agent_console(struct agent *agent, uint32_t process, struct err *err) HULL_MUST_CHECK;
int agent_resize(struct agent *agent, uint32_t process, uint32_t rows, uint32_t cols,
		 struct err *err) HULL_MUST_CHECK;
int agent_signal(struct agent *agent, uint32_t process, int sig, bool all, struct err *err)
	HULL_MUST_CHECK;
void agent_pause(struct agent *agent, bool paused, isolation_reply *reply, void *ctx);
/* cpus: how many are to be online from now on; 0: as many as are. */
void agent_update(struct agent *agent, const struct plan_limits *limits, uint32_t cpus,
		  isolation_reply *reply, void *ctx);
void agent_stats(struct agent *agent, isolation_reply *reply, void *ctx);
void agent_top(struct agent *agent, isolation_reply *reply, void *ctx);

/* The device order->slot is a disk now (serial, readonly), and is to be shown at order->target in
 * the workload; or it is to be let go of. No answer. order is borrowed for the call (its number is
 * set). */
void agent_show_disk(struct agent *agent, struct machine_order *order, isolation_reply *reply,
		     void *ctx);
void agent_hide_disk(struct agent *agent, struct machine_order *order, isolation_reply *reply,
		     void *ctx);

/* The same for a network interface: order's slot, target, mac, address and mtu. */
void agent_show_interface(struct agent *agent, struct machine_order *order, isolation_reply *reply,
			  void *ctx);
void agent_hide_interface(struct agent *agent, struct machine_order *order, isolation_reply *reply,
			  void *ctx);

/* Asks for an orderly power-off; the machine's end is the answer. */
int agent_poweroff(struct agent *agent, struct err *err) HULL_MUST_CHECK;

/*
 * After `lost`: every process that still ran is told as exited with status 137 and this reason (may
 * be NULL), the first one last, each after what came from it was handed on; replies that are due
 * come as failures.
 */
void agent_end(struct agent *agent, const char *reason);

DEFINE_AUTO(struct agent, agent_free)
