/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a user's or an image's documents before they are a plan. So far: capabilities by
 * name, and the system calls a workload may make, as a program for seccomp(2). hull compiles it
 * itself, in less time than reading a cached one would take: the calls of a profile form few runs
 * of neighbouring numbers, and a search tree over those is short to write, and quicker to pass than
 * a list.
 */
#pragma once

#include <stdint.h>

#include "base/attr.h"

struct bytes;
struct err;

enum { SPEC_CAPABILITIES = 41 };

#define SPEC_ALL_CAPABILITIES ((UINT64_C(1) << SPEC_CAPABILITIES) - 1) /* bit n: capability n */

/* The number of a capability by its name, in any case, with or without CAP_. EINVAL (and no more
 * is said) when there is none of this name. */
int spec_capability(const char *name, unsigned *ret) HULL_MUST_CHECK;

struct seccomp_config {
	uint64_t caps; /* the workload's capabilities, which open more calls; bit n: capability n */
	const char *profile; /* a file in docker's JSON format; NULL: hull's own profile */
};

/*
 * Fills *ret (empty before; owned by the caller) with a struct sock_filter[]. The built-in profile
 * answers EPERM to what it does not allow, and ENOSYS to calls that are newer than itself.
 */
int seccomp_compile(const struct seccomp_config *config, struct bytes *ret, struct err *err)
	HULL_MUST_CHECK;
