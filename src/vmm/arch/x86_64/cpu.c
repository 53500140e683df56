/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a processor of the machine is. Of what this host's KVM offers, the leaves of `leaves` are
 * taken and no others, each without some bits (what a guest has no use for, or could not rely on)
 * and with some more; the leaves that say how many processors there are and which this is are
 * written here.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/err.h"
#include "vmm/arch/x86_64/layout.h"

enum { EAX, EBX, ECX, EDX };

#define BIT(n) (1U << (n))

static const struct leaf {
	uint32_t function;
	uint32_t without[4], with[4]; /* eax, ebx, ecx, edx */
} leaves[] = {
	{.function = 0},
	{.function = 1,
	 /* debug store, MONITOR, VMX, SMX, SpeedStep, TM2, xTPR, perf capabilities, DCA */
	 .without[ECX] = BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(14) |
			 BIT(15) | BIT(18),
	 /* x2APIC, TSC deadline (a tenth of the boot less), "runs under a hypervisor" */
	 .with[ECX] = BIT(21) | BIT(24) | BIT(31),
	 /* debug store, thermal control and interrupt */
	 .without[EDX] = BIT(21) | BIT(22) | BIT(29) | BIT(31)},
	{.function = 4},
	/* thermal and power: the APIC timer always runs, no more */
	{.function = 6, .without = {~BIT(2), ~0U, ~0U, ~0U}},
	{.function = 7,
	 /* SGX, cache monitoring and allocation, MPX, processor trace */
	 .without[EBX] = BIT(2) | BIT(12) | BIT(14) | BIT(15) | BIT(25),
	 /* SGX launch, ENQCMD, SGX keys */
	 .without[ECX] = BIT(29) | BIT(30),
	 .without[EDX] = BIT(1)},
	{.function = 0xb},
	{.function = 0xd},
	{.function = 0x15},
	{.function = 0x16},
	{.function = 0x1f},
	{.function = 0x40000000},
	{.function = 0x40000001},
	{.function = 0x80000000},
	{.function = 0x80000001,
	 /* SVM, IBS, SKINIT, watchdog, LWP, topology, performance counters */
	 .without[ECX] = BIT(2) | BIT(10) | BIT(12) | BIT(13) | BIT(15) | BIT(22) | BIT(23) |
			 BIT(24) | BIT(28)},
	{.function = 0x80000002},
	{.function = 0x80000003},
	{.function = 0x80000004},
	{.function = 0x80000005},
	{.function = 0x80000006},
	{.function = 0x80000007, .without = {~0U, ~0U, ~0U, ~BIT(8)}}, /* the TSC is invariant */
	{.function = 0x80000008},
	{.function = 0x80000021},
};

static const struct leaf *find_leaf(uint32_t function)
{
	for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
		if (leaves[i].function == function)
			return &leaves[i];
	}
	return NULL;
}

static unsigned bits_for(unsigned n)
{
	return n <= 1 ? 0 : 32 - (unsigned)__builtin_clz(n - 1);
}

/* One package, a core for each processor, no threads. */
static void place(struct kvm_cpuid_entry2 *e, unsigned index, unsigned cpus)
{
	enum { THREAD = 1, CORE = 2, TYPE_SHIFT = 8 };

	switch (e->function) {
	case 1:
		e->ebx = (e->ebx & 0xffff) | cpus << 16 | index << 24;
		e->edx = cpus > 1 ? e->edx | BIT(28) : e->edx & ~BIT(28);
		break;
	case 4: /* caches are each core's own */
		e->eax = (e->eax & 0x3fff) | (cpus - 1) << 26;
		break;
	case 0xb:
	case 0x1f:
		e->edx = index;
		e->eax = e->index == 1 ? bits_for(cpus) : 0;
		e->ebx = e->index == 0 ? 1 : e->index == 1 ? cpus : 0;
		e->ecx = e->index | (e->index == 0   ? THREAD
				     : e->index == 1 ? CORE
						     : 0)
					    << TYPE_SHIFT;
		break;
	case 0x80000008:
		e->ecx = (cpus - 1) | bits_for(cpus) << 12;
		break;
	default: /* the others do not say */
		break;
	}
}

int cpuid_make(int kvm, unsigned index, unsigned cpus, union cpuid *ret, struct err *err)
{
	uint32_t n = 0;

	*ret = (union cpuid){.list.nent = CPUID_MAX};
	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, ret) < 0)
		return err_sys(err, "ask KVM for the processor's features");
	for (uint32_t i = 0; i < ret->list.nent; i++) {
		struct kvm_cpuid_entry2 e = ret->list.entries[i];
		const struct leaf *leaf = find_leaf(e.function);
		if (!leaf)
			continue;
		e.eax = (e.eax & ~leaf->without[EAX]) | leaf->with[EAX];
		e.ebx = (e.ebx & ~leaf->without[EBX]) | leaf->with[EBX];
		e.ecx = (e.ecx & ~leaf->without[ECX]) | leaf->with[ECX];
		e.edx = (e.edx & ~leaf->without[EDX]) | leaf->with[EDX];
		place(&e, index, cpus);
		ret->list.entries[n++] = e;
	}
	ret->list.nent = n;
	return 0;
}

