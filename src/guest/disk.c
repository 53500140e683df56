/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/str.h"
#include "guest/sysfs.h"
#include "proto/message.h"

enum { DISK_MS = 10000, PARTITIONS_MAX = 255 };

static int find(const char *serial, char name[SYSFS_NAME], struct err *err)
{
	return sysfs_find("/sys/block", "serial", serial, "disk", DISK_MS, name, err);
}

static int mount_device(const char *device, const char *type, const char *folder,
			unsigned long flags, struct err *err)
{
	int r = path_mkdir_all(AT_FDCWD, folder, 0755, err);
	if (r < 0)
		return r;
	if (mount(device, folder, type, flags, NULL) < 0)
		return err_sys(err, "mount '%s' (%s) on '%s'", device, type, folder);
	return 0;
}

int disk_mount(const char *serial, const char *type, const char *folder, unsigned long flags,
	       struct err *err)
{
	char name[SYSFS_NAME], device[SYSFS_NAME + 8];

	int r = find(serial, name, err);
	if (r < 0)
		return r;
	(void)snprintf(device, sizeof(device), "/dev/%s", name);
	return mount_device(device, type, folder, flags, err);
}

int disk_mount_any(const char *serial, bool readonly, const char *folder, struct err *err)
{
	unsigned long flags = MS_NODEV | MS_NOSUID | (readonly ? MS_RDONLY : 0UL);
	struct err first = ERR_INIT;

	if (disk_mount(serial, "ext4", folder, flags, &first) == 0)
		return 0;
	struct err second = ERR_INIT;
	if (first.code == EINVAL && disk_mount(serial, "erofs", folder, flags, &second) == 0)
		return 0;
	(void)rmdir(folder);
	if (first.code == EINVAL)
		return err_set(err, EINVAL, "the disk holds no file system of ext4 or EROFS");
	return err_set(err, first.code, "%s", first.msg);
}

int disk_is_free(const char *serial, struct err *err)
{
	char name[SYSFS_NAME], device[SYSFS_NAME + 8];
	struct err ignored = ERR_INIT; /* not there */

	if (sysfs_find("/sys/block", "serial", serial, "disk", 0, name, &ignored) < 0)
		return 0;
	(void)snprintf(device, sizeof(device), "/dev/%s", name);
	AUTO_CLOSE int fd = open(device, O_RDONLY | O_EXCL | O_CLOEXEC);
	return fd < 0 && errno == EBUSY ? err_set(err, EBUSY, "the disk is mounted elsewhere, too")
					: 0;
}

static int add_partition(int disk, int number, const struct machine_extent *e, struct err *err)
{
	struct blkpg_partition part = {.start = (long long)e->offset,
				       .length = (long long)e->size,
				       .pno = number};
	struct blkpg_ioctl_arg arg = {.op = BLKPG_ADD_PARTITION,
				      .datalen = sizeof(part),
				      .data = &part};

	if (e->offset > INT64_MAX || e->size > INT64_MAX)
		return err_set(err, EINVAL, "layer %d has an impossible extent", number - 1);
	if (ioctl(disk, BLKPG, &arg) < 0)
		return err_sys(err, "make a partition of layer %d", number - 1);
	return 0;
}

int disk_layers(const struct list *extents, const char *folder, struct strv *ret, struct err *err)
{
	const struct machine_extent *e = extents->items;
	char name[SYSFS_NAME], device[SYSFS_NAME + 32], to[256];

	if (extents->n > PARTITIONS_MAX)
		return err_set(err, E2BIG, "an image of %zu layers; a machine takes %d", extents->n,
			       PARTITIONS_MAX);
	int r = find(MACHINE_DISK_LAYERS, name, err);
	if (r < 0)
		return r;
	(void)snprintf(device, sizeof(device), "/dev/%s", name);
	AUTO_CLOSE int disk = open(device, O_RDONLY | O_CLOEXEC);
	if (disk < 0)
		return err_sys(err, "open '%s'", device);
	for (size_t i = 0; i < extents->n && r == 0; i++) {
		r = add_partition(disk, (int)i + 1, &e[i], err);
		(void)snprintf(device, sizeof(device), "/dev/%s%zu", name, i + 1);
		(void)snprintf(to, sizeof(to), "%s/%zu", folder, i);
		if (r == 0)
			r = mount_device(device, "erofs", to, MS_RDONLY, err);
		if (r == 0)
			r = strv_add(ret, to, err);
	}
	return r;
}

int disk_release(uint64_t ms, struct err *err)
{
	struct patience patience = patience_of(ms);

	/* the overlay on it goes with the workload's mount namespace, a little after its last
	 * process */
	while (umount2(DISK_SCRATCH, 0) < 0) {
		if (errno == EINVAL || errno == ENOENT) /* never mounted */
			return 0;
		int code = errno;
		if (!patience_wait(&patience))
			return err_set(err, code, "unmount the writable disk: %s",
				       strerrordesc_np(code));
	}
	return 0;
}
