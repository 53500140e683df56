/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_ids.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "base/attr.h"
#include "base/err.h"
#include "vmm/vmm_impl.h"

void vmm_count_exits(const struct vmm *m, struct vmm_report *ret)
{
	ret->exits_ports = ret->exits_mmio = ret->exits_other = 0;
	for (unsigned i = 0; i < m->config->cpus; i++) {
		const struct vcpu *c = &m->cpus[i].vcpu;
		ret->exits_ports += __atomic_load_n(&c->exits_ports, __ATOMIC_RELAXED);
		ret->exits_mmio += __atomic_load_n(&c->exits_mmio, __ATOMIC_RELAXED);
		ret->exits_other += __atomic_load_n(&c->exits_other, __ATOMIC_RELAXED);
	}
}

/* One word for each kind of device there is. */
static const char *kind_of(uint32_t id)
{
	static const char *const kinds[] = {
		[VIRTIO_ID_NET] = "net",         [VIRTIO_ID_BLOCK] = "block",
		[VIRTIO_ID_CONSOLE] = "console", [VIRTIO_ID_RNG] = "rng",
		[VIRTIO_ID_BALLOON] = "balloon", [VIRTIO_ID_FS] = "fs",
		[VIRTIO_ID_MEM] = "memory",
	};
	const char *kind = id < sizeof(kinds) / sizeof(kinds[0]) ? kinds[id] : NULL;

	return kind ? kind : "other";
}

/* Not longer than a little: a share that hangs has its device locked. */
static bool lock_soon(struct virtio *v)
{
	enum { PATIENCE_NS = 50 * 1000 * 1000 };
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += PATIENCE_NS;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	return pthread_mutex_clocklock(&v->lock, CLOCK_MONOTONIC, &until) == 0;
}

static void say_device(unsigned slot, struct virtio *v, struct control_call *call)
{
	const char *comma = "";

	if (v->absent) /* a place; only this thread fills it */
		return;
	control_say(call, "device %u %s %s %" PRIu64, slot, kind_of(v->ops->id),
		    v->label ? v->label : "-", v->offered);
	if (!lock_soon(v)) {
		control_say(call, " 0 0 0 busy\n");
		return;
	}
	control_say(call, " %" PRIu64 " %" PRIu32 " %" PRIu64 " ", v->features, v->status,
		    v->ready_us);
	for (uint16_t i = 0; i < v->ops->n_queues; i++) {
		const struct queue *q = &v->queues[i];
		control_say(call, "%s%" PRIu32, comma, q->ready ? q->size : 0);
		comma = ",";
	}
	(void)pthread_mutex_unlock(&v->lock);
	control_say(call, "\n");
}

int report_answer(void *ctx, struct control_call *call, struct err *err)
{
	const struct vmm *m = ctx;
	struct gmem_run runs[GMEM_RUNS];
	struct vmm_report exits;

	if (call->args[0] || call->n_fds > 0)
		return err_set(err, EINVAL, "'report' takes nothing");
	size_t n = gmem_runs(m->mem, runs);
	for (size_t i = 0; i < n; i++)
		control_say(call, "memory %" PRIu64 " %" PRIu64 "\n", runs[i].gpa, runs[i].size);
	for (unsigned i = 0; i < m->bus.n; i++)
		say_device(i, m->bus.devices[i], call);
	vmm_count_exits(m, &exits);
	control_say(call, "exits %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", exits.exits_ports,
		    exits.exits_mmio, exits.exits_other);
	control_say(call, "times %" PRIu64 " %" PRIu64 "\n", m->started_us, m->entered_us);
	return 0;
}
