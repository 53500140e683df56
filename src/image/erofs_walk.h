/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All names of a layer file, each folder before what it holds, names by bytes: the order of
 * folder_read(). On the way everything that one inode or folder cannot tell alone is judged: order
 * of names, "." and "..", that a folder has one name, link counts, how many inodes there are.
 */
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "image/tree.h"

struct erofs_file;
struct erofs_view;
struct err;

/* One name; all borrowed for the call. */
struct erofs_walk_entry {
	struct tree_entry entry; /* path "." for the root; hardlink: target is the first name */
	const struct erofs_file *file;
	bool opaque; /* a folder that hides what lies below it */
	bool whiteout; /* deletes the name below; entry is meaningless but for its path */
};

/* A negative answer ends the walk with it. */
typedef int erofs_walk_fn(void *ctx, const struct erofs_walk_entry *e, struct err *err);

/* Tells every name; EUCLEAN names the place that is damaged. */
int erofs_walk(const struct erofs_view *v, erofs_walk_fn *fn, void *ctx, struct err *err)
	HULL_MUST_CHECK;
