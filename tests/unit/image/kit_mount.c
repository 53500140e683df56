/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/proc.h"
#include "kit.h"

void need_root(void)
{
	if (geteuid() == 0)
		return;
	printf("1..0 # SKIP needs root, to mount\n");
	exit(0);
}

/* Prints what the kernel has to say about a mount that failed. */
static int mount_failed(int fs, const char *what)
{
	char text[256];
	int code = errno;

	for (ssize_t n; (n = read(fs, text, sizeof(text))) > 0;)
		printf("# kernel: %.*s\n", (int)n, text);
	printf("# %s: %s\n", what, strerrordesc_np(code));
	return -1;
}

/* A loop device on the file, for file systems that EROFS cannot read files of by itself. */
static int loop_of(int fd, char path[32])
{
	AUTO_CLOSE int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int nr = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
	struct loop_config config = {.fd = (uint32_t)fd,
				     .block_size = 4096,
				     .info = {.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR}};

	if (nr < 0)
		return -1;
	(void)snprintf(path, 32, "/dev/loop%d", nr);
	int loop = open(path, O_RDONLY | O_CLOEXEC);
	if (loop >= 0 && ioctl(loop, LOOP_CONFIGURE, &config) < 0)
		auto_close(&loop);
	return loop;
}

static int mount_source(const char *source)
{
	AUTO_CLOSE int fs = fsopen("erofs", FSOPEN_CLOEXEC);
	if (fs < 0)
		return -1;
	if (fsconfig(fs, FSCONFIG_SET_STRING, "source", source, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return mount_failed(fs, "mount the layer");
	int mnt = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	return mnt < 0 ? mount_failed(fs, "mount the layer") : mnt;
}

int mount_layer(int fd)
{
	char source[32];

	(void)snprintf(source, sizeof(source), "/proc/self/fd/%d", fd);
	int mnt = mount_source(source);
	if (mnt >= 0 || errno != ENOTBLK)
		return mnt;
	AUTO_CLOSE int loop = loop_of(fd, source);
	return loop < 0 ? -1 : mount_source(source);
}

int mount_overlay(const int *lowers, size_t n)
{
	AUTO_CLOSE int fs = fsopen("overlay", FSOPEN_CLOEXEC);

	for (size_t i = 0; fs >= 0 && i < n; i++) {
		char path[32];
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", lowers[i]);
		if (fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", path, 0) < 0)
			return mount_failed(fs, "add a layer");
	}
	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return mount_failed(fs, "mount the overlay");
	int mnt = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	return mnt < 0 ? mount_failed(fs, "mount the overlay") : mnt;
}

bool fsck_agrees(int fd)
{
	char path[64];
	struct err err = ERR_INIT;

	if (access("/usr/bin/fsck.erofs", X_OK) < 0)
		return true;
	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
	const char *argv[] = {"/usr/bin/fsck.erofs", path, NULL};
	if (proc_run(argv, NULL, NULL, &err) == 0)
		return true;
	printf("# %s\n", err.msg);
	return false;
}
