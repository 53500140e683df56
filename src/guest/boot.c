/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/boot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "guest/disk.h"
#include "guest/kmsg.h"
#include "guest/modules.h"
#include "guest/sysfs.h"
#include "proto/message.h"

enum { PORT_MS = 30000, HOST_MS = 60000, UNMOUNT_MS = 3000 };

static const struct {
	const char *source, *target, *type;
	unsigned long flags;
	const char *data;
} mounts[] = {
	{"devtmpfs", "dev", "devtmpfs", MS_NOSUID, "mode=0755"},
	{"proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL},
	{"sysfs", "sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL},
	{"cgroup2", "sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL},
	{"tmpfs", "run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755"},
};

/* --- file systems --- */

static int mount_all(struct err *err)
{
	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		if (mkdir(mounts[i].target, 0755) < 0 && errno != EEXIST)
			return err_sys(err, "create '%s'", mounts[i].target);
		if (mount(mounts[i].source, mounts[i].target, mounts[i].type, mounts[i].flags,
			  mounts[i].data) < 0)
			return err_sys(err, "mount '%s'", mounts[i].target);
	}
	return 0;
}

static int leave_initramfs(struct err *err)
{
	if (mkdir("/root", 0755) < 0 && errno != EEXIST)
		return err_sys(err, "create '/root'");
	if (mount("tmpfs", "/root", "tmpfs", 0, "mode=0755") < 0 || chdir("/root") < 0)
		return err_sys(err, "mount the root");
	int r = mount_all(err);
	if (r < 0)
		return r;
	if (umount2("/dev", MNT_DETACH) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 ||
	    chroot(".") < 0 || chdir("/") < 0)
		return err_sys(err, "move to the new root");
	/* nothing that a workload mounts comes back here */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(err, "make the root private");
	return 0;
}

/* A controller that cannot be had will be missed by whoever sets a limit. */
static void enable_controllers(void)
{
	static const char *const wanted[] = {"+cpu", "+memory", "+pids", "+io", "+cpuset"};
	struct err ignored = ERR_INIT;

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		ignored.code = 0;
		if (file_put(AT_FDCWD, "/sys/fs/cgroup/cgroup.subtree_control", wanted[i],
			     &ignored) < 0)
			kmsg("cgroup controller '%s': %s", wanted[i] + 1, ignored.msg);
	}
}

/* A workload that takes too much is ended by its cgroup, as a container is. The kernel of a small
 * machine would refuse to promise it the memory instead. */
static void promise_memory(void)
{
	struct err err = ERR_INIT;

	if (file_put(AT_FDCWD, "/proc/sys/vm/overcommit_memory", "1", &err) < 0)
		kmsg("%s", err.msg);
}

/* What is plugged in is used at once, and three quarters of it for what can be moved away again
 * when it is to be unplugged. */
static void prepare_plugging(void)
{
	static const char *const settings[][2] = {
		{"/sys/module/memory_hotplug/parameters/online_policy", "auto-movable"},
		{"/sys/devices/system/memory/auto_online_blocks", "online"},
	};
	struct err ignored = ERR_INIT; /* a kernel without hot-plug has no driver for it either */

	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		ignored.code = 0;
		if (file_put(AT_FDCWD, settings[i][0], settings[i][1], &ignored) < 0)
			return;
	}
}

void boot_late(void)
{
	prepare_plugging();
	modules_load_late();
}

int boot(struct err *err)
{
	(void)umask(0022);
	(void)reboot(RB_DISABLE_CAD);
	if (mkdir("/dev", 0755) < 0 && errno != EEXIST)
		return err_sys(err, "create '/dev'");
	if (mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755") < 0)
		return err_sys(err, "mount '/dev'");
	kmsg_open();
	modules_load();
	int r = leave_initramfs(err);
	if (r < 0)
		return r;
	enable_controllers();
	promise_memory();
	return 0;
}

/* --- the port --- */

/* A port without a listener tells a hang-up. */
static bool host_listens(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) >= 0 && !(p.revents & POLLHUP);
}

int boot_port(struct err *err)
{
	char name[SYSFS_NAME], path[SYSFS_NAME + 8];

	int r = sysfs_find("/sys/class/virtio-ports", "name", MACHINE_PORT, "port", PORT_MS, name,
			   err);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "/dev/%s", name);
	AUTO_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_sys(err, "open '%s'", path);
	struct patience patience = patience_of(HOST_MS);
	while (!host_listens(fd)) {
		if (!patience_wait(&patience))
			return err_set(err, ETIMEDOUT, "the host does not listen");
	}
	return TAKE_FD(fd);
}

/* --- children of nobody --- */

enum { ZOMBIES_MAX = 64 };

static bool is_zombie_child(pid_t pid)
{
	AUTO_BUF struct buf stat = BUF_INIT;
	struct err ignored = ERR_INIT; /* gone meanwhile */
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (file_read(AT_FDCWD, path, 4096, &stat, &ignored) < 0)
		return false;
	/* the name may hold anything; behind its last parenthesis: " S PPID" */
	const char *p = stat.data ? strrchr(stat.data, ')') : NULL;
	return p && strncmp(p, ") Z 1 ", 6) == 0;
}

static pid_t pid_of(const char *name)
{
	long n = 0;

	for (const char *c = name; *c; c++) {
		if (*c < '0' || *c > '9' || n > 100000000)
			return 0;
		n = n * 10 + (*c - '0');
	}
	return (pid_t)n;
}

void boot_reap(void)
{
	static pid_t seen[ZOMBIES_MAX];
	static size_t n_seen;
	pid_t now[ZOMBIES_MAX];
	size_t n = 0;
	DIR *dir = opendir("/proc");

	if (!dir)
		return;
	for (struct dirent *e; n < ZOMBIES_MAX && (e = readdir(dir));) {
		pid_t pid = pid_of(e->d_name);
		if (pid <= 1 || !is_zombie_child(pid))
			continue;
		bool was = false;
		for (size_t i = 0; i < n_seen; i++)
			was |= seen[i] == pid;
		if (was)
			(void)waitpid(pid, NULL, WNOHANG);
		else
			now[n++] = pid;
	}
	(void)closedir(dir);
	memcpy(seen, now, n * sizeof(now[0]));
	n_seen = n;
}

/* --- the end --- */

_Noreturn void boot_end(bool keep)
{
	struct err err = ERR_INIT;

	(void)kill(-1, SIGKILL);
	if (keep && disk_release(UNMOUNT_MS, &err) < 0)
		kmsg("%s", err.msg);
	if (keep)
		sync();
	(void)reboot(RB_POWER_OFF);
	(void)reboot(RB_AUTOBOOT);
	for (;;)
		(void)pause();
}
