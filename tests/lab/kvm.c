/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest of one page in 64-bit mode that does what a stock kernel does and some hosts with a
 * /dev/kvm cannot carry out: `lock cmpxchg16b`. It answers with one word on a port.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

enum { CODE = 0x1000, TABLES = 0x2000, DATA = 0x5000, MEMORY = 0x200000, ANSWER = 0x1234 };

extern const char guest_start[], guest_end[];
__asm__(".pushsection .rodata\n"
	"guest_start:\n"
	"	mov $0x5000, %edi\n" /* DATA, zero so far */
	"	xor %eax, %eax\n"
	"	xor %edx, %edx\n"
	"	xor %ecx, %ecx\n"
	"	mov $0x1234, %ebx\n" /* ANSWER */
	"	lock cmpxchg16b (%rdi)\n"
	"	mov (%rdi), %eax\n"
	"	mov $0x10, %edx\n"
	"	outw %ax, %dx\n"
	"	hlt\n"
	"guest_end:\n"
	".popsection\n");

static int must(int r, const char *what)
{
	if (r < 0) {
		perror(what);
		exit(1);
	}
	return r;
}

/* The first 2 MiB, mapped to themselves by one large page; code and data segments for 64 bits. */
static void long_mode(char *memory, struct kvm_sregs *s)
{
	const uint64_t present_writable = 3;
	const uint64_t large = 0x80;
	uint64_t *tables = (uint64_t *)(void *)(memory + TABLES);

	tables[0] = (TABLES + 0x1000) | present_writable;
	tables[512] = (TABLES + 0x2000) | present_writable;
	tables[1024] = present_writable | large;
	s->cr3 = TABLES;
	s->cr4 = 0x20; /* PAE */
	s->cr0 = 0x80000011; /* PG, ET, PE */
	s->efer = 0x500; /* LME, LMA */
	s->cs = (struct kvm_segment){.limit = 0xffffffff,
				     .selector = 8,
				     .type = 11,
				     .present = 1,
				     .s = 1,
				     .l = 1,
				     .g = 1};
	s->ds = s->es = s->ss = (struct kvm_segment){.limit = 0xffffffff,
						     .selector = 16,
						     .type = 3,
						     .present = 1,
						     .s = 1,
						     .db = 1,
						     .g = 1};
}

int main(void)
{
	int kvm = must(open("/dev/kvm", O_RDWR | O_CLOEXEC), "open /dev/kvm");
	int vm = must(ioctl(kvm, KVM_CREATE_VM, 0), "create a machine");
	char *memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			    0);
	must(memory == MAP_FAILED ? -1 : 0, "map its memory");
	struct kvm_userspace_memory_region region = {.memory_size = MEMORY,
						     .userspace_addr = (uintptr_t)memory};
	must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "give it memory");
	int vcpu = must(ioctl(vm, KVM_CREATE_VCPU, 0), "create its CPU");
	size_t shared = (size_t)must(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0),
				     "ask for the size of a CPU");
	struct kvm_run *run = mmap(NULL, shared, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	must(run == MAP_FAILED ? -1 : 0, "map its CPU");

	struct kvm_sregs sregs;
	must(ioctl(vcpu, KVM_GET_SREGS, &sregs), "read its segments");
	long_mode(memory, &sregs);
	must(ioctl(vcpu, KVM_SET_SREGS, &sregs), "set its segments");
	memcpy(memory + CODE, guest_start, (size_t)(guest_end - guest_start));
	struct kvm_regs regs = {.rip = CODE, .rflags = 2};
	must(ioctl(vcpu, KVM_SET_REGS, &regs), "set its registers");

	must(ioctl(vcpu, KVM_RUN, 0), "run it");
	if (run->exit_reason != KVM_EXIT_IO) {
		(void)fprintf(stderr, "it stopped with exit reason %u\n", run->exit_reason);
		return 1;
	}
	uint16_t answer;
	memcpy(&answer, (const char *)run + run->io.data_offset, sizeof(answer));
	printf("the guest answers 0x%x\n", answer);
	return answer != ANSWER;
}
