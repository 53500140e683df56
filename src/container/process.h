/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last steps of a process on its way into a workload, taken in the process itself: identity,
 * limits, capabilities, seccomp, execve. Used by the first process and by those of exec.
 *
 * Order: process_prepare() with all rights, inside the workload's root; then, in the process that
 * executes, process_become().
 */
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "container/user.h"

struct err;
struct plan_process;

struct process {
	const struct plan_process *what; /* borrowed */
	int sock; /* to tell the parent (note.h) */
	int io[3]; /* standard streams; with a terminal: its slave, three times */
	struct user user;
	char **env; /* what's env and HOME; its strings belong to what */
	unsigned preserve; /* descriptors from 3 on that the program gets */
	bool dropped; /* process_drop() was done before the fork that made this process */
};

/* Finds the user, sets rlimits, umask, keyring and working folder. p->what, sock and io are set. */
int process_prepare(struct process *p, struct err *err) HULL_MUST_CHECK;

/*
 * Takes the user's identity and exactly the capabilities asked for. `filter`: with the seccomp
 * program too, where that needs a capability (without no_new_privs it must be loaded before the
 * last one goes).
 */
int process_drop(struct process *p, bool filter, struct err *err) HULL_MUST_CHECK;

/* Drops (unless dropped), arranges the streams, and executes; a failure is told to the parent. */
_Noreturn void process_become(struct process *p);

/* Tells the parent: a line for people; the failure in err. */
void process_say(int sock, const char *line);
void process_fail(int sock, const struct err *err);
