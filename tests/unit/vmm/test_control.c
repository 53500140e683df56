/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "vmm/control.h"

/* A monitor that knows a few verbs; `keeper` is the other end of its control. */
struct bench {
	struct loop *loop;
	int monitor, keeper;
	int kept; /* the descriptor that "keep" took; -1 */
};

/* Large, and one at a time. */
static struct control control;
static char answer[CONTROL_ANSWER_MAX + 64];

static int echo(void *ctx, struct control_call *call, struct err *err)
{
	control_say(call, "[%s] %zu", call->args, call->n_fds);
	return 0;
}

static int keep(void *ctx, struct control_call *call, struct err *err)
{
	struct bench *b = ctx;

	if (call->n_fds != 1)
		return err_set(err, EINVAL, "'keep' takes a descriptor");
	b->kept = TAKE_FD(call->fds[0]);
	return 0;
}

static int talk(void *ctx, struct control_call *call, struct err *err)
{
	for (int i = 0; i < CONTROL_ANSWER_MAX; i++)
		control_say(call, "much");
	return 0;
}

static const struct control_verb verbs[] = {
	{"echo", echo},
	{"keep", keep},
	{"talk", talk},
	{NULL, NULL},
};

static void bench_done(struct bench *b)
{
	control_done(&control);
	loop_free(b->loop);
	auto_close(&b->monitor);
	auto_close(&b->keeper);
	auto_close(&b->kept);
}

static void bench_init(struct bench *b)
{
	struct err err = ERR_INIT;
	int pair[2];

	*b = (struct bench){.kept = -1};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	b->monitor = pair[0];
	b->keeper = pair[1];
	if (loop_new(&b->loop, &err) < 0 ||
	    control_init(&control, b->monitor, b->loop, verbs, b, &err) < 0)
		abort();
}

static int stop(void *ctx, struct err *err)
{
	loop_stop(ctx);
	return 0;
}

static void serve(struct bench *b)
{
	struct err err = ERR_INIT;
	struct timer *timer;

	if (loop_timer(b->loop, 0, stop, b->loop, &timer, &err) < 0 || loop_run(b->loop, &err) < 0)
		abort();
}

/* The answer to a packet of len bytes with n copies of fd; "" when there is none. */
static const char *ask_bytes(struct bench *b, const char *text, size_t len, int fd, size_t n)
{
	enum { MAX = 8 };
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int) * MAX)];
	} rights = {0};
	char copy[CONTROL_REQUEST_MAX + 64];
	struct iovec iov = {copy, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[MAX] = {fd, fd, fd, fd, fd, fd, fd, fd};

	memcpy(copy, text, len);
	if (n > 0) {
		msg.msg_control = &rights;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		rights.head = (struct cmsghdr){CMSG_LEN(sizeof(int) * n), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(&rights.head), fds, sizeof(int) * n);
	}
	if (sendmsg(b->keeper, &msg, 0) < 0)
		abort();
	serve(b);
	ssize_t got = recv(b->keeper, answer, sizeof(answer) - 1, MSG_DONTWAIT);
	answer[got < 0 ? 0 : got] = '\0';
	return answer;
}

static const char *ask(struct bench *b, const char *text)
{
	return ask_bytes(b, text, strlen(text), -1, 0);
}

/* The lowest free descriptor: whether any stayed open. */
static int lowest(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)close(fd);
	return fd;
}

TEST(a_request_is_answered_with_its_number)
{
	AUTO(bench_done) struct bench b;

	bench_init(&b);
	EXPECT_STR(ask(&b, "1 echo"), "1 ok [] 0");
	EXPECT_STR(ask(&b, "18446744073709551615 echo a  b "), "18446744073709551615 ok [a  b ] 0");
	EXPECT_STR(ask(&b, "3  echo  x"), "3 ok [x] 0");
}

TEST(what_is_no_request_is_refused_in_words)
{
	AUTO(bench_done) struct bench b;

	bench_init(&b);
	EXPECT_STR(ask(&b, "7 sing"), "7 error 'sing' is no request");
	EXPECT_STR(ask(&b, "7 "), "7 error '' is no request");
	EXPECT_STR(ask(&b, "7 keep"), "7 error 'keep' takes a descriptor");
	EXPECT_STR(ask(&b, "echo"), "0 error a request begins with its number");
	EXPECT_STR(ask(&b, "-1 echo"), "0 error a request begins with its number");
	EXPECT_STR(ask(&b, "184467440737095516150 echo"),
		   "0 error a request begins with its number");
	EXPECT_STR(ask_bytes(&b, "7 echo\0x", 8, -1, 0),
		   "0 error a request is a text of at most 4096 bytes");
}

TEST(a_request_that_is_too_long_is_refused)
{
	AUTO(bench_done) struct bench b;
	char text[CONTROL_REQUEST_MAX + 1];

	bench_init(&b);
	memset(text, 'x', sizeof(text));
	memcpy(text, "5 echo ", 7);
	EXPECT_EQ(strlen(ask_bytes(&b, text, CONTROL_REQUEST_MAX, -1, 0)),
		  strlen("5 ok [] 0") + CONTROL_REQUEST_MAX - strlen("5 echo "));
	EXPECT_STR(ask_bytes(&b, text, CONTROL_REQUEST_MAX + 1, -1, 0),
		   "0 error a request is a text of at most 4096 bytes");
}

TEST(an_answer_that_does_not_fit_is_an_error)
{
	AUTO(bench_done) struct bench b;

	bench_init(&b);
	EXPECT_STR(ask(&b, "2 talk"), "2 error the answer is too long");
	EXPECT_STR(ask(&b, "3 echo"), "3 ok [] 0");
}

TEST(descriptors_are_taken_by_the_verb_or_closed)
{
	AUTO(bench_done) struct bench b;

	bench_init(&b);
	int free_fd = lowest();
	EXPECT_STR(ask_bytes(&b, "1 echo", 6, b.keeper, CONTROL_FDS_MAX), "1 ok [] 4");
	EXPECT_EQ(lowest(), free_fd);
	EXPECT_STR(ask_bytes(&b, "2 keep", 6, b.keeper, 1), "2 ok ");
	EXPECT_EQ(b.kept, free_fd);
	EXPECT_EQ(fcntl(b.kept, F_GETFD), FD_CLOEXEC);
}

TEST(more_descriptors_than_a_request_may_have_are_refused_and_closed)
{
	AUTO(bench_done) struct bench b;

	bench_init(&b);
	int free_fd = lowest();
	EXPECT_STR(ask_bytes(&b, "1 echo", 6, b.keeper, CONTROL_FDS_MAX + 1),
		   "0 error not all descriptors of the request came");
	EXPECT_EQ(lowest(), free_fd);
}

TEST(who_does_not_read_answers_loses_them_and_nobody_waits)
{
	AUTO(bench_done) struct bench b;
	char text[CONTROL_REQUEST_MAX];
	int sent = 0;

	bench_init(&b);
	memset(text, 'x', sizeof(text));
	memcpy(text, "5 echo ", 7);
	for (; sent < 400 && send(b.keeper, text, sizeof(text), MSG_DONTWAIT) > 0; sent++)
		serve(&b);
	EXPECT_EQ(sent, 400);
	while (recv(b.keeper, answer, sizeof(answer), MSG_DONTWAIT) > 0)
		;
	EXPECT_STR(ask(&b, "6 echo"), "6 ok [] 0");
}

TEST(when_the_keeper_has_gone_nothing_is_served)
{
	AUTO(bench_done) struct bench b;

	bench_init(&b);
	auto_close(&b.keeper);
	serve(&b);
	EXPECT(control.watch == NULL);
}
