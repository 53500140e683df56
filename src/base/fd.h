/* SPDX-License-Identifier: Apache-2.0 */
/* File descriptors, and how they travel beside bytes on a socket (SCM_RIGHTS, unix(7)). */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "base/attr.h"

struct iovec;

enum { FD_PASS_MAX = 4 /* descriptors beside one message */ };

/* Closes *fd if it is open and sets it to -1; keeps errno. */
void auto_close(int *fd);

/*
 * Sends n bytes and, with the first of them, n_fds descriptors (borrowed; 0: only bytes). Answers
 * as sendmsg(2) does, with MSG_NOSIGNAL and `flags`, through EINTR; -1 and E2BIG for more than
 * FD_PASS_MAX.
 */
ssize_t fd_send(int sock, const void *bytes, size_t n, const int *fds, size_t n_fds, int flags)
	HULL_MUST_CHECK;

/* The same of n_iov pieces. */
ssize_t fd_sendv(int sock, struct iovec *iov, size_t n_iov, const int *fds, size_t n_fds, int flags)
	HULL_MUST_CHECK;

/*
 * Receives a message of at most `room` bytes with at most *n_fds descriptors (1 to FD_PASS_MAX),
 * through EINTR. Answers how many bytes came, as recvmsg(2) does; *n_fds is how many descriptors
 * did, which are the caller's to close, and the others of ret_fds are -1. On failure those are all.
 * What did not come whole is -1 with errno, and nothing stays open: EMSGSIZE for the bytes, E2BIG
 * for the descriptors.
 */
ssize_t fd_receive(int sock, void *bytes, size_t room, int *ret_fds, size_t *n_fds) HULL_MUST_CHECK;
