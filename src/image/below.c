/* SPDX-License-Identifier: Apache-2.0 */
#include "image/below.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"

/*
 * A tmpfs holds the mount points "0", "1", … (lowest first) and "view"; its empty folder "none" is
 * the lowest of each overlay, since an overlay wants at least two.
 */
struct below {
	int dir; /* the tmpfs */
	int view; /* the overlay's root; -1: not made for the present stack */
	unsigned n;
};

enum { FD_PATH = 48 };

static void fd_path(char path[FD_PATH], int fd, const char *name)
{
	(void)snprintf(path, FD_PATH, "/proc/self/fd/%d%s%s", fd, name ? "/" : "",
		       name ? name : "");
}

static int make_dir(int dir, const char *name, struct err *err)
{
	return mkdirat(dir, name, 0700) < 0 && errno != EEXIST
		       ? err_sys(err, "make folder '%s' for layers", name)
		       : 0;
}

/* The path is looked up anew: a handle from before belongs to the other mount namespace. */
int below_new(const char *work_path, struct below **ret, struct err *err)
{
	AUTO_FREE char *path = path_join(work_path, "below");
	AUTO(auto_below_free) struct below *b = malloc(sizeof(*b));
	if (!b || !path)
		return err_set(err, ENOMEM, "out of memory");
	*b = (struct below){.dir = -1, .view = -1};
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(err, "a mount namespace for layers that need those below");
	int r = make_dir(AT_FDCWD, path, err);
	if (r < 0)
		return r;
	if (mount("hull", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700") < 0)
		return err_sys(err, "mount a tmpfs for layers");
	b->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->dir < 0)
		return err_sys(err, "open the tmpfs for layers");
	r = make_dir(b->dir, "none", err);
	if (r == 0)
		r = make_dir(b->dir, "view", err);
	if (r == 0)
		*ret = TAKE_PTR(b);
	return r;
}

static void drop_view(struct below *b)
{
	char path[FD_PATH];

	if (b->view < 0)
		return;
	auto_close(&b->view);
	fd_path(path, b->dir, "view");
	(void)umount2(path, MNT_DETACH);
}

void below_free(struct below *b)
{
	char path[FD_PATH];
	char name[16];

	if (!b)
		return;
	drop_view(b);
	for (unsigned i = 0; i < b->n; i++) {
		(void)snprintf(name, sizeof(name), "%u", i);
		fd_path(path, b->dir, name);
		(void)umount2(path, MNT_DETACH);
	}
	if (b->dir >= 0) {
		fd_path(path, b->dir, NULL);
		(void)umount2(path, MNT_DETACH);
	}
	auto_close(&b->dir);
	free(b);
}

/* Where EROFS cannot be mounted from a file (before Linux 6.12; on overlay, tmpfs): a read-only
 * loop device that goes with its mount. */
static int mount_loop(int layer_fd, const char *target, struct err *err)
{
	char device[32];
	struct loop_config config = {
		.fd = (uint32_t)layer_fd,
		.info = {.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR},
	};

	AUTO_CLOSE int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		return err_sys(err, "open /dev/loop-control to mount a layer");
	for (int tries = 0; tries < 32; tries++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		if (number < 0)
			return err_sys(err, "find a free loop device");
		(void)snprintf(device, sizeof(device), "/dev/loop%d", number);
		AUTO_CLOSE int loop = open(device, O_RDONLY | O_CLOEXEC);
		if (loop < 0)
			return err_sys(err, "open '%s'", device);
		if (ioctl(loop, LOOP_CONFIGURE, &config) == 0)
			return mount(device, target, "erofs", MS_RDONLY, NULL) < 0
				       ? err_sys(err, "mount a layer from '%s'", device)
				       : 0;
		if (errno != EBUSY) /* somebody else was quicker */
			return err_sys(err, "set up '%s'", device);
	}
	return err_set(err, EBUSY, "no free loop device to mount a layer");
}

int below_push(struct below *b, int layer_fd, struct err *err)
{
	char source[FD_PATH], target[FD_PATH], name[16];

	drop_view(b);
	(void)snprintf(name, sizeof(name), "%u", b->n);
	int r = make_dir(b->dir, name, err);
	if (r < 0)
		return r;
	fd_path(source, layer_fd, NULL);
	fd_path(target, b->dir, name);
	if (mount(source, target, "erofs", MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0) {
		if (errno != ENOTBLK && errno != EOPNOTSUPP && errno != EINVAL)
			return err_sys(err, "mount a layer");
		r = mount_loop(layer_fd, target, err);
		if (r < 0)
			return r;
	}
	b->n++;
	return 0;
}

/* Names relative to the tmpfs keep the option within the page that mount(2) takes. */
static int mount_view(struct below *b, struct err *err)
{
	AUTO_BUF struct buf options = BUF_INIT;
	AUTO_CLOSE int cwd = open(".", O_PATH | O_CLOEXEC);

	buf_str(&options, "lowerdir=");
	for (unsigned i = b->n; i-- > 0;)
		buf_printf(&options, "%u:", i);
	buf_str(&options, "none");
	int r = buf_check(&options, err);
	if (r < 0)
		return r;
	if (cwd < 0 || fchdir(b->dir) < 0)
		return err_sys(err, "change to the folder of layers");
	if (mount("hull", "view", "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV, options.data) < 0)
		r = err_sys(err, "overlay of %u layers", b->n);
	if (fchdir(cwd) < 0 && r == 0)
		r = err_sys(err, "change back from the folder of layers");
	if (r < 0)
		return r;
	b->view = openat(b->dir, "view", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return b->view < 0 ? err_sys(err, "open the overlay of layers") : 0;
}

static int view_open(void *ctx, const char *path, int *ret, struct err *err)
{
	const struct below *b = ctx;
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	char again[FD_PATH];
	struct stat st;

	AUTO_CLOSE int fd = (int)syscall(SYS_openat2, b->view, *path ? path : ".", &how,
					 sizeof(how));
	if (fd < 0 && errno == ENOENT)
		return LAYER_ABSENT;
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return LAYER_OTHER;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "open '%.200s' in the layers below", path);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return LAYER_OTHER;
	fd_path(again, fd, NULL);
	int open_fd = open(again, O_RDONLY | O_CLOEXEC);
	if (open_fd < 0)
		return err_sys(err, "open '%.200s' in the layers below", path);
	*ret = open_fd;
	return 0;
}

int below_view(struct below *b, struct layer_lower *ret, struct err *err)
{
	int r = b->view < 0 ? mount_view(b, err) : 0;

	if (r == 0)
		*ret = (struct layer_lower){.ctx = b, .open = view_open};
	return r;
}
