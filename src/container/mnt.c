/* SPDX-License-Identifier: Apache-2.0 */
#include "container/mnt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

int fs_open(const char *type, struct err *err)
{
	int fs = fsopen(type, FSOPEN_CLOEXEC);

	return fs < 0 ? err_sys(err, "open file system '%s'", type) : fs;
}

/* The kernel's own words about the failure in errno wait in the context ("e overlay: …"). */
static int fs_failed(int fs, const char *what, const char *detail, struct err *err)
{
	int code = errno;
	char said[256];

	ssize_t n = read(fs, said, sizeof(said) - 1);
	if (n <= 2)
		return err_set(err, code, "%s%s: %s", what, detail, strerrordesc_np(code));
	said[n] = '\0';
	said[strcspn(said, "\n")] = '\0';
	return err_set(err, code, "%s%s: %s (%s)", what, detail, strerrordesc_np(code), said + 2);
}

int fs_set(int fs, const char *key, const char *value, struct err *err)
{
	unsigned cmd = value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;

	if (fsconfig(fs, cmd, key, value, 0) < 0)
		return fs_failed(fs, "mount option ", key, err);
	return 0;
}

int fs_set_all(int fs, const char *options, struct err *err)
{
	if (!options || !*options)
		return 0;
	AUTO_FREE char *copy = strdup(options);
	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	char *rest = copy;
	for (char *key; (key = strsep(&rest, ","));) {
		char *value = strchr(key, '=');
		if (value)
			*value++ = '\0';
		int r = *key ? fs_set(fs, key, value, err) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

int fs_set_flags(int fs, uint64_t ms_flags, struct err *err)
{
	static const struct {
		uint64_t ms;
		const char *word;
	} words[] = {
		{MS_SYNCHRONOUS, "sync"},
		{MS_DIRSYNC, "dirsync"},
		{MS_MANDLOCK, "mand"},
		{MS_LAZYTIME, "lazytime"},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		int r = ms_flags & words[i].ms ? fs_set(fs, words[i].word, NULL, err) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

int fs_mount(int fs, const char *type, uint64_t attr, struct err *err)
{
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return fs_failed(fs, "create file system ", type, err);
	int mount = fsmount(fs, FSOPEN_CLOEXEC, (unsigned)attr);
	return mount < 0 ? fs_failed(fs, "mount file system ", type, err) : mount;
}

int fs_new(const char *type, const char *options, uint64_t attr, struct err *err)
{
	AUTO_CLOSE int fs = fs_open(type, err);
	if (fs < 0)
		return fs;
	int r = fs_set(fs, "source", type, err); /* what /proc/mounts shows first */
	if (r == 0)
		r = fs_set_all(fs, options, err);
	return r < 0 ? r : fs_mount(fs, type, attr, err);
}

int mount_clone(int dirfd, const char *path, bool recursive, struct err *err)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;

	if (recursive)
		flags |= AT_RECURSIVE;
	if (path[0] == '\0')
		flags |= AT_EMPTY_PATH;
	else if (path[0] != '/')
		flags |= AT_SYMLINK_NOFOLLOW;
	int mount = open_tree(dirfd, path, flags);
	return mount < 0 ? err_sys(err, "take mount of '%s'", path) : mount;
}

int mount_clone_nofollow(const char *path, bool recursive, struct err *err)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW |
			 (recursive ? AT_RECURSIVE : 0U);
	int mount = open_tree(AT_FDCWD, path, flags);

	return mount < 0 ? err_sys(err, "take mount of '%s'", path) : mount;
}

int mount_attach(int mount, int at, const char *what, struct err *err)
{
	if (move_mount(mount, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return err_sys(err, "mount on '%s'", what);
	return 0;
}

int mount_attach_name(int mount, int dirfd, const char *name, struct err *err)
{
	if (move_mount(mount, "", dirfd, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, "mount on '%s'", name);
	return 0;
}

int mount_change(int mount, const struct mount_change *change, const char *what, struct err *err)
{
	struct mount_attr attr = {
		.attr_set = change->set,
		.attr_clr = change->clear,
		.propagation = change->propagation,
		.userns_fd = change->set & MOUNT_ATTR_IDMAP ? (uint64_t)change->userns : 0,
	};
	/* the four ways to keep access times are one choice: all have to be cleared together */
	if ((change->set | change->clear) & MOUNT_ATTR__ATIME)
		attr.attr_clr |= MOUNT_ATTR__ATIME;
	unsigned flags = AT_EMPTY_PATH | (change->recursive ? AT_RECURSIVE : 0U);

	if (mount_setattr(mount, "", flags, &attr, sizeof(attr)) < 0)
		return err_sys(err, "change mount of '%s'", what);
	return 0;
}

uint64_t mount_attr_of(uint64_t ms_flags)
{
	static const struct {
		uint64_t ms, attr;
	} same[] = {
		{MS_RDONLY, MOUNT_ATTR_RDONLY},         {MS_NOSUID, MOUNT_ATTR_NOSUID},
		{MS_NODEV, MOUNT_ATTR_NODEV},           {MS_NOEXEC, MOUNT_ATTR_NOEXEC},
		{MS_NOATIME, MOUNT_ATTR_NOATIME},       {MS_STRICTATIME, MOUNT_ATTR_STRICTATIME},
		{MS_NODIRATIME, MOUNT_ATTR_NODIRATIME}, {MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW},
	};
	uint64_t attr = 0;

	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		attr |= ms_flags & same[i].ms ? same[i].attr : 0;
	return attr;
}
