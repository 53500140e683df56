/* SPDX-License-Identifier: Apache-2.0 */
/* Who a process runs as: names looked up in the workload's own passwd and group files. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"

struct err;
struct strv;

enum { USER_GROUPS_MAX = 512 };

struct user {
	uid_t uid;
	gid_t gid;
	gid_t groups[USER_GROUPS_MAX];
	size_t n_groups;
	char home[256]; /* "/" when passwd does not say */
};

/*
 * Fills *ret from "name|uid[:name|gid]" (NULL or "": 0) and further groups. rootfd is the
 * workload's root. The files are small regular files or are not read at all; they never block.
 */
int user_find(int rootfd, const char *text, const struct strv *groups, struct user *ret,
	      struct err *err) HULL_MUST_CHECK;

/* Fills *ret from numbers that are exact; `groups` holds numbers too, and is all that there is.
 * Only HOME is asked of the workload's passwd, which may be missing or anything. */
int user_exact(int rootfd, uint32_t uid, uint32_t gid, const struct strv *groups, struct user *ret,
	       struct err *err) HULL_MUST_CHECK;
