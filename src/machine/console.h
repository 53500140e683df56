/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest writes to its serial line: kernel messages, one event per line, bounded in length
 * and rate, without control characters; the last word of a kernel that panics is remembered.
 */
#pragma once

#include <stddef.h>

#include "base/attr.h"

struct console;
struct err;
struct loop;

enum { CONSOLE_LINE_MAX = 256 };

/* Takes one line, borrowed. */
typedef void console_fn(void *ctx, const char *line);

/* Reads fd (borrowed, becomes non-blocking) from the loop until its end. The caller frees. */
int console_new(struct loop *loop, int fd, console_fn *fn, void *ctx, struct console **ret,
		struct err *err) HULL_MUST_CHECK;

/* NULL is fine. */
void console_free(struct console *c);

/* Reads what is there now, after the monitor's end. */
void console_drain(struct console *c);

/* Why the kernel panicked ("Attempted to kill init! …"), or NULL; borrowed. */
const char *console_panic(const struct console *c);

/* The last line that said anything, "" before any; borrowed. */
const char *console_last(const struct console *c);

DEFINE_AUTO(struct console, console_free)
