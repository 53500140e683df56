/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/loop.h"
#include "base/proc.h"

enum { GONE_MS = 2000 };

static const char *const files[] = {TRACE_MONITOR, TRACE_SHARE};
static const char *const folders[] = {"box", "share"};

int trace_leave(int run_fd, const char *name, pid_t pid, struct err *err)
{
	struct proc_id id;
	char text[PROC_ID_TEXT];

	int r = proc_identify(pid, &id, err);
	if (r < 0)
		return r;
	proc_id_format(&id, text);
	return file_replace(run_fd, name, text, strlen(text), 0600, err);
}

void pidfd_kill(int pidfd)
{
	(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
}

bool pidfd_wait(int pidfd, int timeout_ms)
{
	uint64_t until = clock_ms() + (uint64_t)timeout_ms;

	for (;;) {
		uint64_t now = clock_ms();
		struct pollfd p = {.fd = pidfd, .events = POLLIN};
		int n = poll(&p, 1, now < until ? (int)(until - now) : 0);
		if (n > 0)
			return true;
		if (n == 0 || errno != EINTR)
			return false;
	}
}

int pid_reap(pid_t pid, struct err *err)
{
	return proc_wait(pid, err);
}

static void kill_named(int run_fd, const char *name)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct err gone = ERR_INIT; /* no file, or nobody of that name any more */
	struct proc_id id;

	if (file_read(run_fd, name, PROC_ID_TEXT, &text, &gone) < 0 ||
	    proc_id_parse(text.data, &id, &gone) < 0)
		return;
	AUTO_CLOSE int fd = proc_open(&id, &gone);
	if (fd < 0)
		return;
	pidfd_kill(fd);
	(void)pidfd_wait(fd, GONE_MS);
}

void trace_kill(int run_fd)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		kill_named(run_fd, files[i]);
}

void trace_remove(int run_fd)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		(void)unlinkat(run_fd, files[i], 0);
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		(void)unlinkat(run_fd, folders[i], AT_REMOVEDIR);
}

uint64_t trace_memory(pid_t pid)
{
	char path[64];
	AUTO_BUF struct buf text = BUF_INIT;
	struct err gone = ERR_INIT;

	(void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	if (pid <= 0 || file_read(AT_FDCWD, path, 65536, &text, &gone) < 0 || !text.data)
		return 0;
	const char *pss = strstr(text.data, "\nPss:");
	return pss ? strtoull(pss + 5, NULL, 10) * 1024 : 0;
}
