/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command's own terminal or pipes, bound to one process of a workload until it ends: what `run`,
 * `attach`, `start -a` and `exec` have in common. The keeper writes to the command's outputs
 * itself; its input (and with a terminal both ways) goes through a socket pair that is pumped here,
 * since the terminal belongs to the user's shell too.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "engine/engine.h"

struct control_request;
struct err;
struct session;

struct session_config {
	int ctl; /* connected to the keeper; borrowed */
	int life; /* the keeper's word about the start; borrowed; -1: it runs already */
	bool tty, in, out;
	bool no_sig_proxy;
	const char *detach_keys; /* NULL: ctrl-p,ctrl-q; "": none */
};

/* Makes one: streams, terminal mode, signals. Caller frees. */
int session_new(const struct session_config *config, struct session **ret, struct err *err)
	HULL_MUST_CHECK;

/* Sends the request that begins it (ATTACH or EXEC), with the streams. An ATTACH is followed by a
 * WAIT. */
int session_begin(struct session *s, struct control_request *request, struct err *err)
	HULL_MUST_CHECK;

/* Pumps until the process has ended, the user detached or the keeper is gone. *status is what the
 * keeper said about a start (released by the caller), untouched without life. */
int session_run(struct session *s, struct keeper_status *status, struct attach_end *ret,
		struct err *err) HULL_MUST_CHECK;

/* Puts terminal and signals back as they were; NULL is fine. */
void session_free(struct session *s);

/* Size of the terminal on standard input or output; zeroes when there is none. */
void terminal_size(uint32_t *ret_rows, uint32_t *ret_cols);

DEFINE_AUTO(struct session, session_free)
