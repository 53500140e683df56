/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Annotations of crun's that callers set, each as crun(1) tells it. They are read before the rest
 * of the document; what needs that rest asks for them by oci_annotation(). Of those that hull does
 * not carry out, one that changes what isolates the workload is told of; the others change nothing.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "proto/plan.h"
#include "spec/doc.h"
#include "spec/oci.h"
#include "spec/spec.h"

const char *oci_annotation(const struct plan *plan, const char *key)
{
	return strv_env(&plan->annotations, key);
}

bool oci_annotated(const struct plan *plan, const char *key)
{
	const char *value = oci_annotation(plan, key);

	return value && strcmp(value, "0") != 0;
}

static int take_path(const struct plan *plan, const char *key, char **ret, struct err *err)
{
	const char *value = oci_annotation(plan, key);

	if (!value)
		return 0;
	if (value[0] != '/')
		return err_set(err, EINVAL, "%s: '%.60s' is not an absolute path", key, value);
	*ret = strdup(value);
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int take_context(struct plan *plan, struct err *err)
{
	static const char key[] = "run.oci.mount_context_type";
	static const char *const words[] = {"context", "fscontext", "defcontext", "rootcontext",
					    NULL};
	const char *value = oci_annotation(plan, key);

	if (!value)
		return 0;
	if (!str_in(value, words))
		return err_set(err, EINVAL,
			       "%s: '%.60s' is not context, fscontext, defcontext or rootcontext",
			       key, value);
	plan->mount_context = strdup(value);
	return plan->mount_context ? 0 : err_set(err, ENOMEM, "out of memory");
}

static void tell_of_others(const struct oci *oci)
{
	static const char *const isolating[] = {
		"run.oci.handler",
		"run.oci.seccomp.plugins",
		"run.oci.systemd.force_cgroup_v1",
		"run.oci.delegate-cgroup",
	};

	for (size_t i = 0; i < sizeof(isolating) / sizeof(isolating[0]); i++) {
		if (oci_annotation(oci->plan, isolating[i]))
			doc_say(oci->config, "annotation %s: not carried out here", isolating[i]);
	}
}

int oci_annotations(struct oci *oci, struct err *err)
{
	struct plan *plan = oci->plan;
	const struct {
		const char *key;
		char **to;
	} paths[] = {
		{"run.oci.hooks.stdout", &plan->hook_out},
		{"run.oci.hooks.stderr", &plan->hook_err},
		{"run.oci.pidfd_receiver", &plan->pidfd_receiver},
	};
	int r = take_context(plan, err);

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]) && r == 0; i++)
		r = take_path(plan, paths[i].key, paths[i].to, err);
	if (r < 0)
		return doc_in(err, "annotations");
	tell_of_others(oci);
	return 0;
}

/* "ID SECONDS NANOSECONDS", as /proc/PID/timens_offsets takes it. */
static bool read_offset(const char *text, struct plan_time_offset *ret)
{
	static const struct {
		const char *name;
		uint32_t clock;
	} clocks[] = {
		{"monotonic ", CLOCK_MONOTONIC},
		{"1 ", CLOCK_MONOTONIC},
		{"boottime ", CLOCK_BOOTTIME},
		{"7 ", CLOCK_BOOTTIME},
	};
	char *end;

	for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
		const char *rest;
		if (!str_prefix(text, clocks[i].name, &rest))
			continue;
		errno = 0;
		int64_t seconds = strtoll(rest, &end, 10);
		if (end == rest || *end != ' ')
			return false;
		rest = end + 1;
		unsigned long long ns = strtoull(rest, &end, 10);
		*ret = (struct plan_time_offset){clocks[i].clock, seconds, (uint32_t)ns};
		return end != rest && *end == '\0' && errno == 0 && *rest != '-' && ns < 1000000000;
	}
	return false;
}

int oci_time_annotation(struct plan *plan, struct err *err)
{
	static const char key[] = "run.oci.timens_offset";
	const char *value = oci_annotation(plan, key);
	struct plan_time_offset offset;

	if (!value)
		return 0;
	if (!read_offset(value, &offset))
		return err_set(err, EINVAL,
			       "annotations.%s: '%.60s' is no CLOCK SECONDS NANOSECONDS", key,
			       value);
	if (!(plan->namespaces & CLONE_NEWTIME))
		return err_set(err, EINVAL, "annotations.%s: needs a time namespace", key);
	struct plan_time_offset *to = list_add(&plan->time_offsets, &plan_time_offset_record);
	if (!to)
		return err_set(err, ENOMEM, "out of memory");
	*to = offset;
	return 0;
}

static int digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Base64 with its padding, decoded into *ret; false when it is none. */
static bool decode(const char *text, struct buf *ret)
{
	size_t n = strlen(text);

	if (n == 0 || n % 4 != 0)
		return false;
	for (size_t i = 0; i < n; i += 4) {
		bool last = i + 4 == n;
		size_t pad = last ? (text[n - 1] == '=') + (size_t)(text[n - 2] == '=') : 0;
		uint32_t bits = 0;
		for (size_t k = 0; k < 4; k++) {
			int value = k >= 4 - pad ? 0 : digit(text[i + k]);
			if (value < 0)
				return false;
			bits = bits << 6 | (uint32_t)value;
		}
		for (size_t k = 0; k < 3 - pad; k++)
			buf_add(ret, &(uint8_t){(uint8_t)(bits >> (16 - 8 * k))}, 1);
	}
	return true;
}

int oci_filter_annotation(struct plan *plan, struct err *err)
{
	static const char key[] = "run.oci.seccomp_bpf_data";
	enum { INSTRUCTION = 8, INSTRUCTIONS_MAX = 4096 };
	AUTO_BUF struct buf program = BUF_INIT;
	const char *value = oci_annotation(plan, key);

	if (!value)
		return 0;
	if (!decode(value, &program) || program.len % INSTRUCTION != 0 ||
	    program.len > (size_t)INSTRUCTION * INSTRUCTIONS_MAX)
		return err_set(err, EINVAL, "annotations.%s: is no filter in base64", key);
	int r = buf_check(&program, err);
	if (r == 0)
		r = bytes_set(&plan->process.seccomp, program.data, program.len, err);
	return r < 0 ? r : 1;
}
