/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "engine/keeper_stdio.h"
#include "proto/isolation.h"

/* A loop, streams, and a child that plays the workload. */
struct bench {
	struct loop *loop;
	struct stdio *s;
	struct err err;
	bool drained;
};

static void bench_done(struct bench *b)
{
	stdio_free(b->s);
	loop_free(b->loop);
}
#define AUTO_BENCH AUTO(bench_done)

static bool bench_init(struct bench *b, bool open_stdin)
{
	(void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	if (loop_new(&b->loop, &b->err) < 0)
		return false;
	const struct stdio_config c = {.loop = b->loop,
				       .open_stdin = open_stdin,
				       .stdin_once = open_stdin};
	return stdio_new(&b->s, &c, &b->err) == 0;
}

/* Runs `script` with the streams' ends; -1 on failure. */
static pid_t workload(struct bench *b, const char *script)
{
	struct process_io io;

	if (stdio_open(b->s, &io, &b->err) < 0)
		return -1;
	pid_t pid = fork();
	if (pid == 0) {
		int in = io.in >= 0 ? io.in : open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (dup2(in, 0) < 0 || dup2(io.out, 1) < 0 || dup2(io.err, 2) < 0)
			_exit(125);
		(void)signal(SIGPIPE, SIG_DFL);
		execl("/bin/sh", "sh", "-c", script, (char *)NULL);
		_exit(126);
	}
	return pid > 0 && stdio_started(b->s, -1, &b->err) == 0 ? pid : -1;
}

static void drained(void *ctx)
{
	struct bench *b = ctx;

	b->drained = true;
	loop_stop(b->loop);
}

struct ending {
	struct bench *b;
	pid_t pid;
	int status;
};

static int look(void *ctx, struct err *err)
{
	struct ending *e = ctx;
	struct timer *again;

	if (waitpid(e->pid, &e->status, WNOHANG) == e->pid) {
		stdio_finish(e->b->s, drained, e->b);
		return 0;
	}
	return loop_timer(e->b->loop, 2, look, e, &again, err);
}

/* Runs the loop until the child has ended and its output is handed on. Returns its wait status, -1
 * on trouble. */
static int run_to_end(struct bench *b, pid_t pid)
{
	struct ending e = {.b = b, .pid = pid, .status = -1};
	struct timer *t;

	if (loop_timer(b->loop, 0, look, &e, &t, &b->err) < 0 || loop_run(b->loop, &b->err) < 0)
		return -1;
	return e.status;
}

/* A child that reads fd slowly to its end and exits 0 when it held exactly `want` bytes. */
static pid_t slow_reader(int fd, size_t want, unsigned pause_us)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	char chunk[8192];
	size_t got = 0;
	ssize_t n;
	if (dup2(fd, 0) < 0 || close_range(3, ~0U, 0) < 0)
		_exit(2);
	while ((n = read(0, chunk, sizeof(chunk))) > 0) {
		got += (size_t)n;
		if (pause_us)
			(void)usleep(pause_us);
	}
	_exit(got == want ? 0 : 1);
}

static int status_of(pid_t pid)
{
	int st = -1;

	return waitpid(pid, &st, 0) == pid ? st : -1;
}

TEST(fifty_megabytes_reach_a_slow_pipe_whole)
{
	AUTO_BENCH struct bench b = {0};
	struct attachment *a;
	int p[2];

	EXPECT(bench_init(&b, false));
	EXPECT_EQ(pipe2(p, O_CLOEXEC), 0);
	pid_t reader = slow_reader(p[0], 50000000, 10);
	(void)close(p[0]);
	EXPECT_EQ(stdio_attach(b.s, &(struct attach_fds){-1, p[1], -1}, true, &a, &b.err), 0);
	pid_t pid = workload(&b, "head -c 50000000 /dev/zero");
	EXPECT_EQ(run_to_end(&b, pid), 0);
	EXPECT(b.drained);
	stdio_detach(b.s, &a);
	EXPECT_EQ(status_of(reader), 0);
}

TEST(two_clients_both_get_everything)
{
	AUTO_BENCH struct bench b = {0};
	struct attachment *a1, *a2;
	int p[2], q[2];

	EXPECT(bench_init(&b, false));
	EXPECT_EQ(pipe2(p, O_CLOEXEC), 0);
	EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, q), 0);
	pid_t fast = slow_reader(p[0], 3000000, 0);
	pid_t slow = slow_reader(q[0], 3000000, 50);
	(void)close(p[0]);
	(void)close(q[0]);
	EXPECT_EQ(stdio_attach(b.s, &(struct attach_fds){-1, p[1], -1}, false, &a1, &b.err), 0);
	EXPECT_EQ(stdio_attach(b.s, &(struct attach_fds){-1, q[1], -1}, false, &a2, &b.err), 0);
	EXPECT_EQ(run_to_end(&b, workload(&b, "head -c 3000000 /dev/zero")), 0);
	stdio_detach(b.s, &a1);
	stdio_detach(b.s, &a2);
	EXPECT_EQ(status_of(fast), 0);
	EXPECT_EQ(status_of(slow), 0);
}

