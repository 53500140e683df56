/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a user's or an image's documents before they are a plan. So far: capabilities by
 * name, and the system calls a workload may make, as a program for seccomp(2). hull compiles it
 * itself, in less time than reading a cached one would take: the calls of a profile form few runs
 * of neighbouring numbers, and a search tree over those is short to write, and quicker to pass than
 * a list.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct bytes;
struct err;
struct json_object;
struct plan;
struct plan_limits;
struct plan_process;

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

/* Where a document comes from. */
struct spec_config {
	const char *bundle; /* the folder, absolute: relative paths begin in it */
	void (*say)(void *ctx, const char *line); /* warnings of what is passed over; or NULL */
	void *ctx;
};

/*
 * Fills *ret (zeroed before; the caller releases with plan_record) from a bundle's config.json
 * (runtime-spec 1.2, and 1.3's netDevices and memoryPolicy), judged whole: a value of the wrong
 * type, out of range, or contradicting another is an error of one line that names the field. On
 * failure *ret is untouched. Not filled: id, what the host says. cgroup is cgroupsPath as it stands
 * (checked not to climb), or NULL. Devices are the nodes (access ""), then the rules, then those
 * that every workload has. Without `process`, args are empty.
 */
int spec_plan(struct json_object *doc, const struct spec_config *config, struct plan *ret,
	      struct err *err) HULL_MUST_CHECK;

/* The same for a `process` object alone (exec --process), and for `linux.resources` (update). */
int spec_process(struct json_object *obj, const struct spec_config *config,
		 struct plan_process *ret, struct err *err) HULL_MUST_CHECK;
int spec_limits(struct json_object *obj, const struct spec_config *config, struct plan_limits *ret,
		struct err *err) HULL_MUST_CHECK;

/*
 * The program for a `linux.seccomp` object (all actions, flags and conditions of the runtime-spec):
 * fills what->seccomp, seccomp_flags, seccomp_listener and seccomp_metadata. `receiver` (may be
 * NULL) is the listenerPath of one that has none; `strict` refuses names that no ABI has.
 */
int spec_seccomp(struct json_object *obj, const char *receiver, bool strict,
		 struct plan_process *what, struct err *err) HULL_MUST_CHECK;
