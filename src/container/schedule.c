/* SPDX-License-Identifier: Apache-2.0 */
#include "container/schedule.h"

#include <errno.h>
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "container/process.h"
#include "proto/plan.h"

enum { BITS_MAX = 8192, WORD = 8 * sizeof(unsigned long) };

struct bits {
	unsigned long words[BITS_MAX / WORD];
};

static bool take_number(const char **at, unsigned long *ret)
{
	char *end;

	if (**at < '0' || **at > '9')
		return false;
	*ret = strtoul(*at, &end, 10);
	*at = end;
	return *ret < BITS_MAX;
}

/* "0-3,7" as cpuset(7) has it. */
static int bits_parse(const char *list, const char *field, struct bits *ret, struct err *err)
{
	struct bits bits = {{0}};
	const char *at = list;

	for (;;) {
		unsigned long first = 0;
		unsigned long last;
		bool ok = take_number(&at, &first);
		last = first;
		if (ok && *at == '-') {
			at++;
			ok = take_number(&at, &last) && last >= first;
		}
		if (!ok || (*at != ',' && *at != '\0'))
			return err_set(err, EINVAL, "%s: '%s' is no list of numbers", field, list);
		for (unsigned long n = first; n <= last; n++)
			bits.words[n / WORD] |= 1UL << n % WORD;
		if (*at++ == '\0')
			break;
	}
	*ret = bits;
	return 0;
}

int process_affinity(const char *cpus, const char *field, struct err *err)
{
	struct bits bits;

	if (!cpus || !*cpus)
		return 0;
	int r = bits_parse(cpus, field, &bits, err);
	if (r == 0 && syscall(SYS_sched_setaffinity, 0, sizeof(bits), &bits) < 0)
		r = err_sys(err, "%s: bind to CPUs %s", field, cpus);
	return r;
}

/* Like a system call: errno says why not. */
static int call_scheduler(const struct plan_schedule *s, pid_t pid)
{
	struct sched_attr attr = {
		.size = sizeof(attr),
		.sched_policy = s->policy,
		.sched_flags = s->flags,
		.sched_nice = s->nice,
		.sched_priority = s->priority,
		.sched_runtime = s->runtime,
		.sched_deadline = s->deadline,
		.sched_period = s->period,
	};

	return (int)syscall(SYS_sched_setattr, pid, &attr, 0);
}

static int set_scheduler(const struct plan_schedule *s, struct err *err)
{
	return call_scheduler(s, 0) < 0 ? err_sys(err, "scheduler: set policy %u", s->policy) : 0;
}

int schedule_apply(const struct plan_schedule *s, bool later, struct err *err)
{
	int r = process_affinity(s->cpus_final, "execCPUAffinity.final", err);

	if (r == 0 && s->has_ioprio &&
	    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, s->ioprio) < 0)
		r = err_sys(err, "ioPriority: set class %u, level %u", IOPRIO_PRIO_CLASS(s->ioprio),
			    (unsigned)IOPRIO_PRIO_DATA(s->ioprio));
	return r == 0 && s->set && !later ? set_scheduler(s, err) : r;
}

struct gate {
	atomic_int done; /* 1, or -errno */
};

int gate_new(const struct plan_schedule *schedule, struct gate **ret, struct err *err)
{
	*ret = NULL;
	if (!schedule->set || schedule->policy != SCHED_DEADLINE)
		return 0;
	struct gate *gate = mmap(NULL, sizeof(*gate), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (gate == MAP_FAILED)
		return err_sys(err, "get memory for the scheduler's gate");
	*ret = gate;
	return 0;
}

void gate_free(struct gate *gate)
{
	if (gate)
		(void)munmap(gate, sizeof(*gate));
}

void gate_open(struct gate *gate, const struct plan_schedule *schedule, pid_t pid)
{
	atomic_store(&gate->done, call_scheduler(schedule, pid) < 0 ? -errno : 1);
}

int gate_pass(const struct gate *gate, struct err *err)
{
	enum { WAIT_S = 10 };
	struct timespec now = {.tv_sec = 0};
	time_t end = 0;
	int done = gate ? 0 : 1;

	while (!done && !(done = atomic_load(&gate->done))) {
		(void)clock_gettime(CLOCK_MONOTONIC, &now); /* the vDSO answers */
		end = end ? end : now.tv_sec + WAIT_S;
		done = now.tv_sec > end ? -ETIMEDOUT : 0;
	}
	return done < 0 ? err_set(err, -done, "scheduler: %s", strerrordesc_np(-done)) : 0;
}

static int set_memory_policy(const struct plan *plan, struct err *err)
{
	struct bits bits = {{0}};
	bool nodes = plan->memory_nodes && *plan->memory_nodes;
	int r = nodes ? bits_parse(plan->memory_nodes, "memoryPolicy.nodes", &bits, err) : 0;

	if (r < 0)
		return r;
	/* the kernel takes no mask that is longer than the nodes it may have, unless the rest is 0
	 */
	if (syscall(SYS_set_mempolicy, plan->memory_policy, nodes ? bits.words : NULL,
		    nodes ? BITS_MAX : 0UL) < 0)
		return err_sys(err, "memoryPolicy: set mode %u for nodes '%s'", plan->memory_policy,
			       nodes ? plan->memory_nodes : "");
	return 0;
}

int process_domain(const struct plan *plan, struct err *err)
{
	if (plan->has_personality && personality((unsigned long)plan->personality) < 0)
		return err_sys(err, "personality: set 0x%jx", (uintmax_t)plan->personality);
	return plan->has_memory_policy ? set_memory_policy(plan, err) : 0;
}
