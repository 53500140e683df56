/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/loop.h"
#include "machine/console.h"

/* A console on one end of a socket pair; its lines joined by '|'. */
struct bench {
	struct loop *loop;
	struct console *console;
	int guest, host;
	struct buf said;
};

static void bench_done(struct bench *b)
{
	console_free(b->console);
	loop_free(b->loop);
	auto_close(&b->guest);
	auto_close(&b->host);
	buf_done(&b->said);
}

static void line(void *ctx, const char *text)
{
	struct bench *b = ctx;

	buf_printf(&b->said, "%s|", text);
}

static void bench_init(struct bench *b)
{
	struct err err = ERR_INIT;
	int pair[2];

	*b = (struct bench){.guest = -1, .host = -1};
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	b->host = pair[0];
	b->guest = pair[1];
	if (loop_new(&b->loop, &err) < 0 ||
	    console_new(b->loop, b->host, line, b, &b->console, &err) < 0)
		abort();
}

static void guest_says(struct bench *b, const char *text, size_t n)
{
	struct err err = ERR_INIT;

	if (write_all(b->guest, text, n, "console", &err) < 0)
		abort();
}

static void hear(struct bench *b, const char *text)
{
	guest_says(b, text, strlen(text));
	console_drain(b->console);
}

TEST(lines_come_one_by_one_without_their_ends)
{
	AUTO(bench_done) struct bench b;

	bench_init(&b);
	hear(&b, "one\r\n\r\ntwo\nthree");
	EXPECT_STR(b.said.data, "one|two|three|");
	EXPECT_STR(console_last(b.console), "three");
	EXPECT(console_panic(b.console) == NULL);
}

TEST(a_panic_is_told_by_its_own_words)
{
	AUTO(bench_done) struct bench b;

	bench_init(&b);
	hear(&b,
	     "[    2.111109] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0300\n"
	     "[    2.2] Call Trace:\n"
	     "[    2.3] ---[ end Kernel panic - not syncing: something later ]---\n");
	EXPECT_STR(console_panic(b.console), "Attempted to kill init! exitcode=0x0300");
	EXPECT_STR(console_last(b.console), "Call Trace:");
}

TEST(control_characters_reach_nobody)
{
	AUTO(bench_done) struct bench b;

	bench_init(&b);
	guest_says(&b, "\033[2Jx\0y\x7f\n", 9);
	console_drain(b.console);
	EXPECT_STR(b.said.data, "?[2Jx?y?|");
}

TEST(a_line_without_end_is_cut)
{
	AUTO(bench_done) struct bench b;
	char text[1000];

	bench_init(&b);
	memset(text, 'a', sizeof(text));
	guest_says(&b, text, sizeof(text));
	hear(&b, "\nnext\n");
	EXPECT_EQ(b.said.len, CONSOLE_LINE_MAX - 1 + 1 + 5);
	EXPECT_STR(console_last(b.console), "next");
}

static int stop(void *ctx, struct err *err)
{
	(void)err;
	loop_stop(((struct bench *)ctx)->loop);
	return 0;
}

TEST(a_guest_that_floods_is_held_up)
{
	AUTO(bench_done) struct bench b;
	struct err err = ERR_INIT;
	struct timer *timer = NULL;
	char text[2048];
	size_t written = 0;

	bench_init(&b);
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\n';
	int size = 1 << 20;
	EXPECT_EQ(setsockopt(b.guest, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	while (written < 200 * sizeof(text)) {
		ssize_t n = send(b.guest, text, sizeof(text), MSG_DONTWAIT);
		if (n <= 0)
			break;
		written += (size_t)n;
	}
	EXPECT(written > 100 * sizeof(text));
	EXPECT_EQ(loop_timer(b.loop, 50, stop, &b, &timer, &err), 0);
	EXPECT_EQ(loop_run(b.loop, &err), 0);
	/* one window's worth, a line of 2048 being cut to 255 */
	EXPECT(b.said.len > 0);
	EXPECT(b.said.len <= 10 * CONSOLE_LINE_MAX);
	/* and goes on afterwards */
	size_t before = b.said.len;
	EXPECT_EQ(loop_timer(b.loop, 150, stop, &b, &timer, &err), 0);
	EXPECT_EQ(loop_run(b.loop, &err), 0);
	EXPECT(b.said.len > before);
}

TEST(the_end_of_the_line_ends_the_reading)
{
	AUTO(bench_done) struct bench b;
	struct err err = ERR_INIT;
	struct timer *timer = NULL;

	bench_init(&b);
	guest_says(&b, "bye\n", 4);
	auto_close(&b.guest);
	EXPECT_EQ(loop_timer(b.loop, 30, stop, &b, &timer, &err), 0);
	EXPECT_EQ(loop_run(b.loop, &err), 0);
	EXPECT_STR(b.said.data, "bye|");
}
