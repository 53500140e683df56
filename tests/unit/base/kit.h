/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of base/ share: a folder that is removed with all it holds. */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

struct folder {
	char path[64];
	int fd;
};

static inline struct folder folder_make(void)
{
	struct folder f = {.path = "/tmp/hull-base-XXXXXX", .fd = -1};

	if (mkdtemp(f.path))
		f.fd = open(f.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return f;
}

static inline int folder_remove_one(const char *path, const struct stat *st, int kind,
				    struct FTW *at)
{
	return remove(path);
}

static inline void folder_remove(struct folder *f)
{
	if (f->fd < 0)
		return;
	(void)nftw(f->path, folder_remove_one, 32, FTW_DEPTH | FTW_PHYS);
	(void)close(f->fd);
}

/* `struct folder f` for the rest of the scope. */
#define FOLDER(f) __attribute__((cleanup(folder_remove))) struct folder f = folder_make()

/* Puts text into a new file. */
static inline bool put(int dirfd, const char *path, const char *text)
{
	int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		(void)close(fd);
	return ok;
}

/* How many descriptors this process has open. */
static inline int descriptors(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/fd");

	while (d && readdir(d))
		n++;
	if (d)
		(void)closedir(d);
	return n;
}