TEST(the_flags_of_a_clients_pipe_are_left_alone)
{
	AUTO_BENCH struct bench b = {0};
	struct attachment *a;
	int p[2];

	EXPECT(bench_init(&b, false));
	EXPECT_EQ(pipe2(p, O_CLOEXEC), 0);
	AUTO_CLOSE int mine = dup(p[1]);
	AUTO_CLOSE int reader = p[0];
	EXPECT_EQ(stdio_attach(b.s, &(struct attach_fds){-1, p[1], -1}, true, &a, &b.err), 0);
	EXPECT_EQ(run_to_end(&b, workload(&b, "echo hello")), 0);
	EXPECT_EQ(fcntl(mine, F_GETFL) & O_NONBLOCK, 0);
	char text[16] = "";
	EXPECT_EQ(read(reader, text, sizeof(text) - 1), 6);
	EXPECT_STR(text, "hello\n");
}

TEST(a_foreground_client_that_closes_breaks_the_pipe_of_the_workload)
{
	AUTO_BENCH struct bench b = {0};
	struct attachment *a;
	int p[2];

	EXPECT(bench_init(&b, false));
	EXPECT_EQ(pipe2(p, O_CLOEXEC), 0);
	(void)close(p[0]);
	EXPECT_EQ(stdio_attach(b.s, &(struct attach_fds){-1, p[1], -1}, true, &a, &b.err), 0);
	int st = run_to_end(&b, workload(&b, "exec yes"));
	EXPECT(WIFSIGNALED(st));
	EXPECT_EQ(WTERMSIG(st), SIGPIPE);
}

TEST(a_background_client_that_closes_harms_nobody)
{
	AUTO_BENCH struct bench b = {0};
	struct attachment *a;
	int p[2];

	EXPECT(bench_init(&b, false));
	EXPECT_EQ(pipe2(p, O_CLOEXEC), 0);
	(void)close(p[0]);
	EXPECT_EQ(stdio_attach(b.s, &(struct attach_fds){-1, p[1], -1}, false, &a, &b.err), 0);
	EXPECT_EQ(run_to_end(&b, workload(&b, "head -c 1000000 /dev/zero")), 0);
}

TEST(input_and_its_end_reach_the_workload)
{
	AUTO_BENCH struct bench b = {0};
	struct attachment *a;
	int in[2];

	EXPECT(bench_init(&b, true));
	EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in), 0);
	pid_t feeder = fork();
	if (feeder == 0) {
		char chunk[10000];
		memset(chunk, 'x', sizeof(chunk));
		(void)close(in[1]);
		for (int i = 0; i < 1000; i++) {
			for (size_t at = 0; at < sizeof(chunk);) {
				ssize_t n = write(in[0], chunk + at, sizeof(chunk) - at);
				if (n < 0)
					_exit(1);
				at += (size_t)n;
			}
		}
		_exit(0);
	}
	(void)close(in[0]);
	EXPECT_EQ(stdio_attach(b.s, &(struct attach_fds){in[1], -1, -1}, true, &a, &b.err), 0);
	int st = run_to_end(&b, workload(&b, "test $(wc -c) = 10000000"));
	EXPECT_EQ(st, 0);
	EXPECT_EQ(status_of(feeder), 0);
}

TEST(without_stdin_the_workload_reads_nothing_and_the_client_is_told)
{
	AUTO_BENCH struct bench b = {0};
	struct attachment *a;
	int in[2];

	EXPECT(bench_init(&b, false));
	EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in), 0);
	AUTO_CLOSE int mine = in[0];
	EXPECT_EQ(stdio_attach(b.s, &(struct attach_fds){in[1], -1, -1}, true, &a, &b.err), 0);
	EXPECT_EQ(run_to_end(&b, workload(&b, "test $(wc -c) = 0")), 0);
	EXPECT_EQ(write(mine, "x", 1) < 0 ? errno : 0, EPIPE);
}

static int detach_soon(void *ctx, struct err *err)
{
	struct attachment **a = ctx;

	stdio_detach((struct stdio *)a[1], &a[0]);
	return 0;
}

TEST(a_client_that_is_stuck_and_then_leaves_lets_the_rest_go_on)
{
	AUTO_BENCH struct bench b = {0};
	struct timer *t;
	int p[2];

	EXPECT(bench_init(&b, false));
	EXPECT_EQ(pipe2(p, O_CLOEXEC), 0);
	AUTO_CLOSE int unread = p[0];
	struct attachment *pair[2] = {NULL, (struct attachment *)b.s};
	EXPECT_EQ(stdio_attach(b.s, &(struct attach_fds){-1, p[1], -1}, false, &pair[0], &b.err),
		  0);
	EXPECT_EQ(loop_timer(b.loop, 50, detach_soon, pair, &t, &b.err), 0);
	EXPECT_EQ(run_to_end(&b, workload(&b, "head -c 2000000 /dev/zero")), 0);
	EXPECT(b.drained);
	EXPECT(unread >= 0);
}

TEST(streams_can_be_opened_again_for_the_next_life)
{
	AUTO_BENCH struct bench b = {0};
	struct attachment *a;
	int p[2];
	char text[16] = "";

	EXPECT(bench_init(&b, false));
	EXPECT_EQ(pipe2(p, O_CLOEXEC), 0);
	AUTO_CLOSE int reader = p[0];
	EXPECT_EQ(stdio_attach(b.s, &(struct attach_fds){-1, p[1], -1}, false, &a, &b.err), 0);
	EXPECT_EQ(run_to_end(&b, workload(&b, "echo 1")), 0);
	stdio_reset(b.s);
	EXPECT_EQ(run_to_end(&b, workload(&b, "echo 2")), 0);
	EXPECT_EQ(read(reader, text, sizeof(text) - 1), 4);
	EXPECT_STR(text, "1\n2\n");
}
