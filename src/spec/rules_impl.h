/* SPDX-License-Identifier: Apache-2.0 */
/* What a profile is made of; for rules.c, which fills it, and program.c, which reads it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "spec/rules.h"

enum { ABIS_MAX = 2 };

/* The rules of one call, in the order they were added. */
struct call_rules {
	struct rule *rules;
	size_t n;
};

struct rules {
	uint32_t default_action;
	struct call_rules *calls[ABIS_MAX]; /* by number */
	size_t n_calls[ABIS_MAX];
};
