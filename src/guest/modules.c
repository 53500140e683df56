/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The initramfs is memory, and out of reach once it is left: each module is unlinked as soon as it
 * is loaded or open. One that does not load may still not be needed: what it was for will be missed
 * by name.
 */
#include "guest/modules.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "guest/kmsg.h"

enum { LIST_MAX = 64 * 1024, LATE_MAX = 16 };

static struct late {
	int fd;
	char name[64];
} late[LATE_MAX];

static size_t n_late;

/* Opens a module, the last time anybody can: -1 when it is not there. */
static int take(const char *name)
{
	char path[300];

	(void)snprintf(path, sizeof(path), "/modules/%s", name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		kmsg("open module '%s': %s", name, strerrordesc_np(errno));
	(void)unlink(path);
	return fd;
}

static void load(int module, const char *name)
{
	AUTO_CLOSE int fd = module;

	if (fd >= 0 && syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST)
		kmsg("load module '%s': %s", name, strerrordesc_np(errno));
}

static void load_now(const char *name)
{
	load(take(name), name);
}

static void keep(const char *name)
{
	if (n_late == LATE_MAX)
		return;
	struct late *l = &late[n_late++];
	l->fd = take(name);
	(void)snprintf(l->name, sizeof(l->name), "%s", name);
}

/* Hands fn each name in the list; none when all is built in. */
static void each(const char *list, void (*fn)(const char *name))
{
	AUTO_BUF struct buf names = BUF_INIT;
	struct err ignored = ERR_INIT; /* no list */

	if (file_read(AT_FDCWD, list, LIST_MAX, &names, &ignored) < 0)
		return;
	for (char *line = names.data, *next; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (*line)
			fn(line);
	}
}

void modules_load(void)
{
	each("/modules/order", load_now);
	each("/modules/late", keep);
}

void modules_load_late(void)
{
	for (size_t i = 0; i < n_late; i++)
		load(late[i].fd, late[i].name);
	n_late = 0;
}
