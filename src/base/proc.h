/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes by name. A pid alone names nobody, since the kernel gives it out again: a process is
 * known by pid, start time and boot, and is only ever signalled through a pidfd taken while those
 * three held.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"

struct err;

enum { PROC_ID_TEXT = 128, BOOT_ID_TEXT = 37 };

struct proc_id {
	pid_t pid; /* 0: nobody */
	uint64_t start; /* clock ticks since boot, /proc/PID/stat field 22 */
	char boot[BOOT_ID_TEXT];
};

/* Fills *ret for a process that is there now (ESRCH when it is not). */
int proc_identify(pid_t pid, struct proc_id *ret, struct err *err) HULL_MUST_CHECK;

/* Writes "PID START BOOT" to text. */
void proc_id_format(const struct proc_id *id, char text[PROC_ID_TEXT]);

/* Reads what proc_id_format() wrote (a trailing newline is fine). */
int proc_id_parse(const char *text, struct proc_id *ret, struct err *err) HULL_MUST_CHECK;

/* A pidfd of that very process, or -ESRCH with err set when it is gone (a zombie is not gone). */
int proc_open(const struct proc_id *id, struct err *err) HULL_MUST_CHECK;

/* Whether that very process runs (a zombie does not). */
bool proc_alive(const struct proc_id *id);

/*
 * Path of one of hull's own programs: beside the running one (a build folder), else in
 * ../libexec/hull. The caller frees. ENOENT when it is in neither.
 */
int program_path(const char *name, char **ret, struct err *err) HULL_MUST_CHECK;

/*
 * In a child before exec: no signal is ignored, handled or blocked any more. The kernel is asked
 * directly, since the C library keeps signals 32 and 33 from its callers, and a parent may have
 * handed those on as well. Async-signal-safe.
 */
void proc_default_signals(void);

/* One child of proc_spawn(): what it is started with. */
struct spawn {
	const char *const *argv; /* argv[0] is a path, or a name looked up in PATH */
	int in, out, err; /* its standard streams: descriptors, or -1 for /dev/null */
	const int *keep; /* n_keep further descriptors, kept open under their numbers */
	size_t n_keep;
	bool new_session;
	const char *file; /* the program, when it is not argv[0]: a path, not looked up */
	const char *const *env; /* its whole environment; NULL: the caller's */
};

/* Starts a child with default signals and only the descriptors named. Returns its pid; the caller
 * reaps it. */
pid_t proc_spawn(const struct spawn *spawn, struct err *err) HULL_MUST_CHECK;

struct buf;

/*
 * Runs argv to its end with `input` (may be NULL) on standard input, and appends what it writes on
 * standard output to *out (may be NULL). Fails when it cannot be started or ends with another
 * status than 0: the error holds the last line of its standard error.
 */
int proc_run(const char *const *argv, const char *input, struct buf *out, struct err *err)
	HULL_MUST_CHECK;

/*
 * The same without output, and the child holds the descriptor `held` (a lock, say) as long as it
 * runs, whatever becomes of the caller.
 */
int proc_run_holding(const char *const *argv, const char *input, int held, struct err *err)
	HULL_MUST_CHECK;

typedef int proc_fn(void *ctx, struct err *err);

/*
 * Calls fn in a child, whose rights, namespaces and filters are its own to change. 1: it came to
 * its end, and *ret says how fn failed (code 0: it did not); 0: the child ended without a word.
 */
int proc_call(proc_fn *fn, void *ctx, struct err *ret, struct err *err) HULL_MUST_CHECK;

/* Waits for a child; returns its wait status as the shell counts it: 0-255, or 128 + signal. */
int proc_wait(pid_t pid, struct err *err) HULL_MUST_CHECK;
