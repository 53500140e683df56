/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of a monitor in the making, and its start: what the drivers have in common. The
 * first failure sticks: adding goes on without effect, and command_launch() answers with it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/str.h"
#include "machine/box.h"

struct err;
struct monitor;
struct monitor_spec;

/* The streams between monitor and keeper; `streams` has the monitor's ends. */
enum { STREAM_CONSOLE, STREAM_CHANNEL, STREAM_CONTROL, STREAMS };

enum { COMMAND_FDS_MAX = 1024 };

struct command {
	struct strv argv;
	int fds[COMMAND_FDS_MAX]; /* what stays open in the monitor, borrowed */
	size_t n_fds;
	int own[COMMAND_FDS_MAX]; /* closed with the command */
	size_t n_own;
	unsigned sets; /* qemu's fd sets so far; their numbers begin at 1 */
	int streams[STREAMS]; /* given to the monitor by whoever adds them to fds; owned */
	int ours[STREAMS], complaints[2]; /* owned */
	struct err *err; /* borrowed until the command is freed */
	int failed;
};

/* Makes an empty command with its streams, control's of the socket type given. The caller frees. */
int command_new(int control_type, struct command **ret, struct err *err) HULL_MUST_CHECK;

/* Closes what it owns; NULL is fine. */
void command_free(struct command *c);

DEFINE_AUTO(struct command, command_free)

/* Appends an argument. */
void command_arg(struct command *c, const char *fmt, ...) HULL_PRINTF(2, 3);

/* Appends the guest kernel's command line as one argument: `fixed`, how many processors it starts,
 * the user's words. */
void command_kernel_args(struct command *c, const char *fixed, const struct monitor_spec *spec);

/* fd (borrowed) stays open in the monitor, under its number. */
void command_keep(struct command *c, int fd);

/* fd is closed with the command. */
void command_own(struct command *c, int fd);

/* Opens the file for reading (flags: O_NOFOLLOW or 0), to be closed with the command; its
 * descriptor, or -1 (the failure sticks). `what` names it. */
int command_open(struct command *c, const char *path, int flags, const char *what);

/* Starts it in a box like `box`, which says what is special about this monitor; fills in *ret,
 * whose descriptors are the caller's. */
int command_launch(struct command *c, const struct monitor_spec *spec, struct box box,
		   struct monitor *ret) HULL_MUST_CHECK;
