/* SPDX-License-Identifier: Apache-2.0 */
#include "image/partial.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/store.h"

static int lock(int fd, bool wait, struct err *err)
{
	while (flock(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return PARTIAL_BUSY;
		if (errno != EINTR)
			return err_sys(err, "lock a blob being fetched");
	}
	return 0;
}

/* Whether the name still means the open file: who had it locked may have removed it. */
static bool is_named(int folder, const char *name, int fd, struct stat *st)
{
	struct stat now;

	return fstat(fd, st) == 0 && fstatat(folder, name, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
	       now.st_ino == st->st_ino;
}

int partial_open(const struct store *store, const char *digest, bool wait, struct partial *ret,
		 struct err *err)
{
	int made = path_mkdir_all(store->root_fd, "partial", 0700, err);
	AUTO_CLOSE int folder = made < 0 ? made : store_folder(store->root_fd, "partial", err);

	while (folder >= 0) {
		struct stat st;
		AUTO_CLOSE int fd = openat(folder, digest,
					   O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return err_sys(err, "open '%s/partial/%s'", store->root, digest);
		int r = lock(fd, wait, err);
		if (r != 0)
			return r;
		if (!is_named(folder, digest, fd, &st))
			continue;
		ret->have = (uint64_t)st.st_size;
		memcpy(ret->digest, digest, DIGEST_HEX + 1);
		ret->fd = TAKE_FD(fd);
		return 0;
	}
	return folder;
}

void partial_done(struct partial *p)
{
	auto_close(&p->fd);
}

int partial_clear(struct partial *p, struct err *err)
{
	p->have = 0;
	return ftruncate(p->fd, 0) < 0 ? err_sys(err, "empty a blob being fetched") : 0;
}

int partial_link(const struct store *store, const struct partial *p, int dirfd, const char *name,
		 struct err *err)
{
	AUTO_CLOSE int folder = store_folder(store->root_fd, "partial", err);

	if (folder < 0)
		return folder;
	return linkat(folder, p->digest, dirfd, name, 0) < 0
		       ? err_sys(err, "link '%s/partial/%s'", store->root, p->digest)
		       : 0;
}

void partial_remove(const struct store *store, struct partial *p)
{
	struct err ignored = ERR_INIT; /* what stays is found by the next pull, or collected */
	AUTO_CLOSE int folder = p->fd < 0 ? -1 : store_folder(store->root_fd, "partial", &ignored);

	if (folder >= 0)
		(void)unlinkat(folder, p->digest, 0);
	partial_done(p);
}
