/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mount calls that work on handles. A mount is made detached, gets its flags, and is then
 * attached to a handle: never to a path that was checked before.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct err;

/* Starts a new file system of `type`; the caller closes the context. */
int fs_open(const char *type, struct err *err) HULL_MUST_CHECK;

/* Sets key=value, or the flag `key` when value is NULL. */
int fs_set(int fs, const char *key, const char *value, struct err *err) HULL_MUST_CHECK;

/* Sets every option of a comma-separated list ("mode=755,size=64k"; NULL: none). */
int fs_set_all(int fs, const char *options, struct err *err) HULL_MUST_CHECK;

/* Makes the file system and a detached mount of it with MOUNT_ATTR_* flags, which the caller
 * closes. `type` names it in errors. */
int fs_mount(int fs, const char *type, uint64_t attr, struct err *err) HULL_MUST_CHECK;

/* fs_open(), fs_set_all() and fs_mount() in one. */
int fs_new(const char *type, const char *options, uint64_t attr, struct err *err) HULL_MUST_CHECK;

/* A detached copy of the mount at `path` below dirfd (dirfd itself when path is ""), with all below
 * it when `recursive`. Links in path are followed only when it is absolute. */
int mount_clone(int dirfd, const char *path, bool recursive, struct err *err) HULL_MUST_CHECK;

/* The same of the absolute `path`; a link at its end is taken itself. */
int mount_clone_nofollow(const char *path, bool recursive, struct err *err) HULL_MUST_CHECK;

/* Attaches a detached mount on the handle `at`; `what` names the place in errors. */
int mount_attach(int mount, int at, const char *what, struct err *err) HULL_MUST_CHECK;

/* The same on the entry `name` (one component, no link followed) of the folder handle dirfd. */
int mount_attach_name(int mount, int dirfd, const char *name, struct err *err) HULL_MUST_CHECK;

struct mount_change {
	uint64_t set, clear, propagation; /* MOUNT_ATTR_*; MS_PRIVATE … or 0: as it is */
	bool recursive;
	int userns; /* for MOUNT_ATTR_IDMAP */
};

/* Changes a mount as told. `what` names it in errors. */
int mount_change(int mount, const struct mount_change *change, const char *what, struct err *err)
	HULL_MUST_CHECK;

/* Words that set a file system's own flags from mount(2)'s MS_* (MS_SYNCHRONOUS and relatives). */
int fs_set_flags(int fs, uint64_t ms_flags, struct err *err) HULL_MUST_CHECK;

/* The MOUNT_ATTR_* of a mount(2)'s MS_* flags. */
uint64_t mount_attr_of(uint64_t ms_flags);
