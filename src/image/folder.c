/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each name is opened once, as a handle (O_PATH, no link followed, no mount crossed), and all else
 * goes through the handle: what is swapped meanwhile is either the old or the new file, never
 * something outside.
 */
#include "image/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"
#include "image/folder_links.h"
#include "image/hostfile.h"
#include "image/tar_emit.h"
#include "image/tree.h"
#include "image/xattr.h"

struct walk {
	struct tree *tree;
	struct erofs *erofs;
	struct tar_emitter *tar;
	struct folder_links links;
	struct xattr_set xattrs; /* reused */
	uint64_t ignored;
	char path[TREE_PATH_MAX]; /* of the entry at work or that failed, "." for the root */
	bool named; /* the failure says already which entry it was */
};

/* What stat and xattrs say of the file behind `handle`, as an entry. */
static int describe(struct walk *w, int handle, const struct stat *st, struct tree_entry *ret,
		    struct err *err)
{
	uint64_t ignored = 0;

	*ret = (struct tree_entry){
		.path = w->path,
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.mtime = st->st_mtim.tv_sec,
		.mtime_nsec = (uint32_t)st->st_mtim.tv_nsec,
	};
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		ret->rdev_major = major(st->st_rdev);
		ret->rdev_minor = minor(st->st_rdev);
	}
	xattr_set_clear(&w->xattrs);
	int r = hostfile_xattrs(handle, false, &w->xattrs, &ignored, err);
	w->ignored += ignored;
	return r < 0 ? r : xattr_pack(&w->xattrs, tree_arena(w->tree), &ret->xattrs, err);
}

static int add(struct walk *w, const struct tree_entry *entry, uint64_t size, struct inode **ret,
	       struct err *err)
{
	int r = tree_add(w->tree, entry, ret, err);

	w->named = r < 0;
	return r < 0 ? r : tar_emit_entry(w->tar, entry, size, err);
}

/* Opens what the handle stands for. */
static int reopen(int handle, int flags, struct err *err)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", handle);
	int fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "open") : fd;
}

/* Other names of this file will be hard links to the path at work. */
static int note_first(struct walk *w, const struct stat *st, struct err *err)
{
	const char *path = arena_copy(tree_arena(w->tree), w->path, strlen(w->path), err);

	if (!path)
		return -ENOMEM;
	return folder_links_add(&w->links, st->st_dev, st->st_ino, path, err);
}

static int add_file(struct walk *w, int handle, const struct stat *st, struct err *err)
{
	struct tree_entry entry;
	struct inode *inode = NULL;
	const char *first = NULL;

	if (st->st_nlink > 1)
		first = folder_links_find(&w->links, st->st_dev, st->st_ino);
	int r = describe(w, handle, st, &entry, err);
	if (r == 0 && first) {
		entry.hardlink = true;
		entry.target = first;
		entry.xattrs = NULL;
		return add(w, &entry, 0, &inode, err);
	}
	if (r == 0 && st->st_nlink > 1)
		r = note_first(w, st, err);
	if (r == 0)
		r = add(w, &entry, (uint64_t)st->st_size, &inode, err);
	if (r < 0)
		return r;

	AUTO_CLOSE int fd = reopen(handle, O_RDONLY | O_NONBLOCK, err);
	if (fd < 0)
		return fd;
	struct hostfile_to to = {w->tree, w->erofs, tar_emit_content, w->tar};
	r = hostfile_content(fd, (uint64_t)st->st_size, inode, &to, err);
	return r < 0 ? r : tar_emit_padding(w->tar, (uint64_t)st->st_size, err);
}

