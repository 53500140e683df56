/* SPDX-License-Identifier: Apache-2.0 */
/* The command's side of proto/control.h. Blocking; one request at a time unless the caller tells
 * replies apart by number. */
#pragma once

#include <stddef.h>

#include "base/attr.h"

struct control_reply;
struct control_request;
struct err;

/* Connects to the keeper whose run folder is run_fd; returns the socket, -ESRCH when no keeper
 * listens there. */
int control_open(int run_fd, struct err *err) HULL_MUST_CHECK;

/* Sends one request with n descriptors (borrowed) in the order of its `streams`. */
int control_send(int fd, const struct control_request *request, const int *fds, size_t n,
		 struct err *err) HULL_MUST_CHECK;

/*
 * Receives one reply into *ret, which the caller releases with record_done(). A reply that tells a
 * failure is received like any other: look at its code. -ECONNRESET when the keeper is gone.
 */
int control_receive(int fd, struct control_reply *ret, struct err *err) HULL_MUST_CHECK;

/* Sends, receives the reply, and makes a failure that it tells an error. */
int control_ask(int fd, const struct control_request *request, const int *fds, size_t n,
		struct control_reply *ret, struct err *err) HULL_MUST_CHECK;
