/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks: programs of the caller that are run at points of a workload's life (runtime-spec
 * "POSIX-platform Hooks"), in whatever namespaces and root the calling process is in. They get
 * default signals, no descriptor but their streams, and exactly their own environment.
 */
#pragma once

#include <stdint.h>

#include "base/attr.h"

struct err;
struct list;
struct plan_hook;

/* Files that what hooks write is appended to, made when missing; NULL: /dev/null, and for errors
 * the failure's own words. Borrowed. */
struct hook_files {
	const char *out, *err;
};

/*
 * Runs one hook to its end with `state` (JSON of the workload's state) on its standard input. Fails
 * when it cannot be started, ends with another status than 0 (the error has the last line of its
 * standard error) or takes longer than its timeout: then it is killed with all its children. What
 * it leaves running in the background is not waited for. The caller must not reap others' children
 * meanwhile.
 */
int hook_run(const struct plan_hook *hook, const char *state, const struct hook_files *files,
	     struct err *err) HULL_MUST_CHECK;

/* A line for people about a hook that failed, where that is no reason to end. */
typedef void hook_warn(void *ctx, const char *line);

/* Runs the hooks (struct plan_hook) of one point (enum plan_hook_point) in order. The first that
 * fails ends it; with `warn` (poststop) it is told of instead, and the next one follows. */
int hooks_run(const struct list *hooks, uint32_t point, const char *state,
	      const struct hook_files *files, hook_warn *warn, void *ctx, struct err *err)
	HULL_MUST_CHECK;
