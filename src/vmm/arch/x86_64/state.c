/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processors and interrupt controllers in a written state: KVM's own structures, as its interface
 * fixes them, and KVM is who judges them when they are set. The order matters (Documentation/virt/
 * kvm/api.rst, and where KVM keeps one fact in two places):
 *
 * Reading: what was asked of the monitor is finished, by KVM_RUN with immediate_exit (vcpu.c).
 * KVM_GET_MP_STATE takes in INIT and SIPI that wait, which changes registers: first. Entering a
 * vCPU for KVM_GET_MSRS may fire its timer, which changes the local APIC: before KVM_GET_LAPIC.
 * Events last, when nothing changes any more.
 *
 * Writing: special registers hold the APIC's mode, so they are before it; the TSC deadline is
 * ignored unless the APIC's timer is in that mode, so it is behind it, and behind the TSC; setting
 * registers forgets events that wait, so these come later. Interrupt controllers are the last: one
 * that they have to deliver finds its local APIC there.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/buf.h"
#include "base/err.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/state.h"

enum { MSRS_MAX = 320, TSC_DEADLINE = 0x6e0, HYPER_V = 0x40000000, HYPER_V_END = 0x40000200 };

union msrs {
	struct kvm_msrs list;
	uint8_t room[sizeof(struct kvm_msrs) + MSRS_MAX * sizeof(struct kvm_msr_entry)];
};

union msr_index {
	struct kvm_msr_list list;
	uint8_t room[sizeof(struct kvm_msr_list) + MSRS_MAX * sizeof(uint32_t)];
};

/* What is read and written as a whole, in the order of reading. */
enum piece { MP_STATE, REGS, XSAVE, XCRS, DEBUGREGS, SREGS, MSRS, LAPIC, EVENTS, PIECES };

/* In the order of writing; MSRS stands for all but the deadline. */
static const enum piece order[PIECES] = {SREGS, XCRS, XSAVE,  DEBUGREGS, LAPIC,
					 MSRS,  REGS, EVENTS, MP_STATE};

static const struct {
	unsigned long get, set;
	size_t size; /* 0: not read as a whole */
	const char *what;
} pieces[PIECES] = {
	[MP_STATE] = {KVM_GET_MP_STATE, KVM_SET_MP_STATE, sizeof(struct kvm_mp_state),
		      "whether it runs"},
	[REGS] = {KVM_GET_REGS, KVM_SET_REGS, sizeof(struct kvm_regs), "registers"},
	[XSAVE] = {KVM_GET_XSAVE, KVM_SET_XSAVE, sizeof(struct kvm_xsave), "vector registers"},
	[XCRS] = {KVM_GET_XCRS, KVM_SET_XCRS, sizeof(struct kvm_xcrs), "XCR0"},
	[DEBUGREGS] = {KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, sizeof(struct kvm_debugregs),
		       "debug registers"},
	[SREGS] = {KVM_GET_SREGS, KVM_SET_SREGS, sizeof(struct kvm_sregs), "special registers"},
	[LAPIC] = {KVM_GET_LAPIC, KVM_SET_LAPIC, sizeof(struct kvm_lapic_state), "local APIC"},
	[EVENTS] = {KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, sizeof(struct kvm_vcpu_events),
		    "events"},
};

/* --- model-specific registers --- */

/* Those that this host's KVM would save, without Hyper-V's, which the guest is not offered. */
static int list_msrs(int kvm, union msr_index *ret, struct err *err)
{
	uint32_t n = 0;

	*ret = (union msr_index){.list.nmsrs = MSRS_MAX};
	if (ioctl(kvm, KVM_GET_MSR_INDEX_LIST, ret) < 0)
		return err_sys(err, "ask KVM for its MSRs");
	for (uint32_t i = 0; i < ret->list.nmsrs; i++) {
		uint32_t index = ret->list.indices[i];
		if (index < HYPER_V || index >= HYPER_V_END)
			ret->list.indices[n++] = index;
	}
	ret->list.nmsrs = n;
	return 0;
}

