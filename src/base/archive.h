/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree of files as a tar stream (ustar with pax headers), for `hull cp`. Both ends are hostile to
 * each other: what is read is unpacked below one folder, never through a link, and only under the
 * one name that the stream begins with.
 */
#pragma once

#include <stdbool.h>

#include "base/attr.h"

struct err;

/*
 * Writes the file or folder `path` inside rootfd (links resolved as a process chrooted there would,
 * but for the last part) with all below it. The stream's names begin with the last part of path, or
 * with "." when path ends in "/.". whole: it is a root to be used as one elsewhere: folders that
 * something else is mounted on are empty, and such files left out; hard links stay such, and
 * attributes of users and programs' capabilities are written (SCHILY.xattr).
 */
int archive_write(int rootfd, const char *path, int out, bool whole, struct err *err)
	HULL_MUST_CHECK;

/*
 * Unpacks a stream at `path` inside rootfd: into it when it is a folder (or the stream begins with
 * "."), else as it. The folder that path lies in must exist. With owners the files get the stream's
 * owners, else the caller's.
 */
int archive_read(int in, int rootfd, const char *path, bool owners, struct err *err)
	HULL_MUST_CHECK;
