/* SPDX-License-Identifier: Apache-2.0 */
#include "base/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

static int openat2_in(int rootfd, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)flags | O_CLOEXEC,
		.mode = mode,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};

	/* EAGAIN: a rename or mount raced with the walk; the kernel asks to try again (openat2(2)).
	 */
	for (int tries = 0; tries < 32; tries++) {
		int fd = (int)syscall(SYS_openat2, rootfd, path, &how, sizeof(how));
		if (fd >= 0 || errno != EAGAIN)
			return fd;
	}
	return -1;
}

int path_open_in(int rootfd, const char *path, int flags, mode_t mode, struct err *err)
{
	int fd = openat2_in(rootfd, path, flags, mode);

	return fd < 0 ? err_sys(err, "open '%s'", path) : fd;
}

int path_open_real(const char *path, struct err *err)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

	return fd < 0 ? err_sys(err, "open '%s'", path) : fd;
}

/* The next component of *path into name (NAME_MAX + 1 bytes); false at the end. */
static int next_component(const char **path, char *name, struct err *err)
{
	const char *p = *path + strspn(*path, "/");
	size_t n = strcspn(p, "/");

	if (n > NAME_MAX)
		return err_set(err, ENAMETOOLONG, "name of %zu bytes in '%.64s…'", n, p);
	memcpy(name, p, n);
	name[n] = '\0';
	*path = p + n;
	return n > 0;
}

/*
 * The walk goes by prefix, each opened anew from the root, so that a link in the middle is resolved
 * by the kernel inside the root, and mkdirat() only ever acts on a handle and a single name.
 */
int path_mkdir_in(int rootfd, const char *path, mode_t mode, struct err *err)
{
	int whole = openat2_in(rootfd, path, O_PATH | O_DIRECTORY, 0);
	if (whole >= 0)
		return whole;
	if (errno != ENOENT)
		return err_sys(err, "open folder '%s'", path);

	AUTO_CLOSE int at = openat2_in(rootfd, "/", O_PATH | O_DIRECTORY, 0);
	char prefix[PATH_MAX] = "";
	char name[NAME_MAX + 1];
	size_t len = 0;
	int r;
	while ((r = next_component(&path, name, err)) > 0) {
		int n = snprintf(prefix + len, sizeof(prefix) - len, "/%s", name);
		if (n < 0 || (size_t)n >= sizeof(prefix) - len)
			return err_set(err, ENAMETOOLONG, "path '%.64s…' is too long", prefix);
		len += (size_t)n;
		int next = openat2_in(rootfd, prefix, O_PATH | O_DIRECTORY, 0);
		if (next < 0 && errno == ENOENT) {
			if (mkdirat(at, name, mode) < 0 && errno != EEXIST)
				return err_sys(err, "make folder '%s'", prefix);
			next = openat2_in(rootfd, prefix, O_PATH | O_DIRECTORY, 0);
		}
		if (next < 0)
			return err_sys(err, "open folder '%s'", prefix);
		auto_close(&at);
		at = next;
	}
	return r < 0 ? r : TAKE_FD(at);
}

int path_mkdir_all(int dirfd, const char *path, mode_t mode, struct err *err)
{
	char part[PATH_MAX];
	size_t len = strlen(path);

	if (len >= sizeof(part))
		return err_set(err, ENAMETOOLONG, "path of %zu bytes", len);
	memcpy(part, path, len + 1);
	for (size_t i = 1; i <= len; i++) {
		if (part[i] != '/' && part[i] != '\0')
			continue;
		part[i] = '\0';
		if (mkdirat(dirfd, part, mode) < 0 && errno != EEXIST)
			return err_sys(err, "make folder '%s'", part);
		if (i < len)
			part[i] = '/';
	}
	struct stat st;
	if (len > 0 && fstatat(dirfd, path, &st, 0) < 0)
		return err_sys(err, "make folder '%s'", path);
	if (len > 0 && !S_ISDIR(st.st_mode))
		return err_set(err, ENOTDIR, "make folder '%s': something else is there", path);
	return 0;
}

/*
 * Removal of a tree. Workloads make trees as deep as they like, and each level costs a descriptor:
 * what lies deeper than DEPTH_MAX is renamed to the top and met again there.
 */
struct removal {
	int top; /* the tree's own folder: the one that path_remove_all() was given */
	unsigned spilled; /* folders renamed to the top so far */
};

enum { DEPTH_MAX = 64 };

/* Takes fd. */
static int remove_entries(struct removal *rm, int fd, const char *name, int depth, struct err *err);

static int spill(struct removal *rm, int dirfd, const char *name, struct err *err)
{
	char to[32];

	do {
		(void)snprintf(to, sizeof(to), ".deep-%u", rm->spilled++);
		if (renameat2(dirfd, name, rm->top, to, RENAME_NOREPLACE) == 0)
			return 0;
	} while (errno == EEXIST);
	return err_sys(err, "move folder '%s' up to remove it", name);
}

static int open_to_remove(int dirfd, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV | RESOLVE_BENEATH,
	};

	return (int)syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
}

static int remove_one(struct removal *rm, int dirfd, const char *name, int depth, struct err *err)
{
	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM && errno != EBUSY)
		return err_sys(err, "remove '%s'", name);
	if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0)
		return 0;
	if (errno == ENOTEMPTY && depth >= DEPTH_MAX)
		return spill(rm, dirfd, name, err);

	int fd = open_to_remove(dirfd, name);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(err, "open folder '%s' to remove it", name);
	int r = remove_entries(rm, fd, name, depth, err);
	if (r == 0 && unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		r = err_sys(err, "remove folder '%s'", name);
	return r;
}

static int remove_entries(struct removal *rm, int fd, const char *name, int depth, struct err *err)
{
	DIR *dir = fdopendir(fd);
	if (!dir) {
		int r = err_sys(err, "read folder '%s' to remove it", name);
		auto_close(&fd);
		return r;
	}
	if (depth == 0)
		rm->top = fd;

	unsigned spilled;
	int r = 0;
	do { /* at the top, until nothing came up from below */
		struct dirent *e;
		spilled = rm->spilled;
		while (r == 0 && (e = readdir(dir))) {
			if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
				r = remove_one(rm, fd, e->d_name, depth + 1, err);
		}
		rewinddir(dir);
	} while (r == 0 && depth == 0 && spilled != rm->spilled);
	(void)closedir(dir);
	return r;
}

int path_remove_all(int dirfd, const char *name, struct err *err)
{
	struct removal rm = {.top = -1};

	return remove_one(&rm, dirfd, name, 0, err);
}

char *path_join(const char *a, const char *b)
{
	char *joined = NULL;

	if (b[0] == '/' || a[0] == '\0')
		return strdup(b);
	const char *slash = a[strlen(a) - 1] == '/' ? "" : "/";
	return asprintf(&joined, "%s%s%s", a, slash, b) < 0 ? NULL : joined;
}

bool path_is_clean(const char *path, bool relative)
{
	if (relative == (path[0] == '/') || path[0] == '\0')
		return false;
	if (!relative && path[1] == '\0')
		return true;
	for (const char *p = relative ? path : path + 1;; p++) {
		size_t n = strcspn(p, "/");
		if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		p += n;
		if (*p == '\0')
			return true;
	}
}
