/* SPDX-License-Identifier: Apache-2.0 */
/* update and events: limits changed, and what the cgroups count. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/json.h"
#include "oci/oci.h"
#include "oci/scope.h"
#include "spec/spec.h"

enum { RESOURCES_BYTES_MAX = 1 << 20 };

/* Standard input to its end. */
static int read_input(struct buf *to, struct err *err)
{
	char *at = buf_reserve(to, RESOURCES_BYTES_MAX + 1);

	if (!at)
		return buf_check(to, err);
	ssize_t n = read_upto(STDIN_FILENO, at, RESOURCES_BYTES_MAX + 1, "standard input", err);
	if (n < 0)
		return (int)n;
	to->len = (size_t)n;
	return 0;
}

static int from_document(const struct oci *oci, struct plan_limits *ret, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	AUTO_BUF struct buf text = BUF_INIT;
	struct spec_config config = {"/", oci->caller.say, oci->caller.ctx};
	int r;

	if (strcmp(oci->options.resources, "-") == 0) {
		r = read_input(&text, err);
		if (r == 0)
			r = json_parse(text.data ? text.data : "", text.len, RESOURCES_BYTES_MAX,
				       "resources", &doc, err);
	} else {
		r = json_parse_file(AT_FDCWD, oci->options.resources, RESOURCES_BYTES_MAX, &doc,
				    err);
	}
	return r < 0 ? r : spec_limits(doc, &config, ret, err);
}

/* A number option; -1 is "no limit" where that is meant. */
static int number(const char *text, const char *name, uint64_t *to, struct err *err)
{
	int64_t value = 0;
	int r = text ? parse_int(text, -1, INT64_MAX, name, &value, err) : 0;

	if (r == 0 && text)
		*to = value < 0 ? UINT64_MAX : (uint64_t)value;
	return r;
}

static int from_options(const struct oci_options *o, struct plan_limits *ret, struct err *err)
{
	const struct {
		const char *text, *name;
		uint64_t *to;
	} numbers[] = {
		{o->memory, "--memory", &ret->memory},
		{o->memory_swap, "--memory-swap", &ret->memory_swap},
		{o->memory_reservation, "--memory-reservation", &ret->memory_reservation},
		{o->cpu_quota, "--cpu-quota", &ret->cpu_quota_us},
		{o->cpu_period, "--cpu-period", &ret->cpu_period_us},
		{o->cpu_share, "--cpu-share", &ret->cpu_shares},
		{o->pids_limit, "--pids-limit", &ret->pids},
		{o->blkio_weight, "--blkio-weight", &ret->blkio_weight},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(numbers) / sizeof(numbers[0]); i++)
		r = number(numbers[i].text, numbers[i].name, numbers[i].to, err);
	if (r == 0 && o->cpuset_cpus && !(ret->cpuset_cpus = strdup(o->cpuset_cpus)))
		r = err_set(err, ENOMEM, "out of memory");
	if (r == 0 && o->cpuset_mems && !(ret->cpuset_mems = strdup(o->cpuset_mems)))
		r = err_set(err, ENOMEM, "out of memory");
	return r;
}

int oci_update(struct oci *oci, struct err *err)
{
	struct oci_state state = {.created_ns = 0};
	struct plan_limits limits = {.memory = 0};
	AUTO_CLOSE int folder = oci_open(oci, true, &state, err);

	if (folder < 0)
		return folder;
	int r = oci_status_of(&state, folder, NULL) == OCI_STOPPED
			? err_set(err, ESRCH, "container not running")
			: 0;
	if (r == 0)
		r = oci->options.resources ? from_document(oci, &limits, err)
					   : from_options(&oci->options, &limits, err);
	if (r == 0)
		r = scope_limit(oci, &state, &limits, err);
	if (r == 0)
		r = container_limit(&state.plan, &limits, &oci->caller, err);
	record_done(&plan_limits_record, &limits);
	record_done(&oci_state_record, &state);
	return r;
}

/* The members that containerd and docker read of runc's statistics. */
static void stats_json(const struct oci_state *state, const struct isolation_stats *s,
		       struct json_out *out)
{
	json_begin(out, NULL);
	json_put_str(out, "type", "stats");
	json_put_str(out, "id", state->id);
	json_begin(out, "data");
	json_begin(out, "cpu");
	json_begin(out, "usage");
	json_put_uint(out, "total", s->cpu_ns);
	json_end(out);
	json_end(out);
	json_begin(out, "memory");
	json_begin(out, "usage");
	json_put_uint(out, "limit", s->memory_limit);
	json_put_uint(out, "usage", s->memory);
	json_put_uint(out, "max", s->memory_peak);
	json_end(out);
	json_end(out);
	json_begin(out, "pids");
	json_put_uint(out, "current", s->pids);
	json_put_uint(out, "limit", s->pids_limit);
	json_end(out);
	json_begin(out, "blkio");
	json_put_uint(out, "read", s->io_read);
	json_put_uint(out, "write", s->io_write);
	json_end(out);
	json_end(out);
	json_end(out);
}

static int print_stats(const struct oci_state *state, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct json_out out = JSON_OUT(&text, false);
	struct isolation_stats stats = {.memory = 0};

	int r = container_count(&state->plan, &stats, err);
	if (r < 0)
		return r;
	stats_json(state, &stats, &out);
	r = buf_check(&text, err);
	if (r == 0 && (puts(text.data) < 0 || fflush(stdout) != 0))
		r = err_sys(err, "print");
	return r;
}

int oci_events(struct oci *oci, struct err *err)
{
	struct oci_state state = {.created_ns = 0};
	uint64_t interval_ms = 5000;
	int r = oci->options.interval
			? parse_duration_ms(oci->options.interval, "--interval", &interval_ms, err)
			: 0;

	if (r == 0 && interval_ms == 0)
		r = err_set(err, EINVAL, "--interval: must be more than nothing");
	if (r < 0)
		return r;
	AUTO_CLOSE int folder = oci_open(oci, false, &state, err);
	if (folder < 0)
		return folder;
	if (oci_status_of(&state, folder, NULL) == OCI_STOPPED)
		r = err_set(err, ESRCH, "container not running");
	while (r == 0 && oci_status_of(&state, folder, NULL) != OCI_STOPPED) {
		struct timespec nap = {(time_t)(interval_ms / 1000),
				       (long)(interval_ms % 1000) * 1000000};
		r = print_stats(&state, err);
		if (r < 0 || oci->options.stats)
			break;
		(void)nanosleep(&nap, NULL);
	}
	record_done(&oci_state_record, &state);
	return r;
}
