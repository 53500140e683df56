/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What belongs to an architecture: how a machine of it is laid out, what its kernel is told and how
 * its processors begin. Implemented once per folder of arch/.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct buf;
struct err;
struct gmem;
struct state_reader;

/* Where device registers are, each device a page, and the interrupt line of each. */
#define ARCH_MMIO_BASE 0xd0000000ULL
enum { ARCH_MMIO_STRIDE = 0x1000, ARCH_FIRST_LINE = 5, ARCH_DEVICES_MAX = 19 };

enum { ARCH_CPUS_MAX = 64, ARCH_CMDLINE_MAX = 2047 };

/* What a machine starts from; all borrowed. */
struct arch_boot {
	const struct gmem *mem;
	int kernel, initramfs; /* files; initramfs -1: none */
	const char *cmdline;
	unsigned cpus, devices;
};

/* How the first processor begins. */
struct arch_entry {
	uint64_t address;
	uint64_t info; /* guest address of what the kernel is told */
	enum { ENTRY_PVH = 1, ENTRY_LINUX64 } protocol;
};

/* Before any vCPU: interrupt controllers and what else is the machine's. */
int arch_vm_init(int vm, struct err *err) HULL_MUST_CHECK;

/* Loads kernel, initramfs, command line and tables. The files may lie; nothing is trusted but their
 * size. */
int arch_load(const struct arch_boot *boot, struct arch_entry *ret, struct err *err)
	HULL_MUST_CHECK;

/* Gives vCPU `index` its features and registers; the first one begins at entry, the others wait for
 * it. */
int arch_vcpu_init(int kvm, int vcpu, unsigned index, unsigned cpus, const struct arch_entry *entry,
		   struct err *err) HULL_MUST_CHECK;

/* A processor takes no more of a written state than this, and the rest of the machine beside its
 * devices neither. */
enum { ARCH_STATE_MAX = 32768 };

/* A processor as KVM and a written state know it. */
struct arch_vcpu {
	int kvm, fd; /* /dev/kvm and the vCPU's */
	unsigned index, cpus; /* which of how many */
};

/* Appends a processor that is stopped between two instructions. It allocates nothing as long as
 * `to` has room. */
int arch_vcpu_save(const struct arch_vcpu *c, struct buf *to, struct err *err) HULL_MUST_CHECK;

/* Makes a new processor what the state says. Refused when this host's processors are others; what
 * registers may hold, KVM judges. */
int arch_vcpu_load(const struct arch_vcpu *c, struct state_reader *from, struct err *err)
	HULL_MUST_CHECK;

/* The interrupt controllers and the clock; after all processors. The clock goes on where it stood.
 */
int arch_vm_save(int vm, struct buf *to, struct err *err) HULL_MUST_CHECK;
int arch_vm_load(int vm, struct state_reader *from, struct err *err) HULL_MUST_CHECK;
