/* SPDX-License-Identifier: Apache-2.0 */
/* What a program of ours (the monitor) says in lines, read from the loop. */
#pragma once

#include "base/attr.h"

struct err;
struct lines;
struct loop;

/* Takes one line without its newline, borrowed; longer ones come cut. */
typedef void lines_fn(void *ctx, const char *line);

/* Reads fd (borrowed, becomes non-blocking) until its end. The caller frees. */
int lines_new(struct loop *loop, int fd, lines_fn *fn, void *ctx, struct lines **ret,
	      struct err *err) HULL_MUST_CHECK;

/* NULL is fine. */
void lines_free(struct lines *l);

/* Reads what is there now, a last line without newline included; NULL is fine. */
void lines_drain(struct lines *l);

DEFINE_AUTO(struct lines, lines_free)
