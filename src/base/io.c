/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"

int write_all(int fd, const void *bytes, size_t n, const char *what, struct err *err)
{
	const char *p = bytes;

	while (n > 0) {
		ssize_t w = write(fd, p, n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return err_sys(err, "write '%s'", what);
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

int pwrite_all(int fd, const void *bytes, size_t n, uint64_t at, const char *what, struct err *err)
{
	const char *p = bytes;

	while (n > 0) {
		ssize_t w = pwrite(fd, p, n, (off_t)at);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return err_sys(err, "write '%s'", what);
		p += w;
		n -= (size_t)w;
		at += (uint64_t)w;
	}
	return 0;
}

void write_behind(int fd, uint64_t *asked, uint64_t pos)
{
	enum { STEP = 8 << 20 };

	if (pos < *asked + STEP)
		return;
	(void)sync_file_range(fd, (off_t)*asked, (off_t)(pos - *asked), SYNC_FILE_RANGE_WRITE);
	*asked = pos;
}

ssize_t read_upto(int fd, void *bytes, size_t n, const char *what, struct err *err)
{
	char *p = bytes;
	size_t got = 0;

	while (got < n) {
		ssize_t r = read(fd, p + got, n - got);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_sys(err, "read '%s'", what);
		if (r == 0)
			break;
		got += (size_t)r;
	}
	return (ssize_t)got;
}

static int append_all(int fd, const char *path, size_t max, struct buf *to, struct err *err)
{
	for (size_t total = 0;;) {
		enum { STEP = 16384 };
		char *at = buf_reserve(to, STEP);
		if (!at)
			return buf_check(to, err);
		ssize_t r = read_upto(fd, at, STEP, path, err);
		if (r < 0)
			return (int)r;
		to->len += (size_t)r;
		to->data[to->len] = '\0';
		total += (size_t)r;
		if (total > max)
			return err_set(err, EFBIG, "'%s' is larger than %zu bytes", path, max);
		if (r < STEP)
			return 0;
	}
}

int file_read(int dirfd, const char *path, size_t max, struct buf *to, struct err *err)
{
	AUTO_CLOSE int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_sys(err, "open '%s'", path);

	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_sys(err, "stat '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "'%s' is not a regular file", path);

	size_t before = to->len;
	int r = append_all(fd, path, max, to, err);
	if (r < 0 && to->data) {
		to->len = before;
		to->data[before] = '\0';
	}
	return r;
}

static int write_new(int dirfd, const char *tmp, const void *bytes, size_t n, mode_t mode,
		     struct err *err)
{
	AUTO_CLOSE int fd = openat(dirfd, tmp,
				   O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return err_sys(err, "create '%s'", tmp);
	return write_all(fd, bytes, n, tmp, err);
}

int file_replace(int dirfd, const char *path, const void *bytes, size_t n, mode_t mode,
		 struct err *err)
{
	char tmp[280];
	int len = snprintf(tmp, sizeof(tmp), "%s.%d~", path, getpid());
	if (len < 0 || (size_t)len >= sizeof(tmp))
		return err_set(err, ENAMETOOLONG, "file name '%s' is too long", path);

	int r = write_new(dirfd, tmp, bytes, n, mode, err);
	if (r == 0 && renameat(dirfd, tmp, dirfd, path) < 0)
		r = err_sys(err, "rename '%s' to '%s'", tmp, path);
	if (r < 0)
		(void)unlinkat(dirfd, tmp, 0);
	return r;
}

int file_put(int dirfd, const char *path, const char *text, struct err *err)
{
	AUTO_CLOSE int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_sys(err, "open '%s'", path);

	size_t n = strlen(text);
	ssize_t w = write(fd, text, n);
	if (w < 0)
		return err_sys(err, "write '%s' to '%s'", text, path);
	if ((size_t)w != n)
		return err_set(err, EIO, "write '%s' to '%s': only %zd bytes taken", text, path, w);
	return 0;
}