/* Some of the list this processor has not: KVM stops there, and is asked for what is behind it. */
static int save_msrs(const struct arch_vcpu *c, struct buf *to, struct err *err)
{
	union msr_index known;
	union msrs msrs;
	uint32_t saved = 0;

	int r = list_msrs(c->kvm, &known, err);
	if (r < 0)
		return r;
	size_t count_at = to->len;
	buf_le32(to, 0);
	for (uint32_t at = 0; at < known.list.nmsrs;) {
		uint32_t n = known.list.nmsrs - at;
		msrs = (union msrs){.list.nmsrs = n};
		for (uint32_t i = 0; i < n; i++)
			msrs.list.entries[i].index = known.list.indices[at + i];
		int got = ioctl(c->fd, KVM_GET_MSRS, &msrs);
		if (got < 0)
			return err_sys(err, "read the processor's MSRs");
		buf_add(to, msrs.list.entries, (size_t)got * sizeof(msrs.list.entries[0]));
		saved += (uint32_t)got;
		at += (uint32_t)got + 1;
	}
	if (!to->bad)
		memcpy(to->data + count_at, &saved, sizeof(saved));
	return 0;
}

static bool is_listed(const union msr_index *known, uint32_t index)
{
	for (uint32_t i = 0; i < known->list.nmsrs; i++) {
		if (known->list.indices[i] == index)
			return true;
	}
	return false;
}

static int set_msrs(int vcpu, struct kvm_msrs *msrs, struct err *err)
{
	int n = ioctl(vcpu, KVM_SET_MSRS, msrs);
	if (n < 0)
		return err_sys(err, "set the processor's MSRs");
	if ((uint32_t)n < msrs->nmsrs)
		return err_set(err, EINVAL, "this host cannot set MSR 0x%x as the state has it",
			       msrs->entries[n].index);
	return 0;
}

/* entries: n of them, as they stand in the state. */
static int load_msrs(const struct arch_vcpu *c, const uint8_t *entries, uint32_t n, struct err *err)
{
	union msrs msrs = {0};
	struct kvm_msr_entry e;
	struct kvm_msr_entry deadline = {0};
	union msr_index known;

	int r = list_msrs(c->kvm, &known, err);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < n; i++) {
		memcpy(&e, entries + i * sizeof(e), sizeof(e));
		if (!is_listed(&known, e.index))
			return err_set(err, EINVAL, "this host does not know MSR 0x%x", e.index);
		if (e.index != TSC_DEADLINE)
			msrs.list.entries[msrs.list.nmsrs++] = e;
		else
			deadline = e;
	}
	r = set_msrs(c->fd, &msrs.list, err);
	if (r < 0 || deadline.index == 0)
		return r;
	msrs.list.nmsrs = 1;
	msrs.list.entries[0] = deadline;
	return set_msrs(c->fd, &msrs.list, err);
}

/* --- a processor --- */

/* What the guest's kernel found at its boot must be there still: features, and how fast the TSC
 * counts. */
static int save_kind(const struct arch_vcpu *c, struct buf *to, struct err *err)
{
	union cpuid id;

	int r = cpuid_make(c->kvm, c->index, c->cpus, &id, err);
	if (r < 0)
		return r;
	int khz = ioctl(c->fd, KVM_GET_TSC_KHZ, 0);
	if (khz < 0)
		return err_sys(err, "ask how fast the TSC counts");
	buf_le32(to, (uint32_t)khz);
	buf_le32(to, id.list.nent);
	buf_add(to, id.list.entries, id.list.nent * sizeof(id.list.entries[0]));
	return 0;
}

static int load_kind(const struct arch_vcpu *c, struct state_reader *from, struct err *err)
{
	union cpuid id;

	int r = cpuid_make(c->kvm, c->index, c->cpus, &id, err);
	if (r == 0)
		r = cpuid_set(c->fd, &id, err);
	if (r < 0)
		return r;
	uint32_t khz = state_take32(from);
	if (state_take32(from) != id.list.nent ||
	    !state_take_same(from, id.list.entries, id.list.nent * sizeof(id.list.entries[0])))
		return err_set(err, EINVAL, "this host's processors are others than the state's");
	if ((uint32_t)ioctl(c->fd, KVM_GET_TSC_KHZ, 0) != khz &&
	    ioctl(c->fd, KVM_SET_TSC_KHZ, (unsigned long)khz) < 0)
		return err_sys(err, "let the TSC count %u kHz", khz);
	return 0;
}

