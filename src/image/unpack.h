/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outer tar of an OCI layout or docker-archive: looked at, and unpacked into files named
 * "file.0", "file.1", … Its names only ever are keys of a table.
 */
#pragma once

#include "base/attr.h"
#include "base/str.h"

struct err;

/* What unpack_look() answers. */
enum { UNPACK_NONE, UNPACK_OCI, UNPACK_DOCKER };

enum { UNPACKED_NAME = 24 };

/* Which names there are: file.I is called names.v[I], and is an empty stand-in for the name
 * links.v[I] where that is not "". */
struct unpacked {
	struct strv names, links;
};

/*
 * Reads names from the file fd (at its start; rewound afterwards) until they tell what it is. For
 * a root that is after the first few entries.
 */
int unpack_look(int fd, struct err *err) HULL_MUST_CHECK;

/* Unpacks the regular files of the archive fd into work_fd; the caller releases *ret. */
int unpack_all(int fd, int work_fd, struct unpacked *ret, struct err *err) HULL_MUST_CHECK;

/* Writes the file's name for `name` (UNPACKED_NAME bytes), links followed; -1 when there is none.
 */
int unpacked_find(const struct unpacked *files, const char *name, char ret[UNPACKED_NAME]);

/* Forgets the table; a zeroed one is fine. */
void unpacked_done(struct unpacked *files);
