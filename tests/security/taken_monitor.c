/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hull-monitor, taken over: each of its threads runs taken_try() where it would begin to serve; the
 * first thread then ends the machine, its complaint being what came of it. The filters refuse here
 * instead of ending the process, so that one life shows all; with "bare" on the guest's command
 * line there are none.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "taken.h"

#include "base/err.h"
#include "base/filter.h"
#include "base/loop.h"
#include "vmm/vcpu.h"
#include "vmm/vmm.h"

int __real_filter_set(const struct filter_rule *rules, size_t n, int code, struct err *err);
int __wrap_filter_set(const struct filter_rule *rules, size_t n, int code, struct err *err);
int __real_vmm_run(const struct vmm_config *config, struct vmm_report *ret, struct err *err);
int __wrap_vmm_run(const struct vmm_config *config, struct vmm_report *ret, struct err *err);
int __real_vcpu_run(struct vcpu *c, struct bus *bus, enum vmm_end *ret, struct err *err);
int __wrap_vcpu_run(struct vcpu *c, struct bus *bus, enum vmm_end *ret, struct err *err);
int __real_loop_run(struct loop *loop, struct err *err);
int __wrap_loop_run(struct loop *loop, struct err *err);

static pthread_t first;
static bool bare;
static unsigned others; /* threads beside the first one that are still at it */
static size_t tried; /* by all of them */
static const char *reached;

static void take(void)
{
	const char *mine = NULL;

	(void)__atomic_fetch_add(&tried, taken_try(!bare, &mine), __ATOMIC_SEQ_CST);
	if (mine)
		__atomic_store_n(&reached, mine, __ATOMIC_SEQ_CST);
}

int __wrap_filter_set(const struct filter_rule *rules, size_t n, int code, struct err *err)
{
	(void)code;
	return bare ? 0 : __real_filter_set(rules, n, EPERM, err);
}

int __wrap_vmm_run(const struct vmm_config *config, struct vmm_report *ret, struct err *err)
{
	first = pthread_self();
	bare = strstr(config->cmdline, "bare") != NULL;
	others = config->cpus + (config->n_disks > 0) + (config->share >= 0);
	return __real_vmm_run(config, ret, err);
}

int __wrap_vcpu_run(struct vcpu *c, struct bus *bus, enum vmm_end *ret, struct err *err)
{
	take();
	(void)__atomic_fetch_sub(&others, 1, __ATOMIC_SEQ_CST);
	return __real_vcpu_run(c, bus, ret, err);
}

int __wrap_loop_run(struct loop *loop, struct err *err)
{
	take();
	if (!pthread_equal(pthread_self(), first)) {
		(void)__atomic_fetch_sub(&others, 1, __ATOMIC_SEQ_CST);
		return __real_loop_run(loop, err);
	}
	while (__atomic_load_n(&others, __ATOMIC_SEQ_CST) > 0)
		;
	const char *what = __atomic_load_n(&reached, __ATOMIC_SEQ_CST);
	return err_set(err, EIO, "tried=%zu reached=%s", __atomic_load_n(&tried, __ATOMIC_SEQ_CST),
		       what ? what : "nothing");
}
