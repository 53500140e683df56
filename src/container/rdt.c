/* SPDX-License-Identifier: Apache-2.0 */
#include "container/rdt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "proto/plan.h"

enum { RESCTRL_MAGIC = 0x7655821 };

int rdt_open(struct err *err)
{
	struct statfs fs;
	AUTO_CLOSE int fd = open("/sys/fs/resctrl", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fstatfs(fd, &fs) < 0 || fs.f_type != RESCTRL_MAGIC)
		return err_set(err, ENOTSUP,
			       "linux.intelRdt: resctrl is not mounted on /sys/fs/resctrl");
	return TAKE_FD(fd);
}

static const char *group_name(const struct plan *plan)
{
	return *plan->rdt_closid ? plan->rdt_closid : plan->id;
}

/* The handle of folder `name`, made when it is missing and may be. */
static int open_group(int in, const char *name, bool make, struct err *err)
{
	if (make && mkdirat(in, name, 0755) < 0 && errno != EEXIST)
		return err_sys(err, "make resctrl group '%s'", name);
	int fd = openat(in, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "resctrl group '%s'", name) : fd;
}

/* One write a line, so that the kernel's refusal is that line's. */
static int put_lines(int group, const char *lines, struct err *err)
{
	int r = 0;

	while (r == 0 && lines && *lines) {
		char line[1024];
		size_t n = strcspn(lines, "\n");
		int len = snprintf(line, sizeof(line), "%.*s\n", (int)n, lines);
		if (len < 0 || (size_t)len >= sizeof(line))
			return err_set(err, E2BIG, "a line of %zu bytes", n);
		r = n > 0 ? file_put(group, "schemata", line, err) : 0;
		if (r < 0)
			return err_wrap(err, "schema '%.*s'", (int)n, lines);
		lines += n + (lines[n] == '\n');
	}
	return r;
}

static int put_task(int group, pid_t pid, struct err *err)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%d", pid);
	return file_put(group, "tasks", text, err);
}

static int enter(int resctrl, const struct plan *plan, pid_t pid, struct err *err)
{
	bool alone = *plan->rdt_closid && !plan->rdt_l3 && !plan->rdt_mb;
	AUTO_CLOSE int group = open_group(resctrl, group_name(plan), !alone, err);
	int r = group < 0 ? group : put_lines(group, plan->rdt_l3, err);

	if (r == 0)
		r = put_lines(group, plan->rdt_mb, err);
	if (r == 0)
		r = put_task(group, pid, err);
	if (r < 0 || !plan->rdt_monitor)
		return r;
	AUTO_CLOSE int all = open_group(group, "mon_groups", false, err);
	AUTO_CLOSE int own = all < 0 ? -1 : open_group(all, plan->id, true, err);
	return own < 0 ? -err->code : put_task(own, pid, err);
}

int rdt_enter(int resctrl, const struct plan *plan, pid_t pid, struct err *err)
{
	int r = enter(resctrl, plan, pid, err);

	return r < 0 ? err_wrap(err, "linux.intelRdt") : 0;
}

static int remove_group(int in, const char *name, struct err *err)
{
	if (unlinkat(in, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return err_sys(err, "remove resctrl group '%s'", name);
	return 0;
}

int rdt_leave(int resctrl, const struct plan *plan, struct err *err)
{
	char path[600];

	if (!*plan->rdt_closid)
		return remove_group(resctrl, plan->id, err);
	if (!plan->rdt_monitor)
		return 0;
	int n = snprintf(path, sizeof(path), "%s/mon_groups/%s", plan->rdt_closid, plan->id);
	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(err, ENAMETOOLONG, "resctrl group '%.64s…'", plan->rdt_closid);
	return remove_group(resctrl, path, err);
}