static int add_other(struct walk *w, int handle, const struct stat *st, struct err *err)
{
	char target[TREE_PATH_MAX + 1];
	struct tree_entry entry;
	struct inode *inode;

	int r = describe(w, handle, st, &entry, err);
	if (r < 0)
		return r;
	if (S_ISLNK(st->st_mode)) {
		ssize_t n = readlinkat(handle, "", target, sizeof(target) - 1);
		if (n < 0)
			return err_sys(err, "read the link");
		target[n] = '\0';
		entry.target = target;
	}
	return add(w, &entry, 0, &inode, err);
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void close_dir(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

static int list_folder(int handle, struct strv *ret, struct err *err)
{
	AUTO_CLOSE int fd = reopen(handle, O_RDONLY | O_DIRECTORY, err);
	if (fd < 0)
		return fd;
	AUTO(close_dir) DIR *dir = fdopendir(fd);
	if (!dir)
		return err_sys(err, "list");
	(void)TAKE_FD(fd);
	for (;;) {
		errno = 0;
		const struct dirent *d = readdir(dir);
		if (!d && errno != 0)
			return err_sys(err, "list");
		if (!d)
			break;
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		int r = strv_add(ret, d->d_name, err);
		if (r < 0)
			return r;
	}
	if (ret->n > 0)
		qsort(ret->v, ret->n, sizeof(char *), by_bytes);
	return 0;
}

static int add_folder(struct walk *w, int handle, const struct stat *st, bool descend,
		      struct err *err);

/* Adds the file `name` of the folder; w->path says where it is. */
static int add_name(struct walk *w, int folder, const char *name, struct err *err)
{
	struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
			       .resolve = RESOLVE_NO_XDEV | RESOLVE_BENEATH};
	struct stat st;
	bool mounted = false;

	AUTO_CLOSE int handle = (int)syscall(SYS_openat2, folder, name, &how, sizeof(how));
	if (handle < 0 && errno == EXDEV) {
		mounted = true;
		handle = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	}
	if (handle < 0)
		return err_sys(err, "open");
	if (fstat(handle, &st) < 0)
		return err_sys(err, "stat");
	if (S_ISDIR(st.st_mode))
		return add_folder(w, handle, &st, !mounted, err);
	if (mounted)
		return err_set(err, EXDEV, "another file is mounted on it");
	if (S_ISREG(st.st_mode))
		return add_file(w, handle, &st, err);
	return add_other(w, handle, &st, err);
}

/* Goes to `name`, adds it, and comes back. */
static int add_child(struct walk *w, int folder, const char *name, struct err *err)
{
	bool at_root = strcmp(w->path, ".") == 0;
	size_t len = at_root ? 0 : strlen(w->path);

	if (str_prefix(name, ".wh.", NULL))
		return err_set(err, EINVAL,
			       "it holds a name that begins with '.wh.', which would "
			       "mean a deletion in an image");
	if (len + 1 + strlen(name) >= sizeof(w->path))
		return err_set(err, ENAMETOOLONG, "it holds a path of %zu bytes or more",
			       sizeof(w->path));
	(void)snprintf(w->path + len, sizeof(w->path) - len, "%s%s", at_root ? "" : "/", name);
	int r = add_name(w, folder, name, err);
	if (r == 0)
		(void)snprintf(w->path + len, 2, "%s", at_root ? "." : "");
	return r;
}

static int add_folder(struct walk *w, int handle, const struct stat *st, bool descend,
		      struct err *err)
{
	AUTO_STRV struct strv names = {0};
	struct tree_entry entry;
	struct inode *inode;

	int r = describe(w, handle, st, &entry, err);
	if (r == 0)
		r = add(w, &entry, 0, &inode, err);
	if (r == 0 && descend)
		r = list_folder(handle, &names, err);
	for (size_t i = 0; r == 0 && i < names.n; i++)
		r = add_child(w, handle, names.v[i], err);
	return r;
}

static void walk_done(struct walk *w)
{
	folder_links_done(&w->links);
	xattr_set_done(&w->xattrs);
}

int folder_read(int dirfd, struct tree *tree, struct erofs *erofs, struct tar_emitter *tar,
		uint64_t *ret_ignored, struct err *err)
{
	AUTO(walk_done)
	struct walk w = {
		.tree = tree, .erofs = erofs, .tar = tar, .xattrs = XATTR_SET_INIT, .path = "."};
	struct stat st;

	if (fstat(dirfd, &st) < 0)
		return err_sys(err, "stat the folder");
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ENOTDIR, "not a folder");
	int r = add_folder(&w, dirfd, &st, true, err);
	if (r < 0) {
		struct shown shown;
		return w.named ? r : err_wrap(err, "'%s'", show(w.path, &shown));
	}
	*ret_ignored = w.ignored;
	return 0;
}
