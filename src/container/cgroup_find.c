/* SPDX-License-Identifier: Apache-2.0 */
/* Which hierarchies this kernel has mounted, and where a process is in them. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/path.h"
#include "container/cgroup_impl.h"

static const char *const controller_names[CTL_MAX] = {
	[CTL_CPU] = "cpu",           [CTL_CPUACCT] = "cpuacct", [CTL_CPUSET] = "cpuset",
	[CTL_MEMORY] = "memory",     [CTL_DEVICES] = "devices", [CTL_FREEZER] = "freezer",
	[CTL_BLKIO] = "blkio",       [CTL_PIDS] = "pids",       [CTL_NET_CLS] = "net_cls",
	[CTL_NET_PRIO] = "net_prio", [CTL_HUGETLB] = "hugetlb", [CTL_RDMA] = "rdma",
};

/* Bits of the controllers named in a list; *name gets the words that mount the hierarchy again. */
static uint32_t controllers_of(char *list, const char *separators, struct buf *name)
{
	uint32_t found = 0;

	for (char *word; (word = strsep(&list, separators));) {
		bool known = false;
		for (size_t c = 0; c < CTL_MAX; c++) {
			if (strcmp(word, controller_names[c]) == 0) {
				found |= 1U << c;
				known = true;
			}
		}
		if (known || strncmp(word, "name=", 5) == 0)
			buf_printf(name, "%s%s", name->len ? "," : "", word);
	}
	return found;
}

/* v2 has other names, and two abilities that are no controllers: freezing, and device programs. */
static uint32_t controllers_v2(const char *mount)
{
	AUTO_BUF struct buf text = BUF_INIT;
	AUTO_BUF struct buf name = BUF_INIT;
	struct err ignored = ERR_INIT; /* a v2 mount that cannot be read offers nothing */
	AUTO_CLOSE int fd = open(mount, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || file_read(fd, "cgroup.controllers", 4096, &text, &ignored) < 0 || !text.data)
		return 0;
	bool io = strstr(text.data, "io ") || strstr(text.data, "io\n");
	uint32_t found = controllers_of(text.data, " \n", &name);
	if (found & 1U << CTL_CPU)
		found |= 1U << CTL_CPUACCT;
	if (io)
		found |= 1U << CTL_BLKIO;
	return found;
}

/* "ID PARENT MAJ:MIN ROOT MOUNT OPTIONS [TAGS…] - TYPE SOURCE SUPEROPTIONS" */
struct mount_line {
	char *mount, *type, *options;
};

static bool split_line(char *line, struct mount_line *ret)
{
	char *dash = strstr(line, " - cgroup");

	if (!dash)
		return false;
	*dash = '\0';
	ret->type = dash + strlen(" - ");
	char *rest = ret->type;
	(void)strsep(&rest, " ");
	(void)strsep(&rest, " ");
	ret->options = rest;
	for (int i = 0; i < 4; i++)
		(void)strsep(&line, " ");
	ret->mount = strsep(&line, " ");
	return ret->mount && ret->options;
}

/* Whether somebody, a service manager, has made the workload's folder below a mount. */
static bool is_made(const char *mount, const char *path)
{
	AUTO_FREE char *whole = path_join(mount, path);

	return whole && access(whole, F_OK) == 0;
}

/* A copy of what is borrowed in `from`; name is taken. */
static int append_hierarchy(struct cgroup *cg, const struct hierarchy *from, struct buf *name,
			    struct err *err)
{
	struct hierarchy *h = &cg->h[cg->n];

	if (cg->n == HIERARCHY_MAX)
		return err_set(err, E2BIG, "more than %d cgroup hierarchies", HIERARCHY_MAX);
	*h = *from;
	h->mount = strdup(from->mount);
	h->name = buf_take(name);
	h->fd = -1;
	if (!h->mount || !h->name) {
		free(h->mount);
		free(h->name);
		return err_set(err, ENOMEM, "out of memory");
	}
	cg->n++;
	return 0;
}

static int add_hierarchy(struct cgroup *cg, struct mount_line *line, bool systemd, struct err *err)
{
	AUTO_BUF struct buf name = BUF_INIT;
	bool v2 = strcmp(line->type, "cgroup2") == 0;
	uint32_t known = 0;

	for (size_t i = 0; i < cg->n; i++)
		known |= cg->h[i].controllers;
	uint32_t found = v2 ? controllers_v2(line->mount)
			    : controllers_of(line->options, ",", &name);
	if (v2 && !(known & (1U << CTL_FREEZER | 1U << CTL_DEVICES)) && (found || !known))
		found |= 1U << CTL_FREEZER | 1U << CTL_DEVICES;
	found &= ~known & cg->wanted;
	bool tree = v2 || strstr(name.data ? name.data : "", "name=systemd");
	if (systemd ? !tree : found == 0 && !(tree && is_made(line->mount, cg->path)))
		return 0;
	return append_hierarchy(
		cg, &(struct hierarchy){.mount = line->mount, .controllers = found, .v2 = v2},
		&name, err);
}

/* v1 first: with both mounted, a controller is where v1 has it. */
int cgroup_find(struct cgroup *cg, bool systemd, struct err *err)
{
	static const char *const types[] = {"cgroup", "cgroup2"};
	AUTO_BUF struct buf text = BUF_INIT;

	int r = file_read(AT_FDCWD, "/proc/self/mountinfo", 16 << 20, &text, err);
	for (size_t t = 0; t < 2 && r == 0; t++) {
		AUTO_FREE char *copy = strdup(text.data ? text.data : "");
		if (!copy)
			return err_set(err, ENOMEM, "out of memory");
		char *rest = copy;
		struct mount_line parts;
		for (char *line; r == 0 && (line = strsep(&rest, "\n"));) {
			if (!split_line(line, &parts))
				continue;
			parts.type = strsep(&parts.type, " ");
			if (strcmp(parts.type, types[t]) == 0)
				r = add_hierarchy(cg, &parts, systemd, err);
		}
	}
	return r;
}

char *cgroup_own_path(void)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct err ignored = ERR_INIT; /* no cgroups: nobody rules */
	const char *found = NULL;

	if (file_read(AT_FDCWD, "/proc/self/cgroup", 65536, &text, &ignored) < 0 || !text.data)
		return NULL;
	char *rest = text.data;
	for (char *line; (line = strsep(&rest, "\n"));) {
		const char *path = strncmp(line, "0::", 3) == 0 ? line + 3 : NULL;
		const char *systemd = strstr(line, ":name=systemd:");
		if (systemd)
			path = systemd + strlen(":name=systemd:");
		if (path && (!found || strcmp(found, "/") == 0))
			found = path;
	}
	return found ? strdup(found) : NULL;
}
