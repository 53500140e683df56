/* SPDX-License-Identifier: Apache-2.0 */
/* One virtual processor: a thread that lets the guest run until it needs something. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "vmm/vmm.h"

struct bus;
struct err;
struct kvm_run;

struct vcpu {
	int fd; /* owned */
	struct kvm_run *run; /* shared with the kernel; owned */
	size_t run_len;
	uint64_t exits_ports, exits_mmio, exits_other; /* of this one's thread; relaxed atomics */
};

/* Makes processor `index` of the machine. Release with vcpu_done(). */
int vcpu_init(struct vcpu *c, int kvm, int vm, unsigned index, struct err *err) HULL_MUST_CHECK;

/* Zeroed is fine; its thread is gone. */
void vcpu_done(struct vcpu *c);

/* What vcpu_run() answers beside 0. */
enum { VCPU_STOPPED = 1 };

/* Runs it until the machine ends through what this processor did (0, *ret says how), KVM cannot go
 * on, or VCPU_STOPPED: it was told to, and all that its guest had asked for is done. */
int vcpu_run(struct vcpu *c, struct bus *bus, enum vmm_end *ret, struct err *err) HULL_MUST_CHECK;

/* Tells it to stop, from any thread; its own is to be interrupted by a signal afterwards, if KVM
 * has it. */
void vcpu_stop(struct vcpu *c);

/* Takes that back: vcpu_run() may be called again. */
void vcpu_go(struct vcpu *c);
