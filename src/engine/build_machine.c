/* SPDX-License-Identifier: Apache-2.0 */
/* The machine of a workload that has a kernel of its own. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/store.h"
#include "engine/build.h"
#include "machine/machine.h"

#define MEMORY_DEFAULT (UINT64_C(1) << 30)
#define MEMORY_MAX     (UINT64_C(1) << 39)

enum { CPUS_DEFAULT_MAX = 4, CPUS_MAX = 64 };

/* A processor for each that --cpus allows, else those of the host, but not many. */
static uint32_t count_cpus(const struct plan_limits *limits, uint32_t accel)
{
	long host = sysconf(_SC_NPROCESSORS_ONLN);
	uint32_t asked = plan_limits_cpus(limits);

	if (asked > 0)
		return asked < CPUS_MAX ? asked : CPUS_MAX;
	if (accel == ACCEL_TCG || host < 1)
		return 1; /* emulated ones only get in each other's way */
	return host < CPUS_DEFAULT_MAX ? (uint32_t)host : CPUS_DEFAULT_MAX;
}

/* More than the host has can be asked for, as they take turns; not fewer than it starts with. */
static int set_max_cpus(struct plan_machine *m, int64_t asked, struct err *err)
{
	if (asked && (asked < m->cpus || asked > CPUS_MAX))
		return err_set(err, ERANGE, "--max-cpus: from %u, which it starts with, to %d",
			       m->cpus, CPUS_MAX);
	m->max_cpus = asked ? (uint32_t)asked : m->cpus;
	return 0;
}

/* max: what the workload may be given while it runs; 0: no more than `memory`. */
static int set_memory(struct plan_machine *m, uint64_t memory, uint64_t max, struct err *err)
{
	memory = memory ? memory : MEMORY_DEFAULT;
	m->memory = plan_machine_memory(m->memory_own, memory);
	if (max == 0)
		return 0;
	if (m->accel != ACCEL_KVM)
		return err_set(err, EOPNOTSUPP,
			       "--max-memory: a machine without KVM keeps what it has");
	if (max < memory || max > MEMORY_MAX)
		return err_set(err, ERANGE, "--max-memory: from --memory (%ju) to %ju bytes",
			       (uintmax_t)memory, (uintmax_t)MEMORY_MAX);
	m->max_memory = plan_machine_memory(m->memory_own, max);
	return 0;
}

int build_machine(const struct build *b, char notice[NOTICE_MAX], struct err *err)
{
	struct plan_machine *m = &b->plan->machine;
	AUTO_KERNEL struct kernel kernel = {0};
	char why[PROBE_WHY_MAX];

	int r = kernel_find(b->store->root, b->options->kernel, &kernel, err);
	if (r < 0)
		return r;
	m->kernel = TAKE_PTR(kernel.path);
	m->initramfs = TAKE_PTR(kernel.initramfs);
	m->modules = TAKE_PTR(kernel.modules);
	r = set_str(&m->kernel_args, b->options->kernel_args, err);
	if (r < 0)
		return r;
	if (asprintf(&m->disk, "%s/workloads/%s/disk.ext4", b->store->root, b->id) < 0)
		return err_set(err, ENOMEM, "out of memory");
	m->accel = machine_accel(b->store->run_fd, why);
	if (m->accel == ACCEL_TCG)
		(void)snprintf(notice, NOTICE_MAX,
			       "no usable KVM (%s): the machine is emulated, which is slow", why);
	m->memory_own = kernel.need;
	r = set_memory(m, b->plan->limits.memory, b->options->max_memory, err);
	if (r < 0)
		return r;
	m->cpus = count_cpus(&b->plan->limits, m->accel);
	return set_max_cpus(m, b->options->max_cpus, err);
}