int cpuid_set(int vcpu, const union cpuid *id, struct err *err)
{
	return ioctl(vcpu, KVM_SET_CPUID2, id) < 0 ? err_sys(err, "set the processor's features")
						   : 0;
}

static int set_msrs(int vcpu, struct err *err)
{
	enum { MISC_ENABLE = 0x1a0, FAST_STRING = 1, MTRR_DEFAULT = 0x2ff };
	enum { MTRR_ENABLE = 1 << 11, WRITE_BACK = 6 };
	static const struct kvm_msr_entry entries[] = {{.index = MISC_ENABLE, .data = FAST_STRING},
						       {.index = MTRR_DEFAULT,
							.data = MTRR_ENABLE | WRITE_BACK}};
	AUTO_FREE struct kvm_msrs *msrs = calloc(1, sizeof(*msrs) + sizeof(entries));

	if (!msrs)
		return err_set(err, ENOMEM, "out of memory");
	msrs->nmsrs = sizeof(entries) / sizeof(entries[0]);
	memcpy(msrs->entries, entries, sizeof(entries));
	return ioctl(vcpu, KVM_SET_MSRS, msrs) < 0 ? err_sys(err, "set the processor's MSRs") : 0;
}

static struct kvm_segment segment(uint16_t selector, uint8_t type, bool is_long)
{
	return (struct kvm_segment){.limit = 0xffffffff,
				    .selector = selector,
				    .type = type,
				    .present = 1,
				    .s = 1,
				    .db = !is_long,
				    .l = is_long,
				    .g = 1};
}

static int set_registers(int vcpu, const struct arch_entry *entry, struct err *err)
{
	enum { CODE = 11, DATA = 3, TASK = 11 };
	enum { CR0_PE = 1, CR0_ET = 1 << 4, CR4_PAE = 1 << 5, EFER_LME_LMA = 0x500 };
	bool is_long = entry->protocol == ENTRY_LINUX64;
	struct kvm_regs r = {.rflags = 2, .rip = entry->address};
	struct kvm_sregs s;

	if (ioctl(vcpu, KVM_GET_SREGS, &s) < 0)
		return err_sys(err, "read the processor's state");
	s.cs = segment(SEL_CODE, CODE, is_long);
	s.ds = s.es = s.fs = s.gs = s.ss = segment(SEL_DATA, DATA, false);
	s.tr = (struct kvm_segment){.limit = 0x67,
				    .selector = SEL_TASK,
				    .type = TASK,
				    .present = 1};
	s.cr0 = CR0_PE | CR0_ET;
	if (is_long) {
		s.gdt.base = AT_GDT;
		s.gdt.limit = 5 * 8 - 1;
		s.cr3 = AT_PAGE_TABLES;
		s.cr4 = CR4_PAE;
		s.cr0 |= 1U << 31;
		s.efer = EFER_LME_LMA;
		r.rsi = entry->info;
		r.rsp = r.rbp = AT_PAGE_TABLES - 16;
	} else {
		s.cr4 = 0;
		s.efer = 0;
		r.rbx = entry->info;
	}
	if (ioctl(vcpu, KVM_SET_SREGS, &s) < 0 || ioctl(vcpu, KVM_SET_REGS, &r) < 0)
		return err_sys(err, "set the processor's state");
	return 0;
}

int arch_vcpu_init(int kvm, int vcpu, unsigned index, unsigned cpus, const struct arch_entry *entry,
		   struct err *err)
{
	union cpuid id;

	int r = cpuid_make(kvm, index, cpus, &id, err);
	if (r == 0)
		r = cpuid_set(vcpu, &id, err);
	if (r == 0)
		r = set_msrs(vcpu, err);
	if (r == 0 && index == 0)
		r = set_registers(vcpu, entry, err);
	return r;
}

int arch_vm_init(int vm, struct err *err)
{
	/* Intel's KVM wants some pages for itself; they lie between devices and APICs. */
	uint64_t identity_map = 0xfffbc000;

	if (ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000UL) < 0 ||
	    ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0)
		return err_sys(err, "place KVM's own pages");
	return ioctl(vm, KVM_CREATE_IRQCHIP, 0) < 0 ? err_sys(err, "make interrupt controllers")
						    : 0;
}
