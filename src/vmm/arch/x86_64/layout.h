/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first mebibyte of guest memory, and the ports. All addresses are guest-physical; what stands
 * below LOW_END is told to the kernel as usable and is read by it before it is used.
 */
#pragma once

#include <linux/kvm.h>

#include "vmm/arch.h"

struct buf;

enum {
	AT_GDT = 0x500,
	AT_START_INFO = 0x6000, /* PVH: start info, module list, memory map */
	AT_MODULES = 0x6400,
	AT_MEMORY_MAP = 0x6800,
	AT_ZERO_PAGE = 0x7000, /* 64-bit protocol: struct boot_params */
	AT_PAGE_TABLES = 0x9000, /* three pages: the first GiB, one to one */
	AT_CMDLINE = 0x20000,
	LOW_END = 0x9fc00,
	AT_TABLES = 0xe0000, /* ACPI; reserved in the memory map */
	HIGH = 0x100000,
};

/* Selectors in the table at AT_GDT. */
enum { SEL_CODE = 0x10, SEL_DATA = 0x18, SEL_TASK = 0x20 };

/* Ports; SLEEP and RESET are ours, announced in the FADT. */
enum {
	PORT_SERIAL = 0x3f8,
	PORT_SLEEP_CONTROL = 0x600,
	PORT_SLEEP_STATUS = 0x601,
	PORT_RESET = 0x602,
	RESET_VALUE = 1,
	SLEEP_TYPE_OFF = 5,
};

/* Appends the ACPI tables as they stand at guest address `at`; *rsdp is where their root is. */
void acpi_tables(struct buf *b, uint64_t at, unsigned cpus, unsigned devices, uint64_t *rsdp);

/* The features of a processor. */
enum { CPUID_MAX = 256 };
union cpuid {
	struct kvm_cpuid2 list;
	uint8_t room[sizeof(struct kvm_cpuid2) + CPUID_MAX * sizeof(struct kvm_cpuid_entry2)];
};

/* Those of processor `index` of so many, on this host. */
int cpuid_make(int kvm, unsigned index, unsigned cpus, union cpuid *ret, struct err *err)
	HULL_MUST_CHECK;
int cpuid_set(int vcpu, const union cpuid *id, struct err *err) HULL_MUST_CHECK;

/* A kernel in guest memory. */
struct kernel_loaded {
	struct arch_entry entry; /* its info is not set */
	uint64_t end; /* the first address that is free behind it */
	uint8_t header[128]; /* bzImage: its setup header, for boot_params */
	size_t header_len; /* 0: an ELF */
};

/* Loads an ELF (vmlinux) or a bzImage from the file. */
int kernel_load(const struct gmem *mem, int fd, struct kernel_loaded *ret, struct err *err)
	HULL_MUST_CHECK;
