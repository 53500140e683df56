/* SPDX-License-Identifier: Apache-2.0 */
/* A keeper that asks anything, a packet for each line; every packet is answered. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "vmm/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int echo(void *ctx, struct control_call *call, struct err *err)
{
	control_say(call, "%s", call->args);
	return call->args[0] == '!' ? err_set(err, 1, "%s", call->args) : 0;
}

static const struct control_verb verbs[] = {{"echo", echo}, {NULL, NULL}};

static int stop(void *ctx, struct err *err)
{
	loop_stop(ctx);
	return 0;
}

static void ask(struct loop *loop, int fd, const uint8_t *packet, size_t n)
{
	static char answer[CONTROL_ANSWER_MAX + 64];
	struct err err = ERR_INIT;
	struct timer *timer;

	if (send(fd, packet, n, MSG_DONTWAIT) < 0 ||
	    loop_timer(loop, 0, stop, loop, &timer, &err) < 0)
		return;
	(void)!loop_run(loop, &err);
	if (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) <= 0)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO(auto_loop_free) struct loop *loop = NULL;
	static struct control control;
	struct err err = ERR_INIT;
	int fds[2];

	if (loop_new(&loop, &err) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return 0;
	AUTO_CLOSE int keeper = fds[0];
	AUTO_CLOSE int monitor = fds[1];
	if (control_init(&control, monitor, loop, verbs, NULL, &err) < 0)
		return 0;
	for (const uint8_t *at = data, *end = data + n; at < end;) {
		const uint8_t *line = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((line ? line : end) - at);
		if (len > 0)
			ask(loop, keeper, at, len);
		at += len + 1;
	}
	control_done(&control);
	return 0;
}
