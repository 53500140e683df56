/* SPDX-License-Identifier: Apache-2.0 */
/* What wrk prints, and servers that answer or do not. */
#include "../test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "compare/load.h"

#define HEAD                                                                                       \
	"Running 1s test @ http://127.0.0.1:80/\n  1 threads and 8 connections\n"                  \
	"  Thread Stats   Avg      Stdev     Max   +/- Stdev\n"                                    \
	"    Latency   350.00us  100.00us   9.50ms   99.00%\n  Latency Distribution\n"

TEST(rate_and_latencies_are_read)
{
	struct err err = ERR_INIT;
	struct load load;
	EXPECT_EQ(load_parse(HEAD "     50%  331.00us\n     75%    1.00ms\n     90%    2.00ms\n"
				  "     99%    1.25s \n  100 requests in 1.00s, 1.00MB read\n"
				  "Requests/sec:  20123.50\nTransfer/sec:      1.00MB\n",
			     &load, &err),
		  0);
	EXPECT_EQ((long)load.rate, 20123);
	EXPECT_EQ((long)(load.p50 + 0.5), 331000);
	EXPECT_EQ((long)(load.p99 + 0.5), 1250000000);
}

TEST(answers_that_are_errors_are_refused)
{
	struct err err = ERR_INIT;
	struct load load;
	EXPECT_EQ(load_parse(HEAD "     50%  331.00us\n     99%    1.25ms\n"
				  "  Non-2xx or 3xx responses: 40\nRequests/sec:  40.00\n",
			     &load, &err),
		  -EPROTO);
	EXPECT_STR(err.msg, "the server answered 40 requests with errors");
}

TEST(no_answer_at_all_is_refused)
{
	struct err err = ERR_INIT;
	struct load load;
	EXPECT_EQ(load_parse(HEAD "     50%    0.00us\n     99%    0.00us\nRequests/sec:   0.00\n",
			     &load, &err),
		  -EPROTO);
	err = ERR_INIT;
	EXPECT_EQ(load_parse("", &load, &err), -EPROTO);
}

TEST(an_unknown_unit_is_refused)
{
	struct err err = ERR_INIT;
	struct load load;
	EXPECT_EQ(load_parse(HEAD "     50%  331.00xs\n     99%    1.25ms\nRequests/sec: 40.00\n",
			     &load, &err),
		  -EPROTO);
}

/* A listener on a port of the kernel's choice. */
static int listener(uint32_t *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 4) < 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &n) < 0)
		return -1;
	*port = ntohs(at.sin_port);
	return fd;
}

/* Answers one client with a text, in a child; returns what load_answers() thought of it. */
static bool answered(const char *text)
{
	uint32_t port = 0;
	AUTO_CLOSE int fd = listener(&port);
	pid_t pid = fork();

	if (pid == 0) {
		char request[256];
		int client = accept(fd, NULL, NULL);
		ssize_t n = read(client, request, sizeof(request));
		_exit(n > 0 && write(client, text, strlen(text)) >= 0 ? 0 : 1);
	}
	bool good = load_answers(port, "/x");
	(void)waitpid(pid, NULL, 0);
	return good;
}

TEST(a_server_that_speaks_http_answers)
{
	EXPECT(answered("HTTP/1.0 404 Not Found\r\n\r\n"));
}

TEST(one_that_hangs_up_or_says_something_else_does_not)
{
	EXPECT(!answered(""));
	EXPECT(!answered("SSH-2.0-x\r\n"));
}

TEST(nobody_there_does_not_answer)
{
	uint32_t port = 0;
	int fd = listener(&port);
	EXPECT(fd >= 0);
	(void)close(fd);
	EXPECT(!load_answers(port, "/"));
}

TEST(a_missing_wrk_is_named_with_what_to_install)
{
	struct err err = ERR_INIT;
	EXPECT_EQ(setenv("PATH", "/nowhere", 1), 0);
	EXPECT_EQ(load_check(&err), -ENOENT);
	EXPECT(strstr(err.msg, "apt-get install wrk"));
}
