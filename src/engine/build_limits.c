/* SPDX-License-Identifier: Apache-2.0 */
/* --memory, --cpus and their like, as numbers for cgroups. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/err.h"
#include "engine/build.h"

enum {
	MEMORY_MIN = 6 << 20, /* less cannot even start a program */
	CPU_PERIOD_US = 100000,
	CPU_QUOTA_MIN_US = 1000, /* the kernel's */
	SHARES_MIN = 2,
	SHARES_MAX = 262144,
	BLKIO_MIN = 10,
	BLKIO_MAX = 1000,
};

static int memory(const struct limit_options *o, struct plan_limits *l, struct err *err)
{
	if (o->memory && o->memory < MEMORY_MIN)
		return err_set(err, ERANGE, "--memory: less than 6m, with which nothing can start");
	if (o->memory_reservation && o->memory && o->memory_reservation > o->memory)
		return err_set(err, EINVAL, "--memory-reservation: more than --memory");
	l->memory = o->memory;
	l->memory_reservation = o->memory_reservation;
	if (!o->memory_swap) {
		l->memory_swap = o->memory * 2; /* docker's default */
		return 0;
	}
	if (!o->memory)
		return err_set(err, EINVAL, "--memory-swap: needs --memory as well");
	if (strcmp(o->memory_swap, "-1") == 0) {
		l->memory_swap = UINT64_MAX;
		return 0;
	}
	int r = parse_size(o->memory_swap, "--memory-swap", &l->memory_swap, err);
	if (r == 0 && l->memory_swap && l->memory_swap < o->memory)
		r = err_set(err, EINVAL,
			    "--memory-swap: counts memory and swap, so it cannot be "
			    "less than --memory");
	return r;
}

static int cpu(const struct limit_options *o, struct plan_limits *l, struct err *err)
{
	long host = sysconf(_SC_NPROCESSORS_ONLN);

	if (o->nano_cpus) {
		uint64_t quota = o->nano_cpus / (1000000000 / CPU_PERIOD_US);
		if (quota < CPU_QUOTA_MIN_US ||
		    (host > 0 && o->nano_cpus / 1000000000 > (uint64_t)host))
			return err_set(err, ERANGE,
				       "--cpus: from 0.01 to %ld, as many as there are", host);
		l->cpu_quota_us = quota;
		l->cpu_period_us = CPU_PERIOD_US;
	}
	if (o->cpu_shares && (o->cpu_shares < SHARES_MIN || o->cpu_shares > SHARES_MAX))
		return err_set(err, ERANGE, "--cpu-shares: %" PRId64 " is outside %d to %d",
			       o->cpu_shares, SHARES_MIN, SHARES_MAX);
	l->cpu_shares = (uint64_t)o->cpu_shares;
	return 0;
}

