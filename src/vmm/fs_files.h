/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors of files that the guest has open, by the handles that hull-share gave them: a cache,
 * for whoever is not found here is read and written through the share. Not locked.
 */
#pragma once

#include <stdint.h>

enum { FS_FILES_MAX = 256 };

struct fs_files {
	struct {
		uint64_t handle; /* 0: free; hull-share counts from 1 */
		int fd; /* owned */
	} files[FS_FILES_MAX];
};

/* Takes fd, in place of what had the handle's place before. A negative fd only makes that go. */
void fs_files_put(struct fs_files *t, uint64_t handle, int fd);

/* Borrowed, or -1. */
int fs_files_get(const struct fs_files *t, uint64_t handle);

/* Closes the handle's, if it is here. */
void fs_files_drop(struct fs_files *t, uint64_t handle);

/* Closes all; zeroed is fine. */
void fs_files_clear(struct fs_files *t);
