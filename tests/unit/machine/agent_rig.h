/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's client of the agent and the agent's session, in one loop over a socket pair, with
 * plain processes as the workload (double.h). A rig is {0} at first and is released by rig_done().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "machine/agent.h"
#include "proto/isolation.h"

struct loop;
struct session;
struct timer;

enum { PATIENCE_MS = 20000 };

struct rig {
	struct loop *loop;
	struct timer *timer;
	struct agent *agent;
	struct session *session;
	struct machine_setup setup;
	bool late;
	/* what was told */
	int replies, awaited, code;
	char failure[ERR_MSG_MAX];
	struct isolation_stats stats;
	size_t listed;
	char disk[128]; /* what the session was last told of one */
	char interface[128]; /* the same */
	uint64_t clock_ns;
	int exits;
	struct process_exit last[8];
	char reason[ERR_MSG_MAX];
	int lost, over, lines;
	bool over_by_host, free_at_exit, end_at_loss;
	char why[ERR_MSG_MAX], line[256];
};

/* Releases all of it. */
void rig_done(struct rig *rig);

/* Makes the loop, and the two ends of a channel, which are the caller's. */
bool rig_ends(struct rig *rig, int fds[2]);

/* Puts the client, and the agent's session, on an end of the channel. */
bool rig_agent(struct rig *rig, int fd);
bool rig_session(struct rig *rig, int fd);

/* A machine whose workload will run `script`, set up. */
bool rig_new(struct rig *rig, const char *script, bool tty);

/* Runs the loop until something was told; false when nothing was within `ms`. */
bool rig_run(struct rig *rig, uint64_t ms);

/* Runs until one more reply came; answers its code, -1 for none. */
int rig_reply(struct rig *rig);

/* Runs until n exits were told; false for none in time, or more than n. */
bool rig_exits(struct rig *rig, int n);

/* What to give as the reply of an order: notes it in the rig (ctx). */
void rig_on_reply(void *ctx, const struct err *failure, const void *answer);
void rig_on_stats(void *ctx, const struct err *failure, const void *answer);
void rig_on_top(void *ctx, const struct err *failure, const void *answer);

/* Lets p be a shell that runs `script`. */
bool rig_shell(struct plan_process *p, const char *script);

/* The far ends of a process's streams: write in, read out and err. */
struct streams {
	int in, out, err;
};

/* Closes those that are open. */
void streams_done(struct streams *s);

/* Makes three pipes: the process's ends in *io, the others in *ours; both are the caller's. */
bool streams_new(struct process_io *io, struct streams *ours);

/* Closes the process's ends. */
void streams_close(struct process_io *io);

/* Starts the workload, or a further process, with streams of its own; answers as rig_reply(). */
int rig_start(struct rig *rig, struct streams *ours);
int rig_exec(struct rig *rig, uint32_t number, const char *script, struct streams *ours);

/* What can be read from fd until its end, as text in text[size]. */
const char *text_of(int fd, char *text, size_t size);
