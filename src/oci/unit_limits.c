/* SPDX-License-Identifier: Apache-2.0 */
/* Limits in systemd's words. They are also written to the cgroup itself, exactly; what systemd
 * knows it keeps when it writes its units' settings anew. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "oci/unit.h"
#include "proto/plan.h"

enum { DEFAULT_PERIOD_US = 100000, SECOND_US = 1000000, PERCENT_US = 10000, CPUS_MAX = 8192 };

static int put(struct unit *unit, const char *name, uint64_t value, struct err *err)
{
	return value ? unit_put_number(unit, name, "t", value, err) : 0;
}

/* One "3" or "0-3" of a list at *at, into bits; *at is behind it and its comma then. */
static bool read_run(const char **at, uint8_t bits[static CPUS_MAX / 8], unsigned long *ret_last)
{
	char *end = NULL;
	unsigned long first = strtoul(*at, &end, 10);
	const char *digits = *at;
	unsigned long last = first;

	if (*end == '-') {
		digits = end + 1;
		last = strtoul(digits, &end, 10);
	}
	if (!isdigit((unsigned char)**at) || !isdigit((unsigned char)*digits) || first > last ||
	    last >= CPUS_MAX || (*end && !strchr(",\n", *end)))
		return false;
	for (unsigned long i = first; i <= last; i++)
		bits[i / 8] |= (uint8_t)(1U << i % 8);
	*ret_last = last;
	*at = *end == ',' ? end + 1 : end;
	return true;
}

