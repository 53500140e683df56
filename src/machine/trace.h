/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine's processes on the host: what is left of them in the run folder, so that repair finds
 * them, and their end. Processes are only ever signalled through a pidfd.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"

struct err;

/* Files of the run folder, each a proc_id. */
#define TRACE_MONITOR "monitor.pid"
#define TRACE_SHARE   "share.pid"

/* Writes the file `name` for the process. */
int trace_leave(int run_fd, const char *name, pid_t pid, struct err *err) HULL_MUST_CHECK;

/* Kills every process that the files name and waits for its end (two seconds at most). */
void trace_kill(int run_fd);

/* Removes the files and folders of a machine from the run folder. */
void trace_remove(int run_fd);

/* What the process takes of the host's memory in bytes (PSS); 0 for pid 0 and processes gone. */
uint64_t trace_memory(pid_t pid);

/* Sends SIGKILL. */
void pidfd_kill(int pidfd);

/* Waits for the end of the process; whether it came in time. */
bool pidfd_wait(int pidfd, int timeout_ms);

/* Waits for a child: 0-255, or 128 + signal. */
int pid_reap(pid_t pid, struct err *err) HULL_MUST_CHECK;
