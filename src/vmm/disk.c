/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

int disk_add(struct disk *d, int fd, uint64_t size, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "disk file %d", fd);
	if (size == 0 && S_ISREG(st.st_mode))
		size = (uint64_t)st.st_size;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < size || size == 0 ||
	    size % DISK_SECTOR != 0 || size > INT64_MAX - d->size)
		return err_set(
			err, EINVAL,
			"disk file %d: no regular file of %ju bytes, or these are no whole sectors",
			fd, (uintmax_t)size);
	struct disk_extent *more = reallocarray(d->extents, d->n + 1, sizeof(*more));
	if (!more)
		return err_set(err, ENOMEM, "out of memory");
	more[d->n] = (struct disk_extent){fd, d->size, size};
	d->extents = more;
	d->n++;
	d->size += size;
	return 0;
}

void disk_done(struct disk *d)
{
	free(d->extents);
	*d = (struct disk){0};
}

/* The extent that holds byte `offset`, which is on the disk. */
static const struct disk_extent *find(const struct disk *d, uint64_t offset)
{
	size_t low = 0;
	size_t high = d->n - 1;

	while (low < high) {
		size_t middle = low + (high - low + 1) / 2;
		if (d->extents[middle].start <= offset)
			low = middle;
		else
			high = middle - 1;
	}
	return &d->extents[low];
}

/* Takes `done` bytes off the front of iov[0..n); returns how many entries are used up. */
static size_t advance(struct iovec *iov, size_t n, size_t done)
{
	size_t i = 0;

	while (i < n && done >= iov[i].iov_len)
		done -= iov[i++].iov_len;
	if (i < n) {
		iov[i].iov_base = (uint8_t *)iov[i].iov_base + done;
		iov[i].iov_len -= done;
	}
	return i;
}

enum way { READ, READ_NOW, WRITE };

static ssize_t call(int fd, enum way way, const struct iovec *iov, size_t n, uint64_t at)
{
	if (way == WRITE)
		return pwritev(fd, iov, (int)n, (off_t)at);
	if (way == READ_NOW) {
		ssize_t r = preadv2(fd, iov, (int)n, (off_t)at, RWF_NOWAIT);
		if (r >= 0 || errno != EOPNOTSUPP)
			return r;
	}
	return preadv(fd, iov, (int)n, (off_t)at);
}

/* As much as one system call moves within one extent; bytes or -errno. */
static ssize_t move_some(const struct disk *d, enum way way, struct iovec *iov, size_t n,
			 uint64_t offset)
{
	const struct disk_extent *e = find(d, offset);
	uint64_t within = offset - e->start;
	uint64_t left = e->size - within;
	size_t k = 0;

	for (; k < n && k < IOV_MAX && iov[k].iov_len <= left; k++)
		left -= iov[k].iov_len;
	/* a buffer that reaches beyond the extent is cut for this call */
	size_t kept = k < n ? iov[k].iov_len : 0;
	bool cut = k < n && k < IOV_MAX && left > 0;
	if (cut)
		iov[k].iov_len = left;
	ssize_t r = call(e->fd, way, iov, k + cut, within);
	int code = errno;
	if (cut)
		iov[k].iov_len = kept;
	return r < 0 ? -code : r == 0 ? -EIO : r;
}

static int move(const struct disk *d, enum way way, struct iovec *iov, size_t n, uint64_t offset)
{
	uint64_t end = offset;

	for (size_t i = 0; i < n; i++) {
		if (__builtin_add_overflow(end, iov[i].iov_len, &end))
			return -EINVAL;
	}
	if (end > d->size)
		return -EINVAL;
	if (way == WRITE && d->readonly)
		return -EROFS;
	while (offset < end) {
		ssize_t r = move_some(d, way, iov, n, offset);
		if (r == -EINTR)
			continue;
		if (r < 0)
			return (int)r;
		size_t used = advance(iov, n, (size_t)r);
		iov += used;
		n -= used;
		offset += (uint64_t)r;
	}
	return 0;
}

int disk_move(const struct disk *d, bool write, struct iovec *iov, size_t n, uint64_t offset)
{
	return move(d, write ? WRITE : READ, iov, n, offset);
}

int disk_read_now(const struct disk *d, struct iovec *iov, size_t n, uint64_t offset)
{
	return move(d, READ_NOW, iov, n, offset);
}

bool disk_keeps(const struct disk *d)
{
	return !d->readonly && !d->careless;
}

int disk_flush(const struct disk *d)
{
	int r = 0;

	if (!disk_keeps(d))
		return 0;
	for (size_t i = 0; i < d->n; i++) {
		if (fdatasync(d->extents[i].fd) < 0)
			r = -errno;
	}
	return r;
}

int disk_zero(const struct disk *d, uint64_t offset, uint64_t len, bool discard)
{
	uint64_t end;

	if (d->readonly)
		return -EROFS;
	if (__builtin_add_overflow(offset, len, &end) || end > d->size)
		return -EINVAL;
	while (offset < end) {
		const struct disk_extent *e = find(d, offset);
		uint64_t n = e->start + e->size - offset;
		n = n < end - offset ? n : end - offset;
		if (fallocate(e->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      (off_t)(offset - e->start), (off_t)n) < 0)
			/* to discard is a wish; to zero is an order */
			return discard && errno == EOPNOTSUPP ? 0 : -errno;
		offset += n;
	}
	return 0;
}
