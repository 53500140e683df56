/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one who answers a filter's SCMP_ACT_NOTIFY: a program that waits on a unix socket of the host
 * for the descriptor. The filter may cover any call, those that send it too: so it is sent by a
 * helper without a filter, and the filtered process makes no call until that is done.
 */
#pragma once

#include "base/attr.h"

struct err;
struct plan_process;
struct sock_fprog;

/* Connects to what's seccomp_listener, a path in the caller's present mount namespace (so: before a
 * joiner enters and before the root is changed, but after descriptors were closed). The caller
 * closes what is returned. */
int listener_open(const struct plan_process *what, struct err *err) HULL_MUST_CHECK;

/* Sends a descriptor to the socket `path`, named `what` in errors, in its own message. */
int listener_hand(const char *path, int fd, const char *what, struct err *err) HULL_MUST_CHECK;

/*
 * Loads the filter and sends its listening descriptor over `sock` (borrowed) with `state`: the JSON
 * of the runtime-spec's "Container Process State", whose fds are ["seccompFd"].
 */
int listener_load(const struct sock_fprog *program, unsigned flags, int sock, const char *state,
		  struct err *err) HULL_MUST_CHECK;
