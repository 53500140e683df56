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
struct gate;
struct list;
struct plan;
struct plan_process;

struct process {
	const struct plan_process *what; /* borrowed */
	int sock; /* to tell the parent (note.h) */
	int io[3]; /* standard streams; with a terminal: its slave, three times */
	struct user user;
	char **env; /* what's env and HOME; its strings belong to what */
	const char *keyring; /* the plan's */
	struct gate *gate; /* through which the process gets its scheduler (schedule.h); or NULL */
	unsigned preserve; /* descriptors from 3 on that the program gets */
	bool dropped; /* process_drop() was done before the fork that made this process */
	int listener; /* of listener_open(), when what names a seccomp_listener */
	const char *listener_state; /* then: what is sent beside the descriptor (listener.h) */
};

/* Whether the program is there at all, in the workload's root: what can be told before the start
 * (callers of a runtime expect it of create). ENOENT and EACCES as its execve would fail. */
int process_find(const struct plan_process *what, struct err *err) HULL_MUST_CHECK;

/* Finds the user, sets rlimits, schedule, umask, keyring and working folder. p->what, sock and io
 * are set. */
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

/*
 * Asks for the AppArmor profile and the SELinux label at the next execve, through `proc`, a checked
 * procfs (populate.proc, or the host's /proc before a joiner enters). To be called when all mounts
 * are made, and before process_prepare(); what a fork inherits holds.
 */
int process_labels(int proc, const struct plan_process *what, struct err *err) HULL_MUST_CHECK;

/* Binds the calling process to the CPUs of a list ("0-3,7"; NULL: nothing happens): a joiner with
 * schedule.cpus_initial before it enters the cgroup. `field` names the list in errors. */
int process_affinity(const char *cpus, const char *field, struct err *err) HULL_MUST_CHECK;

/* Personality and memory policy of the plan, for each process that is started; before
 * process_prepare(), inside the workload's cgroup. */
int process_domain(const struct plan *plan, struct err *err) HULL_MUST_CHECK;

/*
 * Writes the offsets (struct plan_time_offset) of a time namespace that has no process yet: that of
 * the children of `who` ("self" or a pid), who did unshare(CLONE_NEWTIME), through `proc`. The next
 * fork of that process is in it.
 */
int process_time_offsets(int proc, const char *who, const struct list *offsets, struct err *err)
	HULL_MUST_CHECK;
