/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/kmsg.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int log_fd = -1;

void kmsg_open(void)
{
	log_fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
}

void kmsg(const char *fmt, ...)
{
	/* KERN_ERR: shown with `quiet` on the command line too */
	char line[512] = "<3>hull-agent: ";
	size_t n = strlen(line);
	va_list ap;

	if (log_fd < 0)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line + n, sizeof(line) - n, fmt, ap);
	va_end(ap);
	/* a log that takes nothing has nobody to be told of it */
	ssize_t ignored = write(log_fd, line, strlen(line));
	(void)ignored;
}
