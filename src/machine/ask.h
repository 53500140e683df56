/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to a monitor that takes them (vmm/control.h), from the keeper's loop. The guest may have
 * taken the monitor over: it may be silent (each request has its patience), answer what nobody
 * asked or without end (after ASK_NOISE_MAX such packets it is heard no more), and its answers are
 * texts to be judged.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct asker;
struct err;
struct loop;

enum {
	ASK_MS = 5000, /* patience with what takes no time */
	ASK_FDS_MAX = 4, /* of one request */
	ASK_ANSWER_MAX = 16384 + 64, /* bytes of a packet */
	ASK_NOISE_MAX = 64,
	ASKS_MAX = 16, /* on their way at once */
};

/* Takes what the monitor says unasked, a line without its newline; borrowed. */
typedef void asker_line_fn(void *ctx, const char *line);

/* The answer to one request, called exactly once, perhaps before asker_ask() returns: failure, or
 * the text behind "ok"; borrowed. */
typedef void ask_fn(void *ctx, const struct err *failure, const char *answer);

/* Over fd, a SOCK_SEQPACKET (borrowed). The caller frees. */
int asker_new(struct loop *loop, int fd, asker_line_fn *said, void *ctx, struct asker **ret,
	      struct err *err) HULL_MUST_CHECK;

/* Drops what has no answer yet, without a word. NULL is fine. */
void asker_free(struct asker *a);

/* All borrowed for the call. */
struct ask_request {
	const char *text; /* "memory 1073741824" */
	const int *fds;
	size_t n_fds;
	uint64_t patience_ms; /* 0: ASK_MS */
};

/* Sends a request. */
void asker_ask(struct asker *a, const struct ask_request *request, ask_fn *fn, void *ctx);

/* The monitor has ended: reads what it said last, and fails all requests without an answer. NULL is
 * fine. */
void asker_end(struct asker *a);

DEFINE_AUTO(struct asker, asker_free)
