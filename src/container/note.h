/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a workload's parent and its not yet executed child say to each other over a socket pair: one
 * note a packet, descriptors beside it. The end of the stream means that the child's execve
 * succeeded (or that it died).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/err.h"

enum note_kind {
	NOTE_READY = 1, /* the box is made; descriptor: the terminal's master, when there is one */
	NOTE_FAILED, /* err says why; the child ends */
	NOTE_MESSAGE, /* err.msg is a line for people; the child goes on */
	NOTE_PROCESS, /* exec: pid; descriptors: its pidfd, and the terminal's master */
	NOTE_HOOKS, /* the root is furnished; the child waits for NOTE_GO while hooks run */
	NOTE_GO, /* to the child: go on, or start; descriptors: the standard streams, if they are
		    not there yet; pid: its own, as the parent counts */
};

enum { NOTE_FDS_MAX = 3 };

struct note {
	uint32_t kind; /* enum note_kind */
	pid_t pid;
	uint32_t n_fds;
	int fds[NOTE_FDS_MAX]; /* received ones belong to the receiver; -1: none */
	struct err err;
};

/* Makes the pair: ret[0] the parent's end, ret[1] the child's. */
int note_pair(int ret[2], struct err *err) HULL_MUST_CHECK;

/* Sends a note; its descriptors are borrowed, none may be -1. */
int note_send(int sock, const struct note *note, struct err *err) HULL_MUST_CHECK;

/* Receives one into *ret; waits for it. Returns 1, or 0 at the end of the stream. */
int note_receive(int sock, struct note *ret, struct err *err) HULL_MUST_CHECK;

/* Closes received descriptors that nobody took (set those taken to -1). */
void note_done(struct note *note);
