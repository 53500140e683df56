/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the monitor itself asks hull-share (proto/share.h), on the socket that the guest's messages
 * go over. Whoever asks waits for the answer, and nobody else uses the socket meanwhile.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "proto/share.h"

struct err;

enum {
	FS_PATIENCE_S = 30, /* for the socket to take a message, or for an answer */
	FS_PATIENCE_MAX_S = 100, /* for what is forgotten, and one question with its answer */
};

struct fs_question {
	enum share_opcode opcode;
	const void *body; /* borrowed */
	size_t n;
	int file; /* goes with it; borrowed; -1: none */
};

/* Makes calls that wait, which are this file's only, end at some time. */
int fs_ask_init(int share, struct err *err) HULL_MUST_CHECK;

/* Asks; *sent counts the messages. The answer is a checksum. */
int fs_ask(int share, uint64_t *sent, const struct fs_question *q, uint32_t *ret, struct err *err)
	HULL_MUST_CHECK;
