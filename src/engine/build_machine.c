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

enum { CPUS_DEFAULT_MAX = 4, CPUS_MAX = 64, NANO = 1000000000 };

/* A processor for each that --cpus allows, else those of the host, but not many. */
static uint32_t count_cpus(const struct run_options *o, uint32_t accel)
{
	long host = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t asked = (o->limits.nano_cpus + NANO - 1) / NANO;

	if (asked > 0)
		return asked < CPUS_MAX ? (uint32_t)asked : CPUS_MAX;
	if (accel == ACCEL_TCG || host < 1)
		return 1; /* emulated ones only get in each other's way */
	return host < CPUS_DEFAULT_MAX ? (uint32_t)host : CPUS_DEFAULT_MAX;
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
	m->memory = kernel_machine_memory(&kernel, b->plan->limits.memory ? b->plan->limits.memory
									  : MEMORY_DEFAULT);
	m->cpus = count_cpus(b->options, m->accel);
	return 0;
}