int arch_vcpu_save(const struct arch_vcpu *c, struct buf *to, struct err *err)
{
	union {
		struct kvm_xsave largest;
		uint8_t bytes[sizeof(struct kvm_xsave)];
	} piece;

	int r = save_kind(c, to, err);
	for (size_t i = 0; i < PIECES && r == 0; i++) {
		if (i == MSRS) {
			r = save_msrs(c, to, err);
			continue;
		}
		memset(&piece, 0, sizeof(piece));
		if (ioctl(c->fd, pieces[i].get, &piece) < 0)
			return err_sys(err, "read the processor's %s", pieces[i].what);
		buf_add(to, piece.bytes, pieces[i].size);
	}
	return r;
}

static int set_piece(const struct arch_vcpu *c, enum piece i, const uint8_t *bytes, struct err *err)
{
	return ioctl(c->fd, pieces[i].set, bytes) < 0
		       ? err_sys(err, "set the processor's %s", pieces[i].what)
		       : 0;
}

int arch_vcpu_load(const struct arch_vcpu *c, struct state_reader *from, struct err *err)
{
	const uint8_t *at[PIECES];
	uint32_t n_msrs = 0;

	int r = load_kind(c, from, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < PIECES; i++) {
		size_t size = pieces[i].size;
		if (i == MSRS) {
			n_msrs = state_take32(from);
			if (n_msrs > MSRS_MAX)
				return err_set(err, EINVAL, "%u MSRs are too many", n_msrs);
			size = n_msrs * sizeof(struct kvm_msr_entry);
		}
		at[i] = state_take_ref(from, size);
	}
	r = state_taken(from, err);
	for (size_t i = 0; i < PIECES && r == 0; i++) {
		enum piece next = order[i];
		r = next == MSRS ? load_msrs(c, at[next], n_msrs, err)
				 : set_piece(c, next, at[next], err);
	}
	/* its watchdogs are not to take the time between for a processor that hangs; fails when the
	 * guest does not use KVM's clock */
	if (r == 0)
		(void)ioctl(c->fd, KVM_KVMCLOCK_CTRL, 0);
	return r;
}

/* --- the machine --- */

enum { CHIPS = 3 }; /* two PICs, the I/O APIC */

int arch_vm_save(int vm, struct buf *to, struct err *err)
{
	struct kvm_clock_data clock = {0};

	for (uint32_t i = 0; i < CHIPS; i++) {
		struct kvm_irqchip chip = {.chip_id = i};
		if (ioctl(vm, KVM_GET_IRQCHIP, &chip) < 0)
			return err_sys(err, "read interrupt controller %u", i);
		buf_add(to, &chip.chip, sizeof(chip.chip));
	}
	if (ioctl(vm, KVM_GET_CLOCK, &clock) < 0)
		return err_sys(err, "read the machine's clock");
	buf_le64(to, clock.clock);
	return 0;
}

int arch_vm_load(int vm, struct state_reader *from, struct err *err)
{
	struct kvm_irqchip chips[CHIPS];

	for (uint32_t i = 0; i < CHIPS; i++) {
		chips[i] = (struct kvm_irqchip){.chip_id = i};
		state_take(from, &chips[i].chip, sizeof(chips[i].chip));
	}
	struct kvm_clock_data clock = {.clock = state_take64(from)};
	int r = state_taken(from, err);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < CHIPS; i++) {
		if (ioctl(vm, KVM_SET_IRQCHIP, &chips[i]) < 0)
			return err_sys(err, "set interrupt controller %u", i);
	}
	return ioctl(vm, KVM_SET_CLOCK, &clock) < 0 ? err_sys(err, "set the machine's clock") : 0;
}
