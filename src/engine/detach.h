/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key sequence by which a user leaves a workload running. Every key but the last of the
 * sequence is handed on when it comes: a lone ctrl-p reaches the program at once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

struct err;

enum { DETACH_KEYS_MAX = 16 };

struct detach {
	unsigned char keys[DETACH_KEYS_MAX];
	size_t n; /* 0: never */
	size_t seen;
};

/* Reads "ctrl-p,ctrl-q", "a", "ctrl-@,x"; NULL: the default; "": none. */
int detach_parse(const char *text, struct detach *ret, struct err *err) HULL_MUST_CHECK;

/* Looks at n bytes typed. Returns how many of them are to be handed on; *ret_left: the sequence was
 * completed by the byte behind them. */
size_t detach_scan(struct detach *d, const char *bytes, size_t n, bool *ret_left);
