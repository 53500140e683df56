/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer file that may be damaged in any way, read as a tar. Its super block gets size and
 * checksum right first, else hardly an input would come past it. What fails says so in one
 * printable line.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/err.h"
#include "base/fd.h"
#include "image/erofs.h"
#include "image/erofs_format.h"
#include "image/layer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { INPUT_MAX = 256 << 10, OUT_MAX = 64 << 20 };

/* A file of a few bytes may stand for gigabytes of holes. */
static int count(void *ctx, const void *bytes, size_t n, struct err *err)
{
	size_t *left = ctx;

	(void)bytes;
	if (n > *left)
		return err_set(err, EFBIG, "enough");
	*left -= n;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static uint8_t file[INPUT_MAX];
	struct layer_info info;
	struct err err = ERR_INIT;
	struct erofs_super super;
	size_t left = OUT_MAX;

	if (n < EROFS_BLOCK || n > sizeof(file))
		return 0;
	size_t size = (n + EROFS_BLOCK - 1) / EROFS_BLOCK * EROFS_BLOCK;
	memset(file, 0, size);
	memcpy(file, data, n);
	memcpy(&super, file + EROFS_SUPER_OFFSET, sizeof(super));
	super.magic = EROFS_MAGIC;
	super.blocks = (uint32_t)(size / EROFS_BLOCK);
	super.checksum = 0;
	memcpy(file + EROFS_SUPER_OFFSET, &super, sizeof(super));
	super.checksum = crc32c(file + EROFS_SUPER_OFFSET, EROFS_BLOCK - EROFS_SUPER_OFFSET);
	memcpy(file + EROFS_SUPER_OFFSET, &super, sizeof(super));
	AUTO_CLOSE int fd = memfd_create("layer", MFD_CLOEXEC);
	assert(write(fd, file, size) == (ssize_t)size);
	int r = layer_write_tar(fd, false, count, &left, &info, &err);
	if (r < 0) {
		assert(err.code > 0 && err.msg[0] != '\0');
		for (const char *p = err.msg; *p; p++)
			assert((unsigned char)*p >= 0x20);
	}
	return 0;
}
