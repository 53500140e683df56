/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/fs_files.h"

#include <unistd.h>

void fs_files_drop(struct fs_files *t, uint64_t handle)
{
	size_t i = handle % FS_FILES_MAX;

	if (handle == 0 || t->files[i].handle != handle)
		return;
	(void)close(t->files[i].fd);
	t->files[i].handle = 0;
}

void fs_files_put(struct fs_files *t, uint64_t handle, int fd)
{
	size_t i = handle % FS_FILES_MAX;

	if (handle == 0) {
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	fs_files_drop(t, t->files[i].handle);
	if (fd < 0)
		return;
	t->files[i].handle = handle;
	t->files[i].fd = fd;
}

int fs_files_get(const struct fs_files *t, uint64_t handle)
{
	size_t i = handle % FS_FILES_MAX;

	return handle != 0 && t->files[i].handle == handle ? t->files[i].fd : -1;
}

void fs_files_clear(struct fs_files *t)
{
	for (size_t i = 0; i < FS_FILES_MAX; i++)
		fs_files_drop(t, t->files[i].handle);
}
