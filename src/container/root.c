/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The overlay gets its folders as descriptors (kernel 6.13), else as /proc/self/fd/N: a path of any
 * length becomes a short one, and nobody can move it aside in between. Kernels before 6.5 know no
 * lowerdir+ and get one string.
 */
#include "container/root.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "container/container.h"
#include "container/mnt.h"
#include "proto/plan.h"

enum { LAYERS_MAX = 500 }; /* overlayfs's own bound (OVL_MAX_STACK) */

struct stack {
	int fds[LAYERS_MAX]; /* lowest first */
	size_t n;
};

static void auto_stack(struct stack *s)
{
	while (s->n > 0)
		auto_close(&s->fds[--s->n]);
}

/* "/…/layers/<hex>.erofs" -> "<hex>" */
static int layer_name(const char *path, char name[static NAME_MAX + 1], struct err *err)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	size_t n = strcspn(base, ".");

	if (n == 0 || n > NAME_MAX)
		return err_set(err, EINVAL, "layer file '%s' has no name to mount it under", path);
	memcpy(name, base, n);
	name[n] = '\0';
	return 0;
}

/* The root of the mount at `name`, 1; or 0 when nothing is mounted there. */
static int open_mounted(int layers_fd, const char *name, int *ret, struct err *err)
{
	struct statx st;

	AUTO_CLOSE int fd = openat(layers_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(err, "open layer '%s'", name);
	if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &st) < 0)
		return err_sys(err, "stat layer '%s'", name);
	if (!(st.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return 0;
	*ret = TAKE_FD(fd);
	return 1;
}

/* A loop device showing file, freed by the kernel with its last user. */
static int loop_device(int file, struct err *err)
{
	enum { TRIES = 64 };
	AUTO_CLOSE int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		return err_sys(err, "open /dev/loop-control");

	for (int i = 0; i < TRIES; i++) {
		char path[32];
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		if (number < 0)
			return err_sys(err, "find a free loop device");
		(void)snprintf(path, sizeof(path), "/dev/loop%d", number);
		AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return err_sys(err, "open '%s'", path);
		struct loop_config config = {
			.fd = (uint32_t)file,
			.block_size = 4096,
			.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR,
		};
		if (ioctl(fd, LOOP_CONFIGURE, &config) == 0)
			return TAKE_FD(fd);
		if (errno != EBUSY) /* another took it meanwhile */
			return err_sys(err, "attach '%s'", path);
	}
	return err_set(err, EBUSY, "no loop device stayed free");
}

static int mount_erofs(const char *source, struct err *err)
{
	AUTO_CLOSE int fs = fs_open("erofs", err);
	if (fs < 0)
		return fs;
	int r = fs_set(fs, "source", source, err);
	return r < 0 ? r
		     : fs_mount(fs, "erofs",
				MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, err);
}

/* fsconfig() takes 255 bytes. */
static const char *short_path(const char *path, int fd, char alias[static 32])
{
	(void)snprintf(alias, 32, "/proc/self/fd/%d", fd);
	return strlen(path) < 256 ? path : alias;
}

/* File-backed where the store's file system allows it (kernel 6.12; not overlay, not tmpfs), else
 * through a loop device. */
static int mount_layer_file(const char *path, struct err *err)
{
	char alias[32];
	struct err direct = ERR_INIT;
	AUTO_CLOSE int file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return err_sys(err, "open layer '%s'", path);

	int mount = mount_erofs(short_path(path, file, alias), &direct);
	if (mount >= 0)
		return mount;
	if (direct.code != ENOTBLK && direct.code != EINVAL)
		return err_set(err, direct.code, "layer '%s': %s", path, direct.msg);
	AUTO_CLOSE int loop = loop_device(file, err);
	if (loop < 0)
		return err_wrap(err, "layer '%s'", path);
	(void)snprintf(alias, sizeof(alias), "/proc/self/fd/%d", loop);
	mount = mount_erofs(alias, err);
	return mount < 0 ? err_wrap(err, "layer '%s'", path) : mount;
}

/* Under the folder's lock: another keeper may be about to mount the same. */
static int mount_layer(int layers_fd, const char *name, const char *path, struct err *err)
{
	int fd = -1;
	AUTO_CLOSE int lock = openat(layers_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lock < 0 || flock(lock, LOCK_EX) < 0)
		return err_sys(err, "lock the folder of mounted layers");
	int r = open_mounted(layers_fd, name, &fd, err);
	if (r != 0)
		return r < 0 ? r : fd;
	if (mkdirat(layers_fd, name, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "make folder for layer '%s'", name);
	AUTO_CLOSE int mount = mount_layer_file(path, err);
	if (mount < 0)
		return mount;
	r = mount_attach_name(mount, layers_fd, name, err);
	return r < 0 ? r : TAKE_FD(mount);
}

static int open_layer(int layers_fd, const char *path, struct err *err)
{
	char name[NAME_MAX + 1];
	int fd = -1;
	int r = layer_name(path, name, err);

	if (r == 0)
		r = open_mounted(layers_fd, name, &fd, err);
	if (r != 0)
		return r < 0 ? r : fd;
	return mount_layer(layers_fd, name, path, err);
}

static int open_stack(const struct plan_root *root, int layers_fd, struct stack *s, struct err *err)
{
	const struct strv *from = root->lower.n > 0 ? &root->lower : &root->layers;

	if (from->n == 0 || from->n > LAYERS_MAX)
		return err_set(err, EINVAL, "a root of %zu layers; 1 to %d are possible", from->n,
			       LAYERS_MAX);
	for (size_t i = 0; i < from->n; i++) {
		int fd = from == &root->layers ? open_layer(layers_fd, from->v[i], err)
					       : open(from->v[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return err->code ? -err->code : err_sys(err, "open '%s'", from->v[i]);
		s->fds[s->n++] = fd;
	}
	return 0;
}

/* Tells an overlay context about one folder. */
static int set_folder(int fs, const char *key, int fd, struct err *err)
{
	char alias[32];

	if (fsconfig(fs, FSCONFIG_SET_FD, key, NULL, fd) == 0)
		return 0;
	(void)snprintf(alias, sizeof(alias), "/proc/self/fd/%d", fd);
	return fs_set(fs, key, alias, err);
}

/* The writable folders: the plan's, or two in a fresh tmpfs (whose mount `tmpfs` must stay open
 * until the overlay is there). */
struct writable {
	int tmpfs, upper, work;
};

static void auto_writable(struct writable *w)
{
	auto_close(&w->upper);
	auto_close(&w->work);
	auto_close(&w->tmpfs);
}

static int open_writable(const struct plan_root *root, struct writable *w, struct err *err)
{
	char options[64] = "mode=755";
	const char *upper = root->upper ? root->upper : "upper";
	const char *work = root->work ? root->work : "work";
	int at = AT_FDCWD;

	if (!root->upper) {
		if (root->size_max)
			(void)snprintf(options, sizeof(options), "mode=755,size=%ju",
				       (uintmax_t)root->size_max);
		at = w->tmpfs = fs_new("tmpfs", options, MOUNT_ATTR_NODEV, err);
		if (at < 0)
			return at;
		if (mkdirat(at, upper, 0) < 0 || mkdirat(at, work, 0700) < 0)
			return err_sys(err, "make the writable folders");
	}
	w->upper = openat(at, upper, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (w->upper < 0)
		return err_sys(err, "open '%s'", upper);
	w->work = openat(at, work, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return w->work < 0 ? err_sys(err, "open '%s'", work) : 0;
}

/* All attributes but overlayfs' own of one folder to another, both by their paths in /proc. */
static int copy_xattrs(const char *from, const char *to, struct err *err)
{
	enum { LIST = 4096 };
	char names[LIST], value[LIST];

	ssize_t n = listxattr(from, names, sizeof(names));
	for (const char *name = names; n > 0 && name < names + n; name += strlen(name) + 1) {
		ssize_t size = strstr(name, ".overlay.")
				       ? -1
				       : getxattr(from, name, value, sizeof(value));
		if (size >= 0 && setxattr(to, name, value, (size_t)size, 0) < 0 &&
		    errno != EOPNOTSUPP)
			return err_sys(err, "set attribute of the root folder");
	}
	return 0;
}

/* The topmost layer that says something of the root: one that does not has it as root's, 0755, of
 * the epoch. */
static int find_root(const struct stack *s, int *ret_fd, struct stat *ret, struct err *err)
{
	for (size_t i = s->n; i-- > 0;) {
		if (fstat(s->fds[i], ret) < 0)
			return err_sys(err, "stat the root folder of a layer");
		*ret_fd = s->fds[i];
		if ((ret->st_mode & 07777) != 0755 || ret->st_uid != 0 || ret->st_gid != 0 ||
		    ret->st_mtim.tv_sec != 0)
			return 0;
	}
	return 0;
}

/*
 * The root folder that is seen is the writable one. While it is new, which its mode 0 tells, it
 * takes over owner, mode, attributes and, last, time of the layers' root; the mode says that it is
 * done.
 */
static int adopt_root(const struct stack *s, const struct writable *w, struct err *err)
{
	char from[32], to[32];
	struct stat st = {0}, mine;
	int layer = -1;

	if (fstat(w->upper, &mine) < 0)
		return err_sys(err, "stat the root folder");
	if ((mine.st_mode & 07777) != 0)
		return 0;
	int r = find_root(s, &layer, &st, err);
	if (r < 0)
		return r;
	(void)snprintf(from, sizeof(from), "/proc/self/fd/%d", layer);
	(void)snprintf(to, sizeof(to), "/proc/self/fd/%d", w->upper);
	const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, st.st_mtim};
	r = copy_xattrs(from, to, err);
	if (r < 0)
		return r;
	if (chown(to, st.st_uid, st.st_gid) < 0 || utimensat(AT_FDCWD, to, times, 0) < 0 ||
	    chmod(to, (st.st_mode & 07777) ? st.st_mode & 07777 : 0755) < 0)
		return err_sys(err, "set owner and mode of the root folder");
	return 0;
}

/* One handle a layer, the top one first (kernel 6.5). */
static int set_lowers(int fs, const struct stack *s, struct err *err)
{
	for (size_t i = s->n; i-- > 0;) {
		int r = set_folder(fs, "lowerdir+", s->fds[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int overlay_new(const struct plan_root *root, const struct stack *s,
		       const struct writable *w, struct err *err)
{
	AUTO_CLOSE int fs = fs_open("overlay", err);
	if (fs < 0)
		return fs;
	int r = set_lowers(fs, s, err);
	if (r == 0)
		r = set_folder(fs, "upperdir", w->upper, err);
	if (r == 0)
		r = set_folder(fs, "workdir", w->work, err);
	if (r == 0 && (root->is_volatile || w->tmpfs >= 0))
		r = fs_set(fs, "volatile", NULL, err);
	return r < 0 ? r : fs_mount(fs, "overlay", 0, err);
}

/*
 * Kernels before 6.5: all lower folders in one string, longer than fsconfig() takes, so by
 * mount(2) on the scratch folder; the mount is then picked up from there. A tmpfs of ours has to be
 * attached somewhere too, and is let go of as soon as the overlay holds it.
 */
static int overlay_by_string(const struct plan_root *root, const struct stack *s,
			     const struct writable *w, int scratch_fd, struct err *err)
{
	AUTO_BUF struct buf options = BUF_INIT;
	char at[32], path[PATH_MAX] = "";

	/* this link leads below what is mounted on the folder, the path in it on top of that */
	(void)snprintf(at, sizeof(at), "/proc/self/fd/%d", scratch_fd);
	if (readlink(at, path, sizeof(path) - 1) < 0)
		return err_sys(err, "read the place of the run folder");
	for (size_t i = s->n; i-- > 0;)
		buf_printf(&options, "%s/proc/self/fd/%d",
			   options.len ? ":" : "lowerdir=", s->fds[i]);
	buf_printf(&options, ",upperdir=/proc/self/fd/%d,workdir=/proc/self/fd/%d", w->upper,
		   w->work);
	if (root->is_volatile || w->tmpfs >= 0)
		buf_str(&options, ",volatile");
	if (buf_check(&options, err) < 0)
		return -err->code;
	if (options.len >= (size_t)sysconf(_SC_PAGESIZE))
		return err_set(err, E2BIG, "this kernel cannot stack %zu layers (6.5 can)", s->n);
	if (w->tmpfs >= 0 && mount_attach(w->tmpfs, scratch_fd, "the run folder", err) < 0)
		return -err->code;
	AUTO_CLOSE int overlay = -1;
	if (mount("overlay", at, "overlay", 0, options.data) < 0) {
		(void)err_sys(err, "mount overlay");
	} else {
		overlay = mount_clone(AT_FDCWD, path, false, err);
		(void)umount2(path, MNT_DETACH);
	}
	if (w->tmpfs >= 0)
		(void)umount2(path, MNT_DETACH);
	return overlay < 0 ? -err->code : TAKE_FD(overlay);
}

/* Since 6.5 the lower folders are set one by one; an older kernel, asked to, would complain in its
 * log. */
static bool sets_lower_singly(void)
{
	struct utsname u;

	if (uname(&u) < 0)
		return true;
	char *end = NULL;
	unsigned long major = strtoul(u.release, &end, 10);
	unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
	return major > 6 || (major == 6 && minor >= 5);
}

int root_new(const struct plan_root *root, int layers_fd, int scratch_fd, struct err *err)
{
	if (root->path) {
		int fd = mount_clone(AT_FDCWD, root->path, true, err);
		return fd < 0 ? err_wrap(err, "root") : fd;
	}
	AUTO(auto_stack) struct stack stack = {.n = 0};
	AUTO(auto_writable) struct writable w = {-1, -1, -1};
	struct err first = ERR_INIT;

	int r = open_stack(root, layers_fd, &stack, err);
	if (r == 0)
		r = open_writable(root, &w, err);
	if (r == 0)
		r = adopt_root(&stack, &w, err);
	if (r < 0)
		return r;
	if (!sets_lower_singly()) {
		r = overlay_by_string(root, &stack, &w, scratch_fd, err);
		return r < 0 ? err_wrap(err, "root") : r;
	}
	int overlay = overlay_new(root, &stack, &w, &first);
	if (overlay >= 0)
		return overlay;
	if (first.code == EINVAL) {
		struct err second = ERR_INIT; /* the first has the kernel's own words */
		overlay = overlay_by_string(root, &stack, &w, scratch_fd, &second);
		if (overlay >= 0)
			return overlay;
	}
	(void)err_set(err, first.code, "root: %s", first.msg);
	return -first.code;
}

int container_root(const struct plan_root *root, bool readonly, int layers_fd, int scratch_fd,
		   struct err *err)
{
	const struct mount_change change = {
		.set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (readonly ? MOUNT_ATTR_RDONLY : 0),
		.propagation = MS_PRIVATE,
		.userns = -1,
	};

	AUTO_CLOSE int mount = root_new(root, layers_fd, scratch_fd, err);
	if (mount < 0)
		return mount;
	int r = mount_change(mount, &change, "root", err);
	return r < 0 ? r : TAKE_FD(mount);
}
