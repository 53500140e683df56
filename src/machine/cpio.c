/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/cpio.h"

#include <assert.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"

static void pad4(struct buf *to)
{
	static const char zeros[4];

	if (to->len % 4 != 0)
		buf_add(to, zeros, 4 - to->len % 4);
}

/* Padding counts from the buffer's start, so an archive begins at a multiple of 4 of its buffer.
 * nlink is 1 for all and the inode numbers are 0: readers match them only for hard links. */
static void entry(struct buf *to, const char *name, mode_t mode, const void *bytes, size_t n)
{
	assert(n <= UINT32_MAX);
	buf_printf(to, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 0U /* inode */,
		   (unsigned)mode, 0U, 0U /* uid, gid */, 1U /* nlink */, 0U /* mtime */,
		   (unsigned)n, 0U, 0U /* device */, 0U, 0U /* rdev */, (unsigned)strlen(name) + 1,
		   0U /* checksum: none in this form */);
	buf_add(to, name, strlen(name) + 1);
	pad4(to);
	buf_add(to, bytes, n);
	pad4(to);
}

void cpio_dir(struct buf *to, const char *name, mode_t mode)
{
	entry(to, name, S_IFDIR | mode, "", 0);
}

void cpio_file(struct buf *to, const char *name, mode_t mode, const void *bytes, size_t n)
{
	entry(to, name, S_IFREG | mode, bytes, n);
}

void cpio_end(struct buf *to)
{
	entry(to, "TRAILER!!!", 0, "", 0);
}
