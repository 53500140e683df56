/* SPDX-License-Identifier: Apache-2.0 */
/* A client's descriptor, written and read without ever blocking on it and without changing flags
 * that others share. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

enum sink_kind {
	SINK_CLOSED,
	SINK_SOCKET, /* MSG_DONTWAIT */
	SINK_OWN, /* a pipe or terminal, opened anew as non-blocking */
	SINK_CAREFUL, /* one that cannot be opened anew: asked before each write of at most PIPE_BUF
		       */
	SINK_FILE, /* never blocks for long */
};

struct sink {
	int fd; /* owned */
	enum sink_kind kind;
};

/* Takes fd (-1: the sink is closed). */
void sink_open(struct sink *k, int fd);

/* Bytes taken, 0 when there is no room, negative when it is broken. */
ssize_t sink_write(struct sink *k, const char *bytes, size_t n);

/* Whether it still takes bytes. */
bool sink_is_open(const struct sink *k);

/* The descriptor to be watched for room; borrowed. */
int sink_fd(const struct sink *k);

/* Closes; a closed one is fine. */
void sink_close(struct sink *k);

/* Reads a client's socket, pipe or terminal without blocking; as read(2), EAGAIN when nothing is
 * there. */
ssize_t source_read(int fd, char *bytes, size_t n);
