/* SPDX-License-Identifier: Apache-2.0 */
/* A fuzzer's bytes as the packets of one side, a line each; the other side is served by a loop. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/loop.h"

static inline int packets_stop(void *ctx, struct err *err)
{
	loop_stop(ctx);
	return 0;
}

/* Sends each line that is not empty over fd, lets the loop do what comes of it, and calls `then`
 * (NULL: nothing). */
static inline void packets_send(struct loop *loop, int fd, const uint8_t *data, size_t n,
				void (*then)(int fd))
{
	struct err err = ERR_INIT;
	struct timer *timer;

	for (const uint8_t *at = data, *end = data + n; at < end;) {
		const uint8_t *line = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((line ? line : end) - at);
		if (len > 0 && send(fd, at, len, MSG_DONTWAIT) >= 0 &&
		    loop_timer(loop, 0, packets_stop, loop, &timer, &err) == 0) {
			(void)!loop_run(loop, &err);
			if (then)
				then(fd);
		}
		at += len + 1;
	}
}
