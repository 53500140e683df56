/* SPDX-License-Identifier: Apache-2.0 */
/* System-call filters for hull's own programs: a list of what may be asked of the kernel. (What a
 * workload may ask is the plan's: spec/.) */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct err;

enum { FILTER_RULES_MAX = 128 };

/* The argument that tells what a call of many uses is made for. */
enum filter_argument { FILTER_SECOND /* ioctl's request */, FILTER_THIRD /* madvise's advice */ };

struct filter_rule {
	uint32_t nr;
	uint32_t value; /* of `argument`, as the 32 bits that the kernel takes; 0: any arguments */
	enum filter_argument argument;
};

/*
 * Confines the calling thread for good: calls on the list are let through, others end the process
 * (code 0) or fail with `code`. Needs no_new_privs. At most FILTER_RULES_MAX rules.
 */
int filter_set(const struct filter_rule *rules, size_t n, int code, struct err *err)
	HULL_MUST_CHECK;
