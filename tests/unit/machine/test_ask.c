/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "machine/ask.h"

/* A keeper's end; the test is the monitor. What is told is joined by '|'. */
struct bench {
	struct loop *loop;
	struct asker *asker;
	int monitor, keeper;
	struct buf told;
	bool frees; /* the asker, when it is told something */
	bool asks_again;
	char request[256];
};

static void bench_done(struct bench *b)
{
	asker_free(b->asker);
	loop_free(b->loop);
	auto_close(&b->monitor);
	auto_close(&b->keeper);
	buf_done(&b->told);
}

static void said(void *ctx, const char *line)
{
	struct bench *b = ctx;

	buf_printf(&b->told, "said %s|", line);
}

static void answered(void *ctx, const struct err *failure, const char *answer)
{
	struct bench *b = ctx;

	if (failure)
		buf_printf(&b->told, "%d %s|", failure->code, failure->msg);
	else
		buf_printf(&b->told, "%s|", answer);
	if (b->frees)
		asker_free(TAKE_PTR(b->asker));
	else if (b->asks_again)
		asker_ask(b->asker, &(struct ask_request){.text = "again"}, answered, b);
}

static void bench_init(struct bench *b)
{
	struct err err = ERR_INIT;
	int pair[2];

	*b = (struct bench){0};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	b->keeper = pair[0];
	b->monitor = pair[1];
	if (loop_new(&b->loop, &err) < 0 ||
	    asker_new(b->loop, b->keeper, said, b, &b->asker, &err) < 0)
		abort();
	buf_str(&b->told, "");
}

static int stop(void *ctx, struct err *err)
{
	loop_stop(ctx);
	return 0;
}

static void run(struct bench *b, uint64_t ms)
{
	struct err err = ERR_INIT;
	struct timer *timer;

	if (loop_timer(b->loop, ms, stop, b->loop, &timer, &err) < 0 || loop_run(b->loop, &err) < 0)
		abort();
}

static void monitor_says(struct bench *b, const char *text)
{
	if (send(b->monitor, text, strlen(text), MSG_NOSIGNAL) < 0)
		abort();
	run(b, 0);
}

static void ask(struct bench *b, const char *request)
{
	asker_ask(b->asker, &(struct ask_request){.text = request}, answered, b);
}

/* What the monitor is asked next; "" when nothing. */
static const char *asked(struct bench *b)
{
	ssize_t n = recv(b->monitor, b->request, sizeof(b->request) - 1, MSG_DONTWAIT);

	b->request[n < 0 ? 0 : n] = '\0';
	return b->request;
}

TEST(each_answer_comes_to_whom_it_is_for)
{
	AUTO(bench_done) struct bench b;

	bench_init(&b);
	ask(&b, "report");
	ask(&b, "memory 5");
	EXPECT_STR(asked(&b), "1 report");
	EXPECT_STR(asked(&b), "2 memory 5");
	monitor_says(&b, "2 ok ");
	monitor_says(&b, "1 ok lines\nof it");
	EXPECT_STR(b.told.data, "|lines\nof it|");
}

TEST(a_failure_is_told_in_the_monitors_words)
{
	AUTO(bench_done) struct bench b;

	bench_init(&b);
	ask(&b, "sing");
	monitor_says(&b, "1 error 'sing' is no request");
	EXPECT_STR(b.told.data, "5 'sing' is no request|");
}

TEST(what_is_said_unasked_is_told_and_cleaned)
{
	AUTO(bench_done) struct bench b;

	bench_init(&b);
	ask(&b, "report");
	monitor_says(&b, "poweroff exits=1\n");
	monitor_says(&b, "1 ok \033[2J\a\n");
	EXPECT_STR(b.told.data, "said poweroff exits=1|?[2J?\n|");
}