/* "0-2,7". */
static int cpuset(const char *text, const char *what, char **to, struct err *err)
{
	if (text && (!*text || strspn(text, "0123456789,-") != strlen(text)))
		return err_set(err, EINVAL, "%s: '%s' is not a list like 0-2,7", what, text);
	free(*to);
	*to = NULL;
	if (!text)
		return 0;
	*to = strdup(text);
	return *to ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* "/dev/sda:10m": a block device of the host, and what may pass in a second (0: all). */
static int device_limit(const char *text, const char *what, uint32_t kind, struct list *to,
			struct err *err)
{
	const char *colon = strrchr(text, ':');
	struct stat st;
	uint64_t value;

	if (!colon || colon == text)
		return err_set(err, EINVAL, "%s: '%s' is not DEVICE:RATE", what, text);
	AUTO_FREE char *path = strndup(text, (size_t)(colon - text));
	if (!path)
		return err_set(err, ENOMEM, "out of memory");
	int r = parse_size(colon + 1, what, &value, err);
	if (r < 0)
		return r;
	if (stat(path, &st) < 0)
		return err_sys(err, "%s: '%s'", what, path);
	if (!S_ISBLK(st.st_mode))
		return err_set(err, ENOTBLK, "%s: '%s' is no block device", what, path);
	struct plan_blkio *b = list_add(to, &plan_blkio_record);
	if (!b)
		return err_set(err, ENOMEM, "out of memory");
	*b = (struct plan_blkio){.kind = kind,
				 .major = major(st.st_rdev),
				 .minor = minor(st.st_rdev),
				 .value = value};
	return 0;
}

static int device_limits(const struct limit_options *o, struct list *to, struct err *err)
{
	const struct {
		const struct strv *texts;
		const char *what;
		uint32_t kind;
	} all[] = {
		{&o->read_bps, "--device-read-bps", BLKIO_READ_BPS},
		{&o->write_bps, "--device-write-bps", BLKIO_WRITE_BPS},
		{&o->read_iops, "--device-read-iops", BLKIO_READ_IOPS},
		{&o->write_iops, "--device-write-iops", BLKIO_WRITE_IOPS},
	};
	int r = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		for (size_t k = 0; r == 0 && k < all[i].texts->n; k++)
			r = device_limit(all[i].texts->v[k], all[i].what, all[i].kind, to, err);
	}
	return r;
}

/* 0 is asked for by UINT64_MAX: silence is 0. */
static int network_rate(const char *text, const char *what, uint64_t *to, struct err *err)
{
	uint64_t rate = 0;

	*to = 0;
	if (!text)
		return 0;
	int r = parse_size(text, what, &rate, err);
	if (r == 0)
		*to = rate ? rate : UINT64_MAX;
	return r;
}

int limits_check_network(const struct plan *plan, bool vm, const struct plan_limits *l,
			 struct err *err)
{
	bool egress = plan_rate(l->net_egress);
	const char *what = plan_rate(l->net_ingress) ? "--network-ingress" : "--network-egress";

	if (!egress && !plan_rate(l->net_ingress))
		return 0;
	if (plan->net.kind != NET_BRIDGE)
		return err_set(err, EINVAL,
			       "%s: with --network %s it has no interface of its own to limit",
			       what, plan->net.kind == NET_HOST ? "host" : "none");
	if (vm && egress && plan->machine.accel != ACCEL_KVM)
		return err_set(err, ENOTSUP,
			       "--network-egress: what a machine sends is limited by "
			       "hull-monitor, which needs KVM");
	return 0;
}

int limits_parse(const struct limit_options *o, struct plan_limits *ret, struct err *err)
{
	int r = memory(o, ret, err);

	if (r == 0)
		r = cpu(o, ret, err);
	if (r == 0)
		r = cpuset(o->cpuset_cpus, "--cpuset-cpus", &ret->cpuset_cpus, err);
	if (r == 0)
		r = cpuset(o->cpuset_mems, "--cpuset-mems", &ret->cpuset_mems, err);
	if (r < 0)
		return r;
	if (o->pids_limit < -1)
		return err_set(err, ERANGE, "--pids-limit: %" PRId64 " is no count (-1: no limit)",
			       o->pids_limit);
	ret->pids = o->pids_limit < 0 ? UINT64_MAX : (uint64_t)o->pids_limit;
	if (o->blkio_weight && (o->blkio_weight < BLKIO_MIN || o->blkio_weight > BLKIO_MAX))
		return err_set(err, ERANGE, "--blkio-weight: %" PRId64 " is outside %d to %d",
			       o->blkio_weight, BLKIO_MIN, BLKIO_MAX);
	ret->blkio_weight = (uint64_t)o->blkio_weight;
	r = network_rate(o->network_ingress, "--network-ingress", &ret->net_ingress, err);
	if (r == 0)
		r = network_rate(o->network_egress, "--network-egress", &ret->net_egress, err);
	if (r < 0)
		return r;
	return device_limits(o, &ret->blkio, err);
}
