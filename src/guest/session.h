/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent does once its machine is up: carries out the host's orders for one workload
 * through the operations of struct isolation_ops, and moves its streams. Knows nothing of disks,
 * interfaces or being PID 1: that is behind `prepare`.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "proto/isolation.h"

struct err;
struct loop;
struct machine_order;
struct machine_setup;
struct session;

struct session_config {
	struct loop *loop;
	int fd; /* the channel */
	const struct isolation_ops *ops;
	int state_fd; /* as in struct isolation_config */
	const char *state_path;
	int layers_fd;
	/* Furnishes the machine and fills setup->plan with what only it knows (mounted layers, the
	 * writable folders). */
	int (*prepare)(void *ctx, struct machine_setup *setup, struct err *err);
	/* The machine is no longer wanted: why says NULL when the host asked for its end. Once; the
	 * session is to be freed after it. */
	void (*over)(void *ctx, const struct err *why);
	/* Shows the disk that came as device order->slot to the workload, or lets go of it. */
	int (*disk)(void *ctx, struct isolation *iso, const struct machine_order *order, bool show,
		    struct err *err);
	/* Sets up the interface that came as device order->slot, or lets go of it. */
	int (*interface)(void *ctx, const struct machine_order *order, bool show, struct err *err);
	/* The host's time, CLOCK_REALTIME in nanoseconds. */
	void (*clock)(void *ctx, uint64_t ns);
	void *ctx;
};

/* Starts a session. Takes config->fd, on failure too. The caller frees. */
int session_new(const struct session_config *config, struct session **ret, struct err *err)
	HULL_MUST_CHECK;

/* Ends the workload and the channel; NULL is fine. Not from within its own callbacks. */
void session_free(struct session *session);

DEFINE_AUTO(struct session, session_free)
