/* SPDX-License-Identifier: Apache-2.0 */
/* What is written for the calling process to procfs, only ever through a handle that is checked to
 * be procfs, and without leaving it: AppArmor's profile, SELinux's label, a time namespace's
 * offsets. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "container/process.h"
#include "proto/plan.h"

/* Like open(2), errno says why not. */
static int open_own(int proc, const char *path)
{
	struct open_how how = {
		.flags = O_WRONLY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
	};
	struct statfs fs;
	AUTO_CLOSE int fd = (int)syscall(SYS_openat2, proc, path, &how, sizeof(how));

	if (fd >= 0 && (fstatfs(fd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)) {
		errno = EPERM;
		return -1;
	}
	return fd < 0 ? -1 : TAKE_FD(fd);
}

static int put_apparmor(int proc, const char *profile, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	/* a folder of its own since security modules may be stacked (5.8) */
	AUTO_CLOSE int own = open_own(proc, "self/attr/apparmor/exec");
	AUTO_CLOSE int shared = own < 0 && errno == ENOENT ? open_own(proc, "self/attr/exec") : -1;
	int fd = own >= 0 ? own : shared;

	if (fd < 0)
		return err_set(err, errno == ENOENT ? ENOTSUP : errno,
			       "apparmorProfile '%s': this host has no AppArmor", profile);
	buf_printf(&text, "exec %s", profile);
	if (buf_check(&text, err) < 0)
		return -err->code;
	if (write(fd, text.data, text.len) < 0)
		return err_sys(err, "apparmorProfile '%s'", profile);
	return 0;
}

static int put_selinux(int proc, const char *label, struct err *err)
{
	AUTO_CLOSE int fd = open_own(proc, "self/attr/exec");

	if (fd < 0)
		return err_set(err, errno == ENOENT ? ENOTSUP : errno,
			       "selinuxLabel '%s': this host has no SELinux", label);
	if (write(fd, label, strlen(label)) < 0)
		return err_sys(err, "selinuxLabel '%s'", label);
	return 0;
}

int process_labels(int proc, const struct plan_process *what, struct err *err)
{
	int r = what->apparmor && *what->apparmor ? put_apparmor(proc, what->apparmor, err) : 0;

	if (r == 0 && what->selinux_label && *what->selinux_label)
		r = put_selinux(proc, what->selinux_label, err);
	return r;
}

int process_time_offsets(int proc, const char *who, const struct list *offsets, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	char path[64];
	const struct plan_time_offset *o = offsets->items;

	if (offsets->n == 0)
		return 0;
	(void)snprintf(path, sizeof(path), "%s/timens_offsets", who);
	for (size_t i = 0; i < offsets->n; i++)
		buf_printf(&text, "%s %" PRId64 " %" PRIu32 "\n",
			   o[i].clock == CLOCK_BOOTTIME ? "boottime" : "monotonic", o[i].seconds,
			   o[i].nanoseconds);
	if (buf_check(&text, err) < 0)
		return -err->code;
	AUTO_CLOSE int fd = open_own(proc, path);
	if (fd < 0)
		return err_sys(err, "timeOffsets: open '/proc/%s'", path);
	if (write(fd, text.data, text.len) < 0)
		return err_sys(err, "timeOffsets");
	return 0;
}