TEST(a_silent_monitor_is_waited_for_so_long_only)
{
	AUTO(bench_done) struct bench b;

	bench_init(&b);
	asker_ask(b.asker, &(struct ask_request){.text = "report", .patience_ms = 1}, answered, &b);
	run(&b, 20);
	EXPECT_STR(b.told.data, "110 the monitor does not answer|");
	monitor_says(&b, "1 ok late"); /* nobody's any more */
	EXPECT_STR(b.told.data, "110 the monitor does not answer|");
}

TEST(a_monitor_that_talks_nonsense_is_heard_no_more)
{
	AUTO(bench_done) struct bench b;

	bench_init(&b);
	ask(&b, "report");
	for (int i = 0; i <= ASK_NOISE_MAX; i++)
		monitor_says(&b, i % 2 ? "99 ok lie" : "1 perhaps");
	EXPECT_STR(b.told.data, "104 the monitor talks nonsense|");
	ask(&b, "report");
	EXPECT_STR(b.told.data, "104 the monitor talks nonsense|104 the monitor listens no more|");
}

TEST(a_monitor_that_hangs_up_fails_what_it_was_asked)
{
	AUTO(bench_done) struct bench b;

	bench_init(&b);
	ask(&b, "one");
	ask(&b, "two");
	auto_close(&b.monitor);
	run(&b, 0);
	EXPECT_STR(b.told.data, "104 the monitor has gone|104 the monitor has gone|");
}

TEST(a_last_word_is_read_at_the_end)
{
	AUTO(bench_done) struct bench b;

	bench_init(&b);
	ask(&b, "report");
	if (send(b.monitor, "reset exits=2\n", 14, 0) < 0)
		abort();
	auto_close(&b.monitor);
	asker_end(b.asker);
	EXPECT_STR(b.told.data, "said reset exits=2|104 the monitor has gone|");
}

TEST(whoever_is_told_may_free_the_asker)
{
	AUTO(bench_done) struct bench b;

	bench_init(&b);
	b.frees = true;
	ask(&b, "one");
	ask(&b, "two");
	monitor_says(&b, "1 ok yes");
	EXPECT_STR(b.told.data, "yes|");
	EXPECT(b.asker == NULL);
}

TEST(whoever_is_told_of_the_end_may_free_the_asker)
{
	AUTO(bench_done) struct bench b;

	bench_init(&b);
	b.frees = true;
	ask(&b, "one");
	ask(&b, "two");
	asker_end(b.asker);
	EXPECT_STR(b.told.data, "104 the monitor has gone|");
}

TEST(whoever_is_told_may_ask_again)
{
	AUTO(bench_done) struct bench b;

	bench_init(&b);
	b.asks_again = true;
	ask(&b, "one");
	monitor_says(&b, "1 ok yes");
	EXPECT_STR(asked(&b), "1 one");
	EXPECT_STR(asked(&b), "2 again");
	b.asks_again = false;
}

TEST(so_many_requests_are_on_their_way_and_no_more)
{
	AUTO(bench_done) struct bench b;

	bench_init(&b);
	for (int i = 0; i < ASKS_MAX; i++)
		ask(&b, "report");
	EXPECT_STR(b.told.data, "");
	ask(&b, "report");
	EXPECT_STR(b.told.data, "16 the monitor has too much to answer|");
}

TEST(descriptors_go_with_a_request)
{
	AUTO(bench_done) struct bench b;
	int fds[2];
	size_t n_fds = 2;

	bench_init(&b);
	int sent[ASK_FDS_MAX + 1] = {b.keeper, b.monitor};
	struct ask_request request = {.text = "disk", .fds = sent, .n_fds = 2};
	asker_ask(b.asker, &request, answered, &b);
	EXPECT_EQ(fd_receive(b.monitor, b.request, sizeof(b.request), fds, &n_fds), 6);
	EXPECT_EQ(n_fds, 2);
	auto_close(&fds[0]);
	auto_close(&fds[1]);
	request.n_fds = ASK_FDS_MAX + 1;
	asker_ask(b.asker, &request, answered, &b);
	EXPECT_STR(b.told.data, "7 too many descriptors for one request|");
}
