/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hidden and write-protected paths, and sysctls. Files are hidden by a null device that is checked
 * to be it; folders by an empty read-only tmpfs.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/path.h"
#include "container/mnt.h"
#include "container/populate.h"
#include "proto/plan.h"

/* A handle of path, or -1 without error when there is nothing to hide or protect. */
static int open_present(int root, const char *path, struct err *err)
{
	struct err missing = ERR_INIT;
	int fd = path_open_in(root, path, O_PATH, 0, &missing);

	if (fd < 0 && missing.code != ENOENT && missing.code != ENOTDIR)
		(void)err_set(err, missing.code, "%s", missing.msg);
	return fd;
}

static bool is_null(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

/* The null device: of the /dev that we made, of the root, or the host's. Whichever it is, it is
 * seen to be that device, and then bound by handle. */
static int null_clone(const struct populate *p, struct err *err)
{
	struct err ignored = ERR_INIT; /* the next one may do */
	AUTO_CLOSE int own = p->dev < 0 ? -1 : mount_clone(p->dev, "null", false, &ignored);

	if (own >= 0 && is_null(own))
		return TAKE_FD(own);
	if (!p->plan->as_specified)
		return err_set(err, ENODEV, "the null device is not what it should be");
	AUTO_CLOSE int in_root = path_open_in(p->root, "/dev/null", O_PATH | O_NOFOLLOW, 0,
					      &ignored);
	AUTO_CLOSE int mount = in_root >= 0 && is_null(in_root)
				       ? mount_clone(in_root, "", false, err)
				       : mount_clone_nofollow("/dev/null", false, err);
	if (mount >= 0 && !is_null(mount))
		return err_set(err, ENODEV, "the null device is not what it should be");
	return mount < 0 ? mount : TAKE_FD(mount);
}

static int mask_file(const struct populate *p, int at, const char *path, struct err *err)
{
	AUTO_CLOSE int null = null_clone(p, err);

	return null < 0 ? null : mount_attach(null, at, path, err);
}

static int empty_folder(const struct populate *p, struct err *err)
{
	const char *label = p->plan->mount_label;
	AUTO_CLOSE int fs = fs_open("tmpfs", err);
	if (fs < 0)
		return fs;
	int r = fs_set_all(fs, "source=tmpfs,mode=755,size=0,nr_inodes=2", err);
	if (r == 0 && label && *label)
		r = fs_set(fs, p->plan->mount_context ? p->plan->mount_context : "context", label,
			   err);
	return r < 0 ? r
		     : fs_mount(fs, "tmpfs",
				MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
					MOUNT_ATTR_NOEXEC,
				err);
}

/* The first one is made; the next are clones of it, as long as it is attached. */
static int mask_folder(const struct populate *p, int *first, int at, const char *path,
		       struct err *err)
{
	AUTO_CLOSE int mount = *first < 0 ? empty_folder(p, err)
					  : mount_clone(*first, "", false, err);
	int r = mount < 0 ? mount : mount_attach(mount, at, path, err);

	if (r == 0 && *first < 0)
		*first = TAKE_FD(mount);
	return r;
}

static int mask_one(const struct populate *p, const char *path, int *empty, struct err *err)
{
	struct stat st;
	AUTO_CLOSE int at = open_present(p->root, path, err);

	if (at < 0)
		return -err->code;
	if (fstat(at, &st) < 0)
		return err_sys(err, "stat '%s'", path);
	return S_ISDIR(st.st_mode) ? mask_folder(p, empty, at, path, err)
				   : mask_file(p, at, path, err);
}

static int protect_one(const struct populate *p, const char *path, struct err *err)
{
	struct mount_change readonly = {.set = MOUNT_ATTR_RDONLY, .recursive = true};
	AUTO_CLOSE int at = open_present(p->root, path, err);

	if (at < 0)
		return -err->code;
	AUTO_CLOSE int mount = mount_clone(at, "", true, err);
	if (mount < 0)
		return mount;
	int r = mount_change(mount, &readonly, path, err);
	return r < 0 ? r : mount_attach(mount, at, path, err);
}

int mask_paths(const struct populate *p, struct err *err)
{
	AUTO_CLOSE int empty = -1;
	int r = 0;

	for (size_t i = 0; i < p->plan->read_only.n && r == 0; i++)
		r = protect_one(p, p->plan->read_only.v[i], err);
	for (size_t i = 0; i < p->plan->masked.n && r == 0; i++)
		r = mask_one(p, p->plan->masked.v[i], &empty, err);
	return r < 0 ? err_wrap(err, "hide paths") : 0;
}

/* No component may lead out of this very procfs. */
static int open_sysctl(const struct populate *p, const char *path, struct err *err)
{
	struct open_how how = {
		.flags = O_WRONLY | O_CLOEXEC | O_NOFOLLOW,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	struct statfs fs;
	AUTO_CLOSE int fd = (int)syscall(SYS_openat2, p->proc, path, &how, sizeof(how));

	if (fd < 0)
		return err_sys(err, "open '/proc/%s'", path);
	if (fstatfs(fd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
		return err_set(err, EPERM, "'/proc/%s' is not procfs", path);
	return TAKE_FD(fd);
}

/* "net.ipv4.ip_forward=1" -> sys/net/ipv4/ip_forward */
static int put_sysctl(const struct populate *p, const char *assignment, struct err *err)
{
	char path[256] = "sys/";
	const char *value = strchr(assignment, '=');
	size_t n = value ? (size_t)(value - assignment) : 0;

	if (n == 0 || n + strlen(path) >= sizeof(path))
		return err_set(err, EINVAL, "sysctl '%s' is not KEY=VALUE", assignment);
	memcpy(path + 4, assignment, n);
	path[4 + n] = '\0';
	for (char *c = path + 4; *(c += strcspn(c, "./")); c++)
		*c = *c == '.' ? '/' : '.';
	AUTO_CLOSE int fd = open_sysctl(p, path, err);
	return fd < 0 ? fd : write_all(fd, value + 1, strlen(value + 1), path, err);
}

int mask_sysctl(const struct populate *p, struct err *err)
{
	for (size_t i = 0; i < p->plan->sysctl.n; i++) {
		int r = put_sysctl(p, p->plan->sysctl.v[i], err);
		if (r < 0)
			return err_wrap(err, "sysctl");
	}
	return 0;
}
