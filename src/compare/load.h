/* SPDX-License-Identifier: Apache-2.0 */
/* Load on a server, by the packaged program wrk. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct err;

/* What came of it. */
struct load {
	double rate; /* requests per second */
	double p50, p99; /* nanoseconds */
};

/* ENOENT, with what to install, when there is no wrk. */
int load_check(struct err *err) HULL_MUST_CHECK;

/* Whether the server at 127.0.0.1:port answers a request for `path` with anything. Waits for at
 * most a second. */
bool load_answers(uint32_t port, const char *path);

/* Loads it for duration_ms. EPROTO when an answer was an error. */
int load_run(uint32_t port, const char *path, uint64_t duration_ms, struct load *ret,
	     struct err *err) HULL_MUST_CHECK;

/* Reads what wrk --latency prints. */
int load_parse(const char *text, struct load *ret, struct err *err) HULL_MUST_CHECK;
