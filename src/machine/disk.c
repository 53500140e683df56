/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/proc.h"
#include "proto/message.h"
#include "proto/plan.h"

enum { SECTOR = 512 };

#define MIB (1ULL << 20)

/*
 * The file is new, so all of it reads as zeros: nothing has to be zeroed, now or by a thread of the
 * guest later, and 64 GiB take 5 ms and 0.6 MB.
 */
static int format(const char *path, uint64_t size, bool throwaway, struct err *err)
{
	const char *journal = size >= 1024 * MIB ? "size=32" : "size=4";
	bool none = throwaway || size < 128 * MIB;
	const char *argv[] = {
		"mke2fs",
		"-q",
		"-F",
		"-t",
		"ext4",
		"-m",
		"0",
		"-E",
		"assume_storage_prezeroed=1,nodiscard,packed_meta_blocks=1,root_owner=0:0",
		"-O",
		none ? "^resize_inode,^has_journal" : "^resize_inode",
		none ? path : "-J",
		none ? NULL : journal,
		path,
		NULL};

	return proc_run(argv, NULL, NULL, err);
}

static int make(const char *path, uint64_t size, bool throwaway, struct err *err)
{
	enum { NOBODY_FILLS_GIB = 64 };

	if (size == 0)
		size = NOBODY_FILLS_GIB * MIB * 1024;
	size = (size + 4095) / 4096 * 4096;
	if (size < MIB)
		return err_set(err, EINVAL, "a writable disk of less than 1 MiB cannot work");
	AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, "create disk '%s'", path);
	int r = ftruncate(fd, (off_t)size) < 0 ? err_sys(err, "size disk '%s'", path)
					       : format(path, size, throwaway, err);
	if (r < 0)
		(void)unlink(path);
	return r < 0 ? r : TAKE_FD(fd);
}

int disk_scratch(const char *path, uint64_t size, bool throwaway, struct err *err)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 && errno == ENOENT)
		return make(path, size, throwaway, err);
	return fd < 0 ? err_sys(err, "open disk '%s'", path) : fd;
}

int disk_layers(const struct plan *plan, struct machine_setup *setup, uint64_t **ret_sizes,
		struct err *err)
{
	const struct strv *layers = &plan->root.layers;
	uint64_t offset = 0;
	AUTO_FREE uint64_t *sizes = calloc(layers->n + 1, sizeof(*sizes));

	if (!sizes)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < layers->n; i++) {
		struct stat st;
		if (stat(layers->v[i], &st) < 0)
			return err_sys(err, "layer '%s'", layers->v[i]);
		if (!S_ISREG(st.st_mode) || st.st_size < SECTOR || st.st_size % SECTOR != 0)
			return err_set(err, EINVAL, "layer '%s' is no whole EROFS file",
				       layers->v[i]);
		struct machine_extent *e = list_add(&setup->layers, &machine_extent_record);
		if (!e)
			return err_set(err, ENOMEM, "out of memory");
		sizes[i] = (uint64_t)st.st_size;
		*e = (struct machine_extent){.offset = offset, .size = sizes[i]};
		offset += sizes[i];
	}
	*ret_sizes = TAKE_PTR(sizes);
	return 0;
}

int disk_tap(const char *name, bool many_queues, struct err *err)
{
	struct ifreq ifr = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR |
						 (many_queues ? IFF_MULTI_QUEUE : 0))};

	if (strlen(name) >= sizeof(ifr.ifr_name))
		return err_set(err, EINVAL, "'%.32s' is no interface's name", name);
	memcpy(ifr.ifr_name, name, strlen(name));
	AUTO_CLOSE int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_sys(err, "open /dev/net/tun");
	if (ioctl(fd, TUNSETIFF, &ifr) < 0)
		return err_sys(err, "open interface '%s'", name);
	return TAKE_FD(fd);
}
