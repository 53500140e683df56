/* SPDX-License-Identifier: Apache-2.0 */
#include "image/hostfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/err.h"
#include "base/str.h"
#include "image/erofs.h"
#include "image/tree.h"

enum { LIST_MAX = 64 << 10, VALUE_MAX = 64 << 10, STEP = 256 << 10 };

static int one_xattr(const char *path, const char *name, char *value, struct xattr_set *set,
		     struct err *err)
{
	struct shown shown;
	ssize_t n = getxattr(path, name, value, VALUE_MAX);

	if (n < 0 && errno == ENODATA) /* removed since it was listed */
		return 0;
	if (n < 0)
		return err_sys(err, "read attribute '%s'", show(name, &shown));
	return xattr_add(set, name, value, (size_t)n, err);
}

int hostfile_xattrs(int fd, bool skip_overlay, struct xattr_set *set, uint64_t *ret_ignored,
		    struct err *err)
{
	char path[32]; /* the one way to the attributes of links and of files open by O_PATH */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);

	AUTO_FREE char *list = malloc(LIST_MAX + VALUE_MAX);
	if (!list)
		return err_set(err, ENOMEM, "out of memory");
	ssize_t n = listxattr(path, list, LIST_MAX);
	if (n < 0 && errno == EOPNOTSUPP)
		n = 0;
	if (n < 0)
		return err_sys(err, "list attributes");

	uint64_t ignored = 0;
	for (const char *name = list; name < list + n; name += strlen(name) + 1) {
		if (skip_overlay && (str_prefix(name, "trusted.overlay.", NULL) ||
				     str_prefix(name, "user.overlay.", NULL)))
			continue;
		int r = one_xattr(path, name, list + LIST_MAX, set, err);
		if (r < 0)
			return r;
		ignored += r == XATTR_IGNORED;
	}
	*ret_ignored = ignored;
	return 0;
}

/* Copies [at, end). */
static int copy_range(int fd, uint64_t at, uint64_t end, char *room, const struct hostfile_to *to,
		      struct err *err)
{
	while (at < end) {
		ssize_t n = pread(fd, room, end - at < STEP ? (size_t)(end - at) : STEP, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "read");
		if (n == 0)
			return err_set(err, EIO, "it became shorter while it was read");
		int r = erofs_file_write(to->erofs, at, room, (size_t)n, err);
		if (r == 0 && to->tee)
			r = to->tee(to->ctx, room, (size_t)n, err);
		if (r < 0)
			return r;
		at += (uint64_t)n;
	}
	return 0;
}

static int tell_hole(const struct hostfile_to *to, uint64_t n, struct err *err)
{
	int r = 0;

	for (; r == 0 && to->tee && n > 0; n -= n < STEP ? n : STEP)
		r = to->tee(to->ctx, NULL, n < STEP ? (size_t)n : STEP, err);
	return r;
}

/* Where the next data begins (*data) and ends (*end) at or behind `at`, both at most size. */
static void next_data(int fd, uint64_t at, uint64_t size, uint64_t *data, uint64_t *end)
{
	off_t from = lseek(fd, (off_t)at, SEEK_DATA);
	if (from < 0 && errno == ENXIO) {
		*data = *end = size;
		return;
	}
	off_t to = from < 0 ? -1 : lseek(fd, from, SEEK_HOLE);
	bool known = from >= 0 && to > from; /* else the file system knows no holes */
	*data = known ? (uint64_t)from : at;
	*end = known ? (uint64_t)to : size;
	*data = *data < size ? *data : size;
	*end = *end < size ? *end : size;
}

int hostfile_content(int fd, uint64_t size, struct inode *inode, const struct hostfile_to *to,
		     struct err *err)
{
	AUTO_FREE char *room = malloc(STEP);
	if (!room)
		return err_set(err, ENOMEM, "out of memory");

	int r = erofs_file_begin(to->erofs, inode, size, err);
	for (uint64_t at = 0, data, end; r == 0 && at < size; at = end) {
		next_data(fd, at, size, &data, &end);
		r = tell_hole(to, data - at, err);
		if (r == 0)
			r = copy_range(fd, data, end, room, to, err);
	}
	return r < 0 ? r : erofs_file_end(to->erofs, to->tree, err);
}
