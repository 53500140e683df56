/* SPDX-License-Identifier: Apache-2.0 */
/* What a profile is made of; for rules.c, which fills it with rules_mux.c, and
 * program.c, which reads it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spec/rules.h"

enum { ABIS_MAX = 2 };

/* The rules of one call. Most have one without conditions, which needs no memory of its own. */
struct call_rules {
	struct rule *rules; /* those with conditions, in the order they were added */
	size_t n;
	bool has_plain;
	uint32_t plain; /* the action when none of them holds */
};

struct rules {
	uint32_t default_action;
	uint32_t abis; /* bit n: rules_abis[n] may be used at all */
	bool closed; /* see rules_close() */
	struct call_rules *calls[ABIS_MAX]; /* by number */
	size_t n_calls[ABIS_MAX];
};

/* The other way to a call in 32-bit x86: `call` with `number` under `mask` as first argument. */
struct multiplexed {
	const char *call;
	uint64_t number, mask;
};

/* The other way to the call of this name, or NULL. */
const struct multiplexed *rules_multiplexed(const char *name);
