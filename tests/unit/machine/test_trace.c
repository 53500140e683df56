/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "machine/machine.h"
#include "machine/trace.h"

struct bench {
	char dir[40];
	int fd;
	pid_t pid; /* a child that waits to be killed */
};

static void bench_done(struct bench *b)
{
	if (b->pid > 0) {
		(void)kill(b->pid, SIGKILL);
		(void)waitpid(b->pid, NULL, 0);
	}
	trace_remove(b->fd);
	auto_close(&b->fd);
	(void)rmdir(b->dir);
}

static void bench_init(struct bench *b)
{
	*b = (struct bench){.dir = "/tmp/hull-trace-XXXXXX"};
	if (!mkdtemp(b->dir))
		abort();
	b->fd = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	b->pid = fork();
	if (b->pid == 0) {
		for (;;)
			(void)pause();
	}
}

TEST(a_process_left_behind_is_found_and_killed)
{
	AUTO(bench_done) struct bench b;
	struct err err = ERR_INIT;

	bench_init(&b);
	EXPECT_EQ(trace_leave(b.fd, TRACE_MONITOR, b.pid, &err), 0);
	trace_kill(b.fd);
	EXPECT_EQ(pid_reap(b.pid, &err), 128 + SIGKILL);
	b.pid = 0;
}

TEST(a_stranger_with_the_same_pid_is_left_alone)
{
	AUTO(bench_done) struct bench b;
	struct err err = ERR_INIT;
	char text[64];

	bench_init(&b);
	(void)snprintf(text, sizeof(text), "%d 1 00000000-0000-0000-0000-000000000000\n", b.pid);
	EXPECT_EQ(file_replace(b.fd, TRACE_MONITOR, text, strlen(text), 0600, &err), 0);
	EXPECT_EQ(file_replace(b.fd, TRACE_SHARE, "garbage", 7, 0600, &err), 0);
	trace_kill(b.fd);
	AUTO_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, b.pid, 0);
	EXPECT(!pidfd_wait(pidfd, 20));
	pidfd_kill(pidfd);
	EXPECT(pidfd_wait(pidfd, 2000));
}

TEST(repair_removes_the_files_and_folders_and_may_be_repeated)
{
	AUTO(bench_done) struct bench b;
	struct err err = ERR_INIT;

	bench_init(&b);
	EXPECT_EQ(trace_leave(b.fd, TRACE_SHARE, b.pid, &err), 0);
	EXPECT_EQ(mkdirat(b.fd, "box", 0700), 0);
	EXPECT_EQ(machine_isolation.repair("hull-unit-test-nobody", b.fd, &err), 0);
	EXPECT_EQ(machine_isolation.repair("hull-unit-test-nobody", b.fd, &err), 0);
	EXPECT(faccessat(b.fd, TRACE_SHARE, F_OK, 0) < 0);
	EXPECT(faccessat(b.fd, "box", F_OK, 0) < 0);
	EXPECT_EQ(machine_isolation.repair("../../etc", b.fd, &err), -EINVAL);
}

TEST(memory_is_counted_for_processes_that_run)
{
	EXPECT(trace_memory(getpid()) > 100 * 1024);
	EXPECT_EQ(trace_memory(0), 0);
}
