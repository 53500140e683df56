/* SPDX-License-Identifier: Apache-2.0 */
#include "image/out.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"

enum { ROOM = 1 << 20 };

int out_init(struct out *out, int fd, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "stat the layer file");
	if (!S_ISREG(st.st_mode) || st.st_size != 0)
		return err_set(err, EINVAL, "the layer file is not a new file");
	char *bytes = malloc(ROOM);
	if (!bytes)
		return err_set(err, ENOMEM, "out of memory");
	*out = (struct out){.fd = fd, .bytes = bytes};
	return 0;
}

void out_done(struct out *out)
{
	free(out->bytes);
	*out = (struct out){.fd = -1};
}

static int write_at(struct out *out, const char *bytes, size_t n, uint64_t at, struct err *err)
{
	int r = pwrite_all(out->fd, bytes, n, at, "the layer file", err);

	if (r == 0)
		write_behind(out->fd, &out->behind, at + n);
	return r;
}

int out_flush(struct out *out, struct err *err)
{
	size_t n = out->used;

	out->used = 0;
	return write_at(out, out->bytes, n, out->pos - n, err);
}

int out_write(struct out *out, const void *bytes, size_t n, struct err *err)
{
	if (n > ROOM - out->used) {
		int r = out_flush(out, err);
		if (r < 0)
			return r;
	}
	if (n >= ROOM / 2 && out->used == 0) {
		int r = write_at(out, bytes, n, out->pos, err);
		if (r < 0)
			return r;
	} else {
		memcpy(out->bytes + out->used, bytes, n);
		out->used += n;
	}
	out->pos += n;
	return 0;
}

int out_seek(struct out *out, uint64_t to, struct err *err)
{
	assert(to >= out->pos);

	uint64_t gap = to - out->pos;
	if (gap > ROOM - out->used || gap >= 65536) {
		int r = out_flush(out, err);
		if (r < 0)
			return r;
	} else if (out->used > 0) {
		memset(out->bytes + out->used, 0, gap);
		out->used += gap;
	}
	out->pos = to;
	return 0;
}
