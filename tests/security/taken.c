/* SPDX-License-Identifier: Apache-2.0 */
#include "taken.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/reboot.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

enum { FDS = 64, STRANGER = 2 /* a pid; in a box there is none but its own, which is 1 */ };

/* --- what takes more than one call; all answer whether it was reached --- */

static bool reach(int fd, const void *address, socklen_t n)
{
	bool reached = fd >= 0 && connect(fd, address, n) == 0;

	if (fd >= 0)
		(void)close(fd);
	return reached;
}

static bool listener(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	memcpy(at.sun_path + 1, TAKEN_LISTENER, sizeof(TAKEN_LISTENER) - 1);
	return reach(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), &at,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof(TAKEN_LISTENER)));
}

/* A datagram needs nobody who answers: a way out is enough. */
static bool network(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(53)};

	at.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1, of nobody (RFC 5737) */
	return reach(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), &at, sizeof(at));
}

static bool new_machine(void)
{
	for (int fd = 0; fd < FDS; fd++) {
		if (ioctl(fd, KVM_CREATE_VM, 0) >= 0)
			return true;
	}
	return false;
}

static bool child(void)
{
	long pid = syscall(SYS_fork);

	if (pid == 0)
		_exit(0);
	return pid > 0;
}

static bool all_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{~0U, ~0U, 0}, {0x1ff, 0x1ff, 0}};

	return syscall(SYS_capset, &head, data) == 0;
}

static bool ring(void)
{
	struct io_uring_params p = {0};

	return syscall(SYS_io_uring_setup, 1, &p) >= 0;
}

static bool handle(void)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} at = {.h.handle_bytes = MAX_HANDLE_SZ};
	int mount_id;

	return syscall(SYS_name_to_handle_at, AT_FDCWD, "/", &at.h, &mount_id, 0) == 0;
}

static const struct {
	const char *what;
	bool (*fn)(void);
	bool box; /* has to fail without a filter, too */
} deeds[] = {
	{"a listener of the host", listener, true},
	{"a way into the network", network, true},
	{"more capabilities", all_capabilities, true},
	{"another machine", new_machine, false},
	{"a child", child, false},
	{"an io_uring", ring, false},
	{"a file's handle", handle, false},
};

/* --- files, from where it stands and from each of its descriptors --- */

static const struct {
	const char *path;
	int flags;
} files[] = {
	{"/etc/passwd", O_RDONLY},
	{"/proc/self/status", O_RDONLY},
	{"/sys/kernel", O_RDONLY},
	{"/dev/kvm", O_RDONLY},
	{"/../../../etc/passwd", O_RDONLY},
	{"../../sysrq-trigger", O_WRONLY},
	{"../../sys/kernel/core_pattern", O_WRONLY},
	{"../../1/status", O_RDONLY},
	{"../../1/root", O_PATH},
	{"../status", O_RDONLY},
	{"../root/etc/passwd", O_RDONLY},
	{"../../../etc/passwd", O_RDONLY},
	{"/taken", O_WRONLY | O_CREAT},
};

/* --- single calls --- */

#define AT(text) ((intptr_t)(text))

static const struct {
	const char *what;
	long nr;
	intptr_t args[5];
	bool box;
} calls[] = {
	{"a device of the host's",
	 SYS_mknodat,
	 {AT_FDCWD, AT("/0/device"), S_IFCHR | 0600, 0x101},
	 true},
	{"a file system", SYS_mount, {AT("proc"), AT("/"), AT("proc")}, true},
	{"a mount less", SYS_umount2, {AT("/"), MNT_DETACH}, true},
	{"a root", SYS_chroot, {AT(".")}, true},
	{"a mount namespace", SYS_unshare, {CLONE_NEWNS}, true},
	{"a user namespace", SYS_unshare, {CLONE_NEWUSER}, false},
	{"a process to trace", SYS_ptrace, {PTRACE_SEIZE, STRANGER}, true},
	{"a process to signal", SYS_kill, {-1, 0}, true},
	{"a process to hold", SYS_pidfd_open, {STRANGER}, true},
	{"a program", SYS_execve, {AT("/bin/sh")}, true},
	{"ports", SYS_iopl, {3}, true},
	{"the keyboard's reboot",
	 SYS_reboot,
	 {(intptr_t)LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_CAD_OFF},
	 true},
	{"raw frames", SYS_socket, {AF_PACKET, SOCK_RAW}, true},
	{"a socket", SYS_socket, {AF_UNIX, SOCK_STREAM}, false},
	{"an anonymous file", SYS_memfd_create, {AT("taken")}, false},
	{"to be dumped", SYS_prctl, {4 /* PR_SET_DUMPABLE */, 1}, false},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool opens(const char *path, int flags)
{
	bool opened = openat(AT_FDCWD, path, flags | O_CLOEXEC, 0600) >= 0;

	for (int fd = 0; fd < FDS && !opened; fd++)
		opened = openat(fd, path, flags | O_CLOEXEC, 0600) >= 0;
	return opened;
}

size_t taken_try(bool filtered, const char **reached)
{
	const char *first = NULL;
	size_t n = 0;

	for (size_t i = 0; i < COUNT(files); i++, n++) {
		if (opens(files[i].path, files[i].flags) && !first)
			first = files[i].path;
	}
	for (size_t i = 0; i < COUNT(calls); i++) {
		const intptr_t *a = calls[i].args;
		if (!filtered && !calls[i].box)
			continue;
		n++;
		if (syscall(calls[i].nr, a[0], a[1], a[2], a[3], a[4]) >= 0 && !first)
			first = calls[i].what;
	}
	for (size_t i = 0; i < COUNT(deeds); i++) {
		if (!filtered && !deeds[i].box)
			continue;
		n++;
		if (deeds[i].fn() && !first)
			first = deeds[i].what;
	}
	*reached = first;
	return n;
}
