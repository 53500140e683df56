/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/cpus.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"

enum { CPUS_MAX = 64 };

int cpus_keep_online(const char *folder, unsigned n, struct err *err)
{
	AUTO_CLOSE int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	unsigned there = 1;
	int r = 0;

	if (dir < 0)
		return err_sys(err, "open '%s'", folder);
	for (unsigned i = 1; i < CPUS_MAX && r == 0; i++, there++) {
		char path[32];
		(void)snprintf(path, sizeof(path), "cpu%u/online", i);
		if (faccessat(dir, path, F_OK, 0) < 0)
			break;
		r = file_put(dir, path, i < n ? "1" : "0", err);
	}
	if (r == 0 && n > there)
		r = err_set(err, ERANGE, "the machine has %u processors, not %u", there, n);
	return r;
}
