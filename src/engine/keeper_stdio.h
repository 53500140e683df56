/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The standard streams of one process, between it, the log and the clients that are attached.
 * Nothing is lost: while one attached client cannot take more, the process is not read from.
 * Descriptors of clients are never made non-blocking in place (their open file descriptions are
 * shared with strangers).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct attachment; /* one attached client; owned by its stdio */
struct err;
struct log;
struct loop;
struct process_io;
struct stdio;

struct stdio_config {
	struct loop *loop; /* borrowed */
	struct log *log; /* borrowed; NULL: none */
	bool tty;
	bool open_stdin; /* the process gets an open stdin; else /dev/null */
	bool stdin_once; /* an attached client's end of input is the process's */
	void (*broken)(void *ctx); /* a foreground client takes no more output; may be NULL */
	void *ctx;
};

/* What a client brings: descriptors, taken by stdio_attach(); -1 where it wants none. With a
 * terminal, `in` alone is used, both ways. */
struct attach_fds {
	int in, out, err;
};

/* Makes the streams without a process yet; clients may attach already. */
int stdio_new(struct stdio **ret, const struct stdio_config *config, struct err *err)
	HULL_MUST_CHECK;

/* Makes the process's ends: *ret is borrowed until stdio_started() or stdio_reset(). */
int stdio_open(struct stdio *s, struct process_io *ret, struct err *err) HULL_MUST_CHECK;

/* The process has its ends: closes ours of them and begins to pump. Takes console (-1 without a
 * terminal). */
int stdio_started(struct stdio *s, int console, struct err *err) HULL_MUST_CHECK;

/* Attaches a client; takes its descriptors also on failure. With foreground a broken output breaks
 * the process's, as a pipe would. */
int stdio_attach(struct stdio *s, const struct attach_fds *fds, bool foreground,
		 struct attachment **ret, struct err *err) HULL_MUST_CHECK;

/* Forgets a client and sets *a to NULL; NULL is fine. */
void stdio_detach(struct stdio *s, struct attachment **a);

/* The process has ended: hands on what it wrote and calls done once (perhaps at once) when every
 * client has it. */
void stdio_finish(struct stdio *s, void (*done)(void *ctx), void *ctx);

/* Drops the process's streams and keeps the clients, for the next stdio_open(). */
void stdio_reset(struct stdio *s);

/* Detaches all and closes all; NULL is fine. */
void stdio_free(struct stdio *s);

DEFINE_AUTO(struct stdio, stdio_free)
