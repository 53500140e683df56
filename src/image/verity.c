/* SPDX-License-Identifier: Apache-2.0 */
#include "image/verity.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#include "base/attr.h"
#include "base/fd.h"

static bool is_sealed(int fd)
{
	int flags = 0;

	return ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && (flags & FS_VERITY_FL) != 0;
}

bool verity_seal(int dirfd, const char *name)
{
	enum { BLOCK_MAX = 4096 }; /* nor larger than the file system's */
	struct fsverity_enable_arg how = {.version = 1,
					  .hash_algorithm = FS_VERITY_HASH_ALG_SHA256};
	struct statfs fs;

	AUTO_CLOSE int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return false;
	how.block_size = fs.f_bsize < BLOCK_MAX ? (uint32_t)fs.f_bsize : BLOCK_MAX;
	return ioctl(fd, FS_IOC_ENABLE_VERITY, &how) == 0 || is_sealed(fd);
}
