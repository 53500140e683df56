/* SPDX-License-Identifier: Apache-2.0 */
/* A monitor that says anything, a packet for each line, to a keeper that has asked three things. */
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "../packets.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "machine/ask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { ASKS = 3 };

static unsigned told;

static void printable(const char *text)
{
	for (const char *c = text; *c; c++) {
		if ((unsigned char)*c < ' ' && *c != '\n')
			__builtin_trap();
	}
}

static void answered(void *ctx, const struct err *failure, const char *answer)
{
	told++;
	printable(failure ? failure->msg : answer);
}

static void said(void *ctx, const char *line)
{
	printable(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO(auto_loop_free) struct loop *loop = NULL;
	AUTO(auto_asker_free) struct asker *a = NULL;
	struct err err = ERR_INIT;
	int fds[2];

	if (loop_new(&loop, &err) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return 0;
	AUTO_CLOSE int keeper = fds[0];
	AUTO_CLOSE int monitor = fds[1];
	if (asker_new(loop, keeper, said, NULL, &a, &err) < 0)
		return 0;
	told = 0;
	for (int i = 0; i < ASKS; i++)
		asker_ask(a, &(struct ask_request){.text = "report"}, answered, NULL);
	packets_send(loop, monitor, data, n, NULL);
	asker_end(a);
	if (told != ASKS)
		__builtin_trap();
	return 0;
}
