/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to a running machine, over the socket that --control names (SOCK_SEQPACKET). A packet is
 * one request, "NUMBER VERB [ARGUMENTS]", with at most CONTROL_FDS_MAX descriptors beside it, and
 * gets one packet back: "NUMBER ok [ANSWER]" or "NUMBER error TEXT". Verbs are rows of a table
 * (requests.c), carried out one after the other by the thread of the loop.
 */
#pragma once

#include <stddef.h>

#include "base/attr.h"

struct err;
struct loop;
struct watch;

enum {
	CONTROL_REQUEST_MAX = 4096,
	CONTROL_ANSWER_MAX = 16384,
	CONTROL_FDS_MAX = 4,
	CONTROL_KEPT_MAX = 64, /* descriptors that all requests together may leave open */
};

/* A request being carried out. */
struct control_call {
	char *args; /* behind the verb, "" when there are none; may be written to */
	int fds[CONTROL_FDS_MAX]; /* closed afterwards unless TAKE_FD() was used */
	size_t n_fds;
	char answer[CONTROL_ANSWER_MAX]; /* control_say() appends */
	size_t len;
};

/*
 * A row of the table. On success the answer is what was said; a failure's text is the answer
 * instead. It must not wait for the guest, nor allocate memory: once the machine runs, the filter
 * kills who asks the kernel for more.
 */
struct control_verb {
	const char *name;
	int (*fn)(void *ctx, struct control_call *call, struct err *err);
};

/* The monitor's end. Embedded; control_init() and control_done(). */
struct control {
	int fd; /* borrowed */
	struct watch *watch; /* NULL: nobody asks any more */
	const struct control_verb *verbs; /* borrowed; a row without a name ends it */
	void *ctx; /* of the verbs */
	char request[CONTROL_REQUEST_MAX + 1];
	struct control_call call;
};

/* Serves the requests that come over fd (borrowed, becomes non-blocking) from the loop. */
int control_init(struct control *c, int fd, struct loop *loop, const struct control_verb *verbs,
		 void *ctx, struct err *err) HULL_MUST_CHECK;

/* Zeroed is fine. */
void control_done(struct control *c);

/* Appends to the answer. What does not fit is cut, and the request fails by that. */
void control_say(struct control_call *call, const char *fmt, ...) HULL_PRINTF(2, 3);
