/* SPDX-License-Identifier: Apache-2.0 */
/* A keeper that asks anything, a packet for each line; every packet is answered. */
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "../packets.h"
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

static void is_answered(int fd)
{
	static char answer[CONTROL_ANSWER_MAX + 64];

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
	packets_send(loop, keeper, data, n, is_answered);
	control_done(&control);
	return 0;
}
