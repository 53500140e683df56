/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives container_isolation with real plans, on a root of busybox: runs one command, gathers what
 * it writes and how it ends, and looks at what is left behind.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"
#include "proto/isolation.h"
#include "proto/plan.h"

struct rig {
	struct plan plan; /* to be changed before rig_create() */
	struct loop *loop;
	struct isolation *iso;
	char dir[64]; /* scratch folder: root/ upper/ work/ layers/ state/ */
	int state_fd, layers_fd;
	int in, out; /* our ends of the streams, or the terminal twice; -1: none */
	struct buf output; /* standard output and error together */
	struct buf messages;
	bool answered, ended;
	struct err failure; /* of the last answer */
	struct process_exit exit; /* of process 0 */
	struct process_exit exec_exit;
	bool exec_ended;
	struct isolation_stats stats;
	struct buf top;
};

/* Whether containers can be made here (root, cgroups); says "# SKIP" when not. */
bool rig_can(void);

/* A plan that runs `sh -c script` as docker would, on a folder root. Aborts the test program when
 * the rig itself cannot be built. */
void rig_init(struct rig *rig, const char *script);

/* Adds a mount to the plan (type NULL: bind) and returns it for more. */
struct plan_mount *rig_mount(struct rig *rig, const char *type, const char *source,
			     const char *target, uint64_t flags, const char *data);

/* Makes the plan one that is as specified, with the mounts that docker asks for. */
void rig_specified(struct rig *rig);

/* Ends and removes everything. */
void rig_done(struct rig *rig);

/* Create, start; then everything until process 0 has ended (at most 20 s). All return 0 or -errno,
 * with rig->failure set. */
int rig_create(struct rig *rig);
int rig_start(struct rig *rig);
int rig_finish(struct rig *rig);

/* All three; the exit status, or -errno. */
int rig_run(struct rig *rig);

/* Runs `sh -c script` (or, with what, that) by exec to its end; its status, or -errno. */
int rig_exec(struct rig *rig, const char *script);
int rig_exec_as(struct rig *rig, const struct plan_process *what, int in);

/* Lets events pass until text has been written, or ms are over. */
bool rig_until(struct rig *rig, const char *text, int ms);

/* Waits for the answer of a request that was just made with rig_reply. */
int rig_answer(struct rig *rig);
void rig_reply(void *ctx, const struct err *failure, const void *answer);
void rig_stats(void *ctx, const struct err *failure, const void *answer); /* to rig->stats */
void rig_top(void *ctx, const struct err *failure, const void *answer); /* commands to rig->top */

/* What the plan's process gets in front of its own arguments. */
void rig_args(struct plan_process *p, const char *const *args);

/* Whether a cgroup of this rig, or a process in it, is left. */
bool rig_left_anything(const struct rig *rig);

/* Makes a file below the rig's folder. */
void rig_file(const struct rig *rig, const char *path, const char *text, mode_t mode);

/* The capabilities that docker gives. */
extern const uint64_t rig_caps;

/* Removes a rig's folder. */
void rig_remove(const char *dir);

#define AUTO_RIG AUTO(rig_done)
