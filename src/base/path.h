/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths that come from outside. Whatever a bundle, an image or a workload names is opened here,
 * beneath a directory handle, so that no link and no `..` leads out of it (openat2(2),
 * RESOLVE_IN_ROOT).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"

struct err;

/*
 * Opens `path` as a process chrooted to rootfd would: absolute and relative links stay inside,
 * magic links are refused. O_CLOEXEC is added. Returns the descriptor; *err names path.
 */
int path_open_in(int rootfd, const char *path, int flags, mode_t mode, struct err *err)
	HULL_MUST_CHECK;

/* An O_PATH descriptor of the absolute `path`, on whose way no link is followed (ELOOP). */
int path_open_real(const char *path, struct err *err) HULL_MUST_CHECK;

/*
 * Makes the folder `path` inside rootfd with all its parents (mode for each new one), following
 * links inside the root as path_open_in() does, and returns an O_PATH descriptor of it.
 */
int path_mkdir_in(int rootfd, const char *path, mode_t mode, struct err *err) HULL_MUST_CHECK;

/* Makes `path` below dirfd with its parents, as mkdir -p. For hull's own folders only. */
int path_mkdir_all(int dirfd, const char *path, mode_t mode, struct err *err) HULL_MUST_CHECK;

/* Removes `name` below dirfd with all it holds, never following links nor crossing into another
 * mount; absent is fine. */
int path_remove_all(int dirfd, const char *name, struct err *err) HULL_MUST_CHECK;

/* a and b joined by one '/', an absolute b alone; the caller frees. NULL when memory is out. */
char *path_join(const char *a, const char *b) HULL_MUST_CHECK;

/* Whether path is absolute, or relative when `relative` is asked for, without empty, `.` and `..`
 * components. */
bool path_is_clean(const char *path, bool relative);
