/* SPDX-License-Identifier: Apache-2.0 */
/* Which files with several names were met already, by device and inode number. For folder.c. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"

struct err;

struct folder_link {
	dev_t dev;
	ino_t ino;
	const char *path; /* borrowed: the first name; NULL while the place is free */
};

struct folder_links {
	struct folder_link *v; /* owned; size is a power of two, or 0 */
	size_t n, size;
};

/* The first name of that file (borrowed), or NULL. */
const char *folder_links_find(const struct folder_links *links, dev_t dev, ino_t ino);

/* Notes the first name (borrowed, as long as the table) of a file that is not there. */
int folder_links_add(struct folder_links *links, dev_t dev, ino_t ino, const char *path,
		     struct err *err) HULL_MUST_CHECK;

/* Frees the table. */
void folder_links_done(struct folder_links *links);
