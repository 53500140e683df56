/* SPDX-License-Identifier: Apache-2.0 */
/* Whole reads and writes on descriptors, and small files that are there whole or not at all. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"

struct buf;
struct err;

/* Writes all n bytes, through EINTR and short writes. `what` names the target in the error. */
int write_all(int fd, const void *bytes, size_t n, const char *what, struct err *err)
	HULL_MUST_CHECK;

/* Writes all n bytes at offset `at` of the file; the rest as above. */
int pwrite_all(int fd, const void *bytes, size_t n, uint64_t at, const char *what, struct err *err)
	HULL_MUST_CHECK;

/*
 * The kernel is asked to write what a new file has got since it was last asked, once that is some
 * megabytes, and not waited for: the fsync at the end finds little left to do. Only a hint, about
 * a file that is written from front to back up to `pos`; *asked is where the last one ended, 0 at
 * first.
 */
void write_behind(int fd, uint64_t *asked, uint64_t pos);

/* Reads until n bytes or the end of the file; returns how many bytes came. */
ssize_t read_upto(int fd, void *bytes, size_t n, const char *what, struct err *err) HULL_MUST_CHECK;

/*
 * Appends the regular file `path` below dirfd to *to, at most max bytes (EFBIG beyond). Opens
 * without blocking and refuses everything that is no regular file (procfs and sysfs files count as
 * regular). On failure *to is as it was.
 */
int file_read(int dirfd, const char *path, size_t max, struct buf *to, struct err *err)
	HULL_MUST_CHECK;

/* Replaces `path` below dirfd by the n bytes given: a reader sees the old file or the whole new
 * one. Not synced. */
int file_replace(int dirfd, const char *path, const void *bytes, size_t n, mode_t mode,
		 struct err *err) HULL_MUST_CHECK;

/* Writes a string to an existing file (procfs, sysfs, cgroupfs) in one write. */
int file_put(int dirfd, const char *path, const char *text, struct err *err) HULL_MUST_CHECK;
