/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A workload's log: what it wrote, line by line, in files that rotate. Each entry is one line of
 * JSON with docker's keys,
 * {"log":"text\n","stream":"stdout","time":"2026-01-02T03:04:05.123456789Z"}; text that is not
 * UTF-8 is written byte by byte as \u00XX with "bytes":true behind it, so that every byte comes
 * back as it was. `log` is the newest file, then log.1, log.2 …
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/attr.h"

struct err;
struct log;

enum log_stream { LOG_STDOUT, LOG_STDERR, LOG_KERNEL, LOG_STREAMS };

/* Opens the log in folder dirfd (borrowed until log_close) for appending; at most `files` files of
 * about max bytes each. */
int log_open(struct log **ret, int dirfd, uint64_t max, uint32_t files, struct err *err)
	HULL_MUST_CHECK;

/* Appends what came from a stream; a line without its end waits for it (or for 16 KiB, or
 * log_flush). */
int log_write(struct log *log, enum log_stream stream, const void *bytes, size_t n, struct err *err)
	HULL_MUST_CHECK;

/* Writes out lines that still wait for their end. */
int log_flush(struct log *log, struct err *err) HULL_MUST_CHECK;

/* Closes; what waits is lost unless flushed. NULL is fine. */
void log_close(struct log *log);

struct log_entry {
	enum log_stream stream;
	struct timespec time; /* CLOCK_REALTIME */
	const char *text; /* len bytes, perhaps with NULs; borrowed for the call */
	size_t len;
};

struct log_query {
	bool has_tail;
	uint64_t tail; /* the last so many entries of those between since and until */
	struct timespec since, until; /* {0}: no bound */
	bool follow;
	unsigned streams; /* bit 1 << enum log_stream; 0: stdout and stderr */
	bool (*alive)(void *ctx); /* follow: whether more may come */
	int (*entry)(void *ctx, const struct log_entry *entry,
		     struct err *err); /* < 0 ends the reading */
	void *ctx;
};

/* Reads the log in dirfd, oldest entry first. Returns how many damaged lines were passed over. No
 * log: nothing, 0. */
int log_read(int dirfd, const struct log_query *query, struct err *err) HULL_MUST_CHECK;

DEFINE_AUTO(struct log, log_close)