/* Bits of a list of numbers ("0-3,7"), as systemd takes sets of CPUs and nodes. */
static int put_set(struct unit *unit, const char *name, const char *list, struct err *err)
{
	uint8_t bits[CPUS_MAX / 8] = {0};
	size_t n = 0;

	for (const char *at = list; *at && *at != '\n';) {
		unsigned long last = 0;
		if (!read_run(&at, bits, &last))
			return err_set(err, EINVAL, "%s: '%.60s' is no list of numbers", name,
				       list);
		n = last / 8 + 1 > n ? last / 8 + 1 : n;
	}
	struct unit_property *p = n > 0 ? unit_add(unit, name, "ay", err) : NULL;
	if (n > 0 && !p)
		return -err->code;
	for (size_t i = 0; i < n; i++) {
		int r = unit_add_item(p, bits[i], NULL, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* systemd counts in whole percents of a CPU: rounded up, so that the exact quota fits below it. */
static int put_quota(struct unit *unit, uint64_t quota, uint64_t period, struct err *err)
{
	uint64_t per_second = UINT64_MAX;

	if (quota != UINT64_MAX) {
		uint64_t of = period ? period : DEFAULT_PERIOD_US;
		if (quota > UINT64_MAX / SECOND_US)
			return err_set(err, EINVAL, "cpu.quota: more than systemd can count");
		per_second = quota * SECOND_US / of;
		per_second += (PERCENT_US - per_second % PERCENT_US) % PERCENT_US;
	}
	return put(unit, "CPUQuotaPerSecUSec", per_second, err);
}

static int put_cpu(struct unit *unit, const struct plan_limits *l, bool v2, struct err *err)
{
	uint64_t shares = l->cpu_shares && l->cpu_shares < 2 ? 2 : l->cpu_shares;
	int r = 0;

	if (v2 && l->has_cpu_idle && l->cpu_idle)
		r = unit_put_number(unit, "CPUWeight", "t", 0, err); /* systemd's "idle" */
	else if (v2 && shares)
		r = put(unit, "CPUWeight",
			1 + ((shares > 262144 ? 262144 : shares) - 2) * 9999 / 262142, err);
	else
		r = put(unit, "CPUShares", shares, err);
	if (r == 0 && l->cpu_quota_us)
		r = put_quota(unit, l->cpu_quota_us, l->cpu_period_us, err);
	return r < 0 ? r : put(unit, "CPUQuotaPeriodUSec", l->cpu_period_us, err);
}

static int put_memory(struct unit *unit, const struct plan_limits *l, bool v2, struct err *err)
{
	int r = put(unit, v2 ? "MemoryMax" : "MemoryLimit", l->memory, err);

	if (r < 0 || !v2)
		return r;
	r = put(unit, "MemoryLow", l->memory_reservation, err);
	if (r < 0 || !l->memory_swap)
		return r;
	if (l->memory_swap == UINT64_MAX)
		return put(unit, "MemorySwapMax", UINT64_MAX, err);
	/* the plan counts memory and swap together; without a limit of memory, what there is to
	 * say depends on the cgroup, which is asked when it is written there */
	if (!l->memory || l->memory == UINT64_MAX || l->memory_swap < l->memory)
		return 0;
	return unit_put_number(unit, "MemorySwapMax", "t", l->memory_swap - l->memory, err);
}

/* A number of a v2 file: "max" is no limit. */
static int put_file_number(struct unit *unit, const char *name, const char *text, struct err *err)
{
	char *end = NULL;
	uint64_t value = strncmp(text, "max", 3) == 0 ? UINT64_MAX : strtoull(text, &end, 10);

	/* what is no number the kernel refuses, or knows better */
	if (end && (end == text || (*end && *end != '\n')))
		return 0;
	return unit_put_number(unit, name, "t", value, err);
}

static int put_cpu_max(struct unit *unit, const char *text, struct err *err)
{
	char *end = NULL;
	uint64_t quota = strncmp(text, "max", 3) == 0 ? UINT64_MAX : strtoull(text, &end, 10);
	const char *space = strchr(text, ' ');
	uint64_t period = space ? strtoull(space, NULL, 10) : 0;

	if (quota == 0)
		return 0; /* the kernel refuses it */
	int r = put_quota(unit, quota, period, err);
	return r < 0 ? r : put(unit, "CPUQuotaPeriodUSec", period, err);
}

/* Files of v2 by name that systemd has a property for. */
static int put_file(struct unit *unit, const struct plan_text_pair *file, struct err *err)
{
	static const struct {
		const char *file, *name;
		int (*put)(struct unit *unit, const char *name, const char *text, struct err *err);
	} known[] = {
		{"cpu.weight", "CPUWeight", put_file_number},
		{"cpuset.cpus", "AllowedCPUs", put_set},
		{"cpuset.mems", "AllowedMemoryNodes", put_set},
		{"io.weight", "IOWeight", put_file_number},
		{"memory.high", "MemoryHigh", put_file_number},
		{"memory.low", "MemoryLow", put_file_number},
		{"memory.max", "MemoryMax", put_file_number},
		{"memory.min", "MemoryMin", put_file_number},
		{"memory.swap.max", "MemorySwapMax", put_file_number},
		{"pids.max", "TasksMax", put_file_number},
	};

	if (strcmp(file->name, "cpu.max") == 0)
		return put_cpu_max(unit, file->value, err);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(file->name, known[i].file) == 0)
			return known[i].put(unit, known[i].name, file->value, err);
	}
	return 0;
}

int unit_put_limits(struct unit *unit, const struct plan_limits *l, bool v2, struct err *err)
{
	const struct plan_text_pair *file = l->unified.items;
	int r = put_memory(unit, l, v2, err);

	if (r == 0)
		r = put_cpu(unit, l, v2, err);
	if (r == 0)
		r = put(unit, "TasksMax", l->pids, err);
	if (r < 0 || !v2)
		return r;
	/* 10..1000 onto 1..10000, as the cgroup code has it */
	if (l->blkio_weight)
		r = put(unit, "IOWeight",
			l->blkio_weight <= 10 ? 1 : 1 + (l->blkio_weight - 10) * 9999 / 990, err);
	if (r == 0 && l->cpuset_cpus)
		r = put_set(unit, "AllowedCPUs", l->cpuset_cpus, err);
	if (r == 0 && l->cpuset_mems)
		r = put_set(unit, "AllowedMemoryNodes", l->cpuset_mems, err);
	for (size_t i = 0; r == 0 && i < l->unified.n; i++)
		r = put_file(unit, &file[i], err);
	return r;
}
