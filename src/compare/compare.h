/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same image as a container and as a machine, measured alternately. What each cost comes as
 * series of samples, which can be written as a table, as JSON or as a page with plots.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "compare/metrics.h"
#include "engine/engine.h"

struct buf;
struct err;

/* What is to be compared; everything is borrowed. */
struct compare_options {
	const char *image;
	char **command; /* n_command strings; none: the image's own */
	size_t n_command;
	const char *kernel; /* of machines; NULL: the default one */
	struct strv env, volumes;
	struct limit_options limits;

	uint32_t rounds; /* counted ones, at least 1 */
	bool no_warm_up;
	uint64_t timeout_ms; /* of one run */
	const char *profile; /* "start,cpu,…": the built-in probes instead of a command; or NULL */
	const char *load; /* a server's URL path to put under load; or NULL */
	uint32_t port; /* with load: the server's own */
	uint64_t duration_ms; /* of one load */

	void (*progress)(void *ctx, const char *line); /* NULL: nobody listens */
	bool (*interrupted)(void *ctx); /* asked now and then; NULL: never */
	void *ctx; /* of both */
};

/* What came out. All owned. */
struct comparison {
	char *image;
	struct strv command;
	uint32_t rounds;
	char *host_cpu, *host_kernel;
	uint32_t host_cpus;
	char *guest_kernel; /* the name of the machine's kernel */
	bool emulated; /* no usable KVM */
	struct series series[METRICS][SIDES];
};

/*
 * Runs everything. Whatever was made is removed, on failure too. A workload that ends with another
 * status than 0 is a failure (ECHILD) with its status and its last words. Release with
 * comparison_done(), on failure too.
 */
int compare_run(struct engine *e, const struct compare_options *o, struct comparison *ret,
		struct err *err) HULL_MUST_CHECK;

/* Frees what c owns; a zeroed one is fine. */
void comparison_done(struct comparison *c);

/* Appends it as a table with what must be known to read it; as JSON; as one page of HTML. Memory
 * that ran out is told by buf_check(). */
void comparison_text(const struct comparison *c, struct buf *to);
void comparison_json(const struct comparison *c, struct buf *to);
void comparison_html(const struct comparison *c, struct buf *to);
