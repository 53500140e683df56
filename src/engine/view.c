/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images mounted for the host's own programs, at RUN/images/ID: read-only, and without effect of
 * devices and set-user-id bits in them. What is mounted is asked of the kernel.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/str.h"
#include "container/container.h"
#include "engine/internal.h"
#include "image/image.h"

int engine_layers(struct engine *e, struct err *err)
{
	int r = path_mkdir_all(e->store->run_fd, "layers", 0700, err);

	return r < 0 ? r : store_folder(e->store->run_fd, "layers", err);
}

/* RUN/images, locked: who mounts and unmounts does it alone. */
static int open_views(struct engine *e, struct err *err)
{
	int r = path_mkdir_all(e->store->run_fd, "images", 0700, err);
	AUTO_CLOSE int fd = r < 0 ? r : store_folder(e->store->run_fd, "images", err);

	if (fd < 0)
		return fd;
	while (flock(fd, LOCK_EX) < 0) {
		if (errno != EINTR)
			return err_sys(err, "lock the folder of mounted images");
	}
	return TAKE_FD(fd);
}

static bool is_mounted(int views, const char *id)
{
	struct statx st;

	return statx(views, id, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &st) == 0 &&
	       (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

static int mount_at(struct engine *e, const struct image *image, int views, struct err *err)
{
	struct plan_root root = {.layers = image->layers, .is_volatile = true}; /* borrowed */

	AUTO_CLOSE int layers = engine_layers(e, err);
	if (layers < 0)
		return layers;
	if (mkdirat(views, image->id, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "make folder '%s/images/%s'", e->store->run, image->id);
	AUTO_CLOSE int at = store_folder(views, image->id, err);
	AUTO_CLOSE int mount = at < 0 ? at : container_root(&root, true, layers, at, err);
	if (mount < 0)
		return mount;
	if (move_mount(mount, "", views, image->id, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, "mount at '%s/images/%s'", e->store->run, image->id);
	return 0;
}

int image_view_mount(struct engine *e, const char *what, char **ret_path, struct err *err)
{
	AUTO_IMAGE struct image image = {0};

	int r = image_find(e->store, what, &image, err);
	AUTO_CLOSE int views = r < 0 ? r : open_views(e, err);
	if (views < 0)
		return views;
	if (!is_mounted(views, image.id)) {
		r = mount_at(e, &image, views, err);
		if (r < 0)
			return r;
	}
	if (asprintf(ret_path, "%s/images/%s", e->store->run, image.id) < 0)
		return err_set(err, ENOMEM, "out of memory");
	return 0;
}

static int list_views(int views, struct strv *ret, struct err *err)
{
	int copy = fcntl(views, F_DUPFD_CLOEXEC, 3);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	int r = 0;

	if (!dir) {
		r = err_sys(err, "list the mounted images");
		auto_close(&copy);
		return r;
	}
	rewinddir(dir);
	for (struct dirent *d; r == 0 && (d = readdir(dir)) != NULL;) {
		if (d->d_name[0] != '.' && is_mounted(views, d->d_name))
			r = strv_add(ret, d->d_name, err);
	}
	(void)closedir(dir);
	return r;
}

int image_view_list(struct engine *e, struct strv *ret, struct err *err)
{
	AUTO_CLOSE int views = open_views(e, err);

	return views < 0 ? views : list_views(views, ret, err);
}

/* The mounted image that `what` means: by the store, or of one removed since by its id. */
static int find_view(struct engine *e, int views, const char *what, char **ret, struct err *err)
{
	AUTO_IMAGE struct image image = {0};
	AUTO_STRV struct strv all = {0};
	struct err absent = ERR_INIT; /* it may be mounted all the same */
	const char *hex = what;

	int r = list_views(views, &all, err);
	if (r < 0)
		return r;
	bool known = image_find(e->store, what, &image, &absent) == 0;
	(void)str_prefix(what, "sha256:", &hex);
	for (size_t i = 0; i < all.n; i++) {
		if (known ? strcmp(all.v[i], image.id) == 0 : str_prefix(all.v[i], hex, NULL)) {
			*ret = strdup(all.v[i]);
			return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
		}
	}
	return err_set(err, ENOENT, "image '%.200s' is not mounted", what);
}

int image_view_unmount(struct engine *e, const char *what, bool force, struct err *err)
{
	AUTO_FREE char *id = NULL, *path = NULL;

	AUTO_CLOSE int views = open_views(e, err);
	int r = views < 0 ? views : find_view(e, views, what, &id, err);
	if (r < 0)
		return r;
	if (asprintf(&path, "%s/images/%s", e->store->run, id) < 0) {
		path = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	if (umount2(path, UMOUNT_NOFOLLOW | (force ? MNT_DETACH : 0)) < 0)
		return err_sys(err, "unmount '%s'%s", path, errno == EBUSY ? " (see --force)" : "");
	return unlinkat(views, id, AT_REMOVEDIR) < 0 && errno != ENOENT
		       ? err_sys(err, "remove folder '%s'", path)
		       : 0;
}
