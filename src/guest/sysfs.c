/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/sysfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/loop.h"

struct patience patience_of(uint64_t ms)
{
	return (struct patience){clock_ms() + ms, 200};
}

bool patience_wait(struct patience *p)
{
	if (clock_ms() >= p->until_ms)
		return false;
	(void)nanosleep(&(struct timespec){.tv_nsec = p->step_us * 1000}, NULL);
	if (p->step_us < 10000)
		p->step_us += p->step_us / 2;
	return true;
}

static bool holds(const char *folder, const char *name, const char *attribute, const char *value)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct err ignored = ERR_INIT; /* a device of another kind */
	char path[256];

	int n = snprintf(path, sizeof(path), "%s/%s/%s", folder, name, attribute);
	if (n < 0 || (size_t)n >= sizeof(path) ||
	    file_read(AT_FDCWD, path, 256, &text, &ignored) < 0 || text.len == 0)
		return false;
	text.data[strcspn(text.data, "\n")] = '\0';
	return strcasecmp(text.data, value) == 0;
}

static bool look(const char *folder, const char *attribute, const char *value, char ret[SYSFS_NAME])
{
	DIR *dir = opendir(folder);
	bool found = false;

	if (!dir)
		return false;
	for (struct dirent *e; !found && (e = readdir(dir));) {
		size_t n = strlen(e->d_name);
		if (e->d_name[0] == '.' || n >= SYSFS_NAME)
			continue;
		found = holds(folder, e->d_name, attribute, value);
		if (found)
			memcpy(ret, e->d_name, n + 1);
	}
	(void)closedir(dir);
	return found;
}

int sysfs_find(const char *folder, const char *attribute, const char *value, const char *what,
	       uint64_t ms, char ret[SYSFS_NAME], struct err *err)
{
	struct patience patience = patience_of(ms);

	while (!look(folder, attribute, value, ret)) {
		if (!patience_wait(&patience))
			return err_set(err, ENODEV, "the machine has no %s '%s'", what, value);
	}
	return 0;
}
