/* SPDX-License-Identifier: Apache-2.0 */
/* What is measured, and series of samples of it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

struct buf;
struct err;

enum { SIDE_CONTAINER, SIDE_MACHINE, SIDES };

enum unit {
	UNIT_TIME, /* nanoseconds */
	UNIT_BYTES,
	UNIT_RATE, /* per second */
	UNIT_OP, /* nanoseconds per operation */
};

enum metric {
	METRIC_START,
	METRIC_READY,
	METRIC_EXIT,
	METRIC_CPU,
	METRIC_PEAK,
	METRIC_IDLE,
	METRIC_IDLE_WORKLOAD,
	METRIC_IDLE_GUEST,
	METRIC_IDLE_MONITOR,
	METRIC_IDLE_SHARE,
	METRIC_IDLE_KEEPER,
	METRIC_DISK,
	METRIC_RATE,
	METRIC_P50,
	METRIC_P99,
	METRIC_PROBE_CPU,
	METRIC_PROBE_MEMORY,
	METRIC_PROBE_DISK_WRITE,
	METRIC_PROBE_DISK_READ,
	METRIC_PROBE_SYSCALL,
	METRICS,
};

struct metric_info {
	const char *key; /* in JSON, and how the probe calls it */
	const char *label; /* for people */
	enum unit unit;
	const char *scale; /* what its figures depend on when machines are emulated; NULL: they
			      carry over */
};

extern const struct metric_info metric_infos[METRICS];

/* Samples in the order they came; {0} is empty. */
struct series {
	double *v; /* owned */
	size_t n;
};

/* Appends a sample. */
int series_add(struct series *s, double value, struct err *err) HULL_MUST_CHECK;

/* Frees; the series is empty afterwards. */
void series_done(struct series *s);

/* The middle one of all (the mean of the middle two), the least, the greatest; 0 of an empty one.
 */
double series_median(const struct series *s);
double series_min(const struct series *s);
double series_max(const struct series *s);

/* median of b / median of a, or -1 when it says nothing: one is empty, or a's is 0. */
double series_ratio(const struct series *a, const struct series *b);

/* Appends a value for people: "12.3 ms", "4.5 MiB", "1234/s". */
void value_text(struct buf *to, enum unit unit, double value);
