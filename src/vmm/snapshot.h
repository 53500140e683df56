/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine that is paused, written down, and brought back in another process: what of it is
 * written in which order is here; what each part writes is the part's.
 */
#pragma once

#include <stddef.h>

#include "base/attr.h"

struct control_call;
struct err;
struct vmm;

/* Bytes that a written state of the machine has at most. */
size_t snapshot_room(const struct vmm *m);

/* Makes the machine, whose processors and devices are new, what the state in the file says. It goes
 * on when its threads run. */
int snapshot_load(struct vmm *m, int file, struct err *err) HULL_MUST_CHECK;

/* "pause": processors stand between two instructions, devices serve nothing; an answer means that
 * all do. "resume": all go on. "save": of a machine that is paused, with two descriptors of files:
 * the first becomes its state, the second its memory; where there is a share, its state becomes a
 * third one, of which hull-share is to be made again. ctx is the struct vmm. */
int pause_answer(void *ctx, struct control_call *call, struct err *err) HULL_MUST_CHECK;
int resume_answer(void *ctx, struct control_call *call, struct err *err) HULL_MUST_CHECK;
int save_answer(void *ctx, struct control_call *call, struct err *err) HULL_MUST_CHECK;
