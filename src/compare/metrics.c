/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"

static const char cpu_bound[] = "computing is many times slower when emulated";

const struct metric_info metric_infos[METRICS] = {
	[METRIC_START] = {"start", "time to first instruction", UNIT_TIME, cpu_bound},
	[METRIC_READY] = {"ready", "time to first answer", UNIT_TIME, cpu_bound},
	[METRIC_EXIT] = {"exit", "time to exit", UNIT_TIME, cpu_bound},
	[METRIC_CPU] = {"cpu", "CPU time on the host", UNIT_TIME, cpu_bound},
	[METRIC_PEAK] = {"memory_peak", "peak memory (PSS)", UNIT_BYTES,
			 "the emulator keeps translated code"},
	[METRIC_IDLE] = {"memory_idle", "idle memory (PSS)", UNIT_BYTES,
			 "the emulator keeps translated code"},
	[METRIC_IDLE_WORKLOAD] = {"memory_idle_workload", "  of it: workload", UNIT_BYTES, NULL},
	[METRIC_IDLE_GUEST] = {"memory_idle_guest", "  of it: guest memory", UNIT_BYTES, NULL},
	[METRIC_IDLE_MONITOR] = {"memory_idle_monitor", "  of it: monitor's own", UNIT_BYTES,
				 "the emulator keeps translated code"},
	[METRIC_IDLE_SHARE] = {"memory_idle_share", "  of it: volume share", UNIT_BYTES, NULL},
	[METRIC_IDLE_KEEPER] = {"memory_idle_keeper", "  of it: keeper", UNIT_BYTES, NULL},
	[METRIC_DISK] = {"disk", "disk written", UNIT_BYTES, NULL},
	[METRIC_RATE] = {"rate", "requests", UNIT_RATE, cpu_bound},
	[METRIC_P50] = {"latency_p50", "latency, median", UNIT_TIME, cpu_bound},
	[METRIC_P99] = {"latency_p99", "latency, 99th percentile", UNIT_TIME, cpu_bound},
	[METRIC_PROBE_CPU] = {"probe_cpu", "arithmetic, per step", UNIT_OP, cpu_bound},
	[METRIC_PROBE_MEMORY] = {"probe_memory", "memory touched and copied, per KiB", UNIT_OP,
				 cpu_bound},
	[METRIC_PROBE_DISK_WRITE] = {"probe_disk_write", "disk written and synced, per KiB",
				     UNIT_OP, cpu_bound},
	[METRIC_PROBE_DISK_READ] = {"probe_disk_read", "file read, per KiB", UNIT_OP, cpu_bound},
	[METRIC_PROBE_SYSCALL] = {"probe_syscall", "system call", UNIT_OP, cpu_bound},
};

int series_add(struct series *s, double value, struct err *err)
{
	double *v = reallocarray(s->v, s->n + 1, sizeof(*v));

	if (!v)
		return err_set(err, ENOMEM, "out of memory");
	s->v = v;
	s->v[s->n++] = value;
	return 0;
}

void series_done(struct series *s)
{
	free(s->v);
	*s = (struct series){0};
}

/* How many samples are smaller than v, and how many equal it. */
static void rank(const struct series *s, double v, size_t *below, size_t *same)
{
	*below = *same = 0;
	for (size_t i = 0; i < s->n; i++) {
		*below += s->v[i] < v;
		*same += !(s->v[i] < v) && !(s->v[i] > v);
	}
}

/* The sample that would stand at `at` were they sorted. Series are short. */
static double sorted_at(const struct series *s, size_t at)
{
	for (size_t i = 0; i < s->n; i++) {
		size_t below;
		size_t same;
		rank(s, s->v[i], &below, &same);
		if (below <= at && at < below + same)
			return s->v[i];
	}
	return 0;
}

double series_median(const struct series *s)
{
	if (s->n == 0)
		return 0;
	return (sorted_at(s, (s->n - 1) / 2) + sorted_at(s, s->n / 2)) / 2;
}

double series_min(const struct series *s)
{
	return s->n ? sorted_at(s, 0) : 0;
}

double series_max(const struct series *s)
{
	return s->n ? sorted_at(s, s->n - 1) : 0;
}

double series_ratio(const struct series *a, const struct series *b)
{
	double base = series_median(a);

	return a->n == 0 || b->n == 0 || !(base > 0) ? -1 : series_median(b) / base;
}

/* Three digits that count: "1.23", "12.3", "123". */
static void digits(struct buf *to, double v, const char *unit)
{
	int places = v >= 99.95 ? 0 : v >= 9.995 ? 1 : 2;

	buf_printf(to, "%.*f%s", places, v, unit);
}

static void scaled(struct buf *to, double v, double step, const char *const *units)
{
	while (units[1] && v >= step) {
		v /= step;
		units++;
	}
	digits(to, v, *units);
}

void value_text(struct buf *to, enum unit unit, double value)
{
	static const char *const times[] = {" ns", " µs", " ms", " s", NULL};
	static const char *const sizes[] = {" B", " KiB", " MiB", " GiB", NULL};

	switch (unit) {
	case UNIT_TIME:
	case UNIT_OP:
		if (!(value > 0))
			buf_str(to, "0");
		else
			scaled(to, value, 1000, times);
		break;
	case UNIT_BYTES:
		if (!(value > 0))
			buf_str(to, "0");
		else
			scaled(to, value, 1024, sizes);
		break;
	case UNIT_RATE:
		digits(to, value, "/s");
		break;
	}
}
