/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: the small process that owns one workload from its start to its end. Private to
 * hull-keeper; what it says to others is proto/control.h. It opens no database, reads no JSON and
 * asks only the isolation interface.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "proto/control.h"

struct err;
struct execs;
struct keeper_net;
struct log;
struct loop;
struct server;
struct stdio;
struct timer;
struct watch;

struct keeper {
	struct loop *loop;
	int dir_fd; /* the workload's folder: plan, orders, log */
	int run_fd; /* its run folder: keeper, status, ctl */
	int layers_fd; /* where layers are mounted */
	const char *run_path;
	int life_fd; /* to the command that started us, until it has its answer; -1 */
	struct watch *life_watch;
	int signal_fd;
	struct watch *signal_watch;

	struct plan plan;
	struct keeper_orders orders;
	struct keeper_status status;

	const struct isolation_ops *ops;
	struct isolation *iso; /* NULL between lives */
	struct log *log; /* NULL: none is kept */
	struct stdio *stdio; /* of process 0 */
	struct execs *execs;
	struct server *server;
	struct keeper_net *net;

	bool begun; /* the first start was asked for */
	bool stopping; /* somebody wants it stopped: no restart */
	uint32_t restart_delay_ms;
	struct timer *restart_timer;
	struct timer *kill_timer;
	struct timer *unread_timer; /* its foreground reader is gone */
};

/* Starts the workload for the first time; a second call does nothing. */
void keeper_begin(struct keeper *k);

/* Ends the workload by sig (0: its own stop signal), by SIGKILL after timeout_ms; no restart
 * follows. */
void keeper_stop(struct keeper *k, int sig, uint64_t timeout_ms);

/* Writes `status` anew. */
void keeper_save_status(struct keeper *k);
