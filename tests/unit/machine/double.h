/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stand-in for an isolation: runs plain processes of the host, without any box, for tests of what
 * lies between an isolation and the one who asks for it.
 */
#pragma once

#include "proto/isolation.h"

/* What the double was asked for last, and how it is to answer. */
struct double_notes {
	int creates, deletes;
	uint32_t rows, cols, paused;
	uint64_t memory;
	char hostname[64];
	int fail_create; /* errno */
	uint32_t top_processes; /* how many it lists */
};

extern struct double_notes double_notes;
extern const struct isolation_ops double_isolation;
