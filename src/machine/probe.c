/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest guest that tells: 64-bit mode with paging, an interrupt table with one handler, and
 * in turn `lock cmpxchg16b`, `xsave`/`xrstor` and `int3`, which is where emulators of hosts without
 * hardware virtualization give up and which every stock kernel executes while it boots. The guest
 * leaves a mark in memory after each and halts. The guest's memory is 2 MiB from address 0, mapped
 * one to one; the layout stands below.
 */
#include "machine/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "proto/plan.h"

enum {
	MEMORY = 2 << 20,
	PML4 = 0x1000,
	PDPT = 0x2000,
	PD = 0x3000,
	IDT = 0x4000,
	GDT = 0x5000,
	CODE = 0x8000,
	HANDLER = 0x8800,
	MARKS = 0x9000, /* one byte each, set by the guest */
	XSAVE_AREA = 0xa000,
	PAIR = 0xb000, /* 16 bytes for cmpxchg16b */
	STACK = 0x20000,
	N_MARKS = 4,
	TIMEOUT_MS = 2000,
};

static const char *const mark_names[N_MARKS] = {"cmpxchg16b", "xsave/xrstor", "int3",
						"returning from int3"};

/*
 * mov $PAIR, %edi; xor %eax, %eax; xor %edx, %edx; mov $1, %ebx; mov $2, %ecx
 * lock cmpxchg16b (%rdi); jne fail; movb $1, MARKS
 * mov $XSAVE_AREA, %edi; mov $3, %eax; xor %edx, %edx; xsave (%rdi); xrstor (%rdi); movb $1,
 * MARKS+1 int3; movb $1, MARKS+3; fail: hlt
 */
static const uint8_t code[] = {
	0xbf, 0x00, 0xb0, 0x00, 0x00, 0x31, 0xc0, 0x31, 0xd2, 0xbb, 0x01, 0x00, 0x00, 0x00,
	0xb9, 0x02, 0x00, 0x00, 0x00, 0xf0, 0x48, 0x0f, 0xc7, 0x0f, 0x75, 0x2b, 0xc6, 0x04,
	0x25, 0x00, 0x90, 0x00, 0x00, 0x01, 0xbf, 0x00, 0xa0, 0x00, 0x00, 0xb8, 0x03, 0x00,
	0x00, 0x00, 0x31, 0xd2, 0x0f, 0xae, 0x27, 0x0f, 0xae, 0x2f, 0xc6, 0x04, 0x25, 0x01,
	0x90, 0x00, 0x00, 0x01, 0xcc, 0xc6, 0x04, 0x25, 0x03, 0x90, 0x00, 0x00, 0x01, 0xf4,
};
/* movb $1, MARKS+2; iretq */
static const uint8_t handler[] = {0xc6, 0x04, 0x25, 0x02, 0x90, 0x00, 0x00, 0x01, 0x48, 0xcf};

static void put64(uint8_t *memory, size_t at, uint64_t v)
{
	memcpy(memory + at, &v, sizeof(v));
}

static void lay_out(uint8_t *m)
{
	enum { PRESENT_WRITE = 3, LARGE = 0x80, GATE = 0x8e, VECTOR_INT3 = 3 };

	put64(m, PML4, PDPT | PRESENT_WRITE);
	put64(m, PDPT, PD | PRESENT_WRITE);
	put64(m, PD, 0 | PRESENT_WRITE | LARGE);
	put64(m, GDT + 8, 0x00af9b000000ffff); /* 64-bit code */
	put64(m, GDT + 16, 0x00cf93000000ffff); /* data */
	put64(m, IDT + VECTOR_INT3 * 16,
	      (HANDLER & 0xffff) | 8ULL << 16 | (uint64_t)GATE << 40 |
		      ((uint64_t)HANDLER >> 16) << 48);
	memcpy(m + CODE, code, sizeof(code));
	memcpy(m + HANDLER, handler, sizeof(handler));
}

static int set_registers(int vcpu)
{
	struct kvm_sregs s;
	struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs = {{.xcr = 0, .value = 3}}};
	struct kvm_regs r = {.rip = CODE, .rsp = STACK, .rflags = 2};

	if (ioctl(vcpu, KVM_GET_SREGS, &s) < 0)
		return -errno;
	struct kvm_segment cs = {.limit = 0xffffffff,
				 .selector = 8,
				 .type = 11,
				 .present = 1,
				 .s = 1,
				 .l = 1,
				 .g = 1};
	struct kvm_segment ds = {.limit = 0xffffffff,
				 .selector = 16,
				 .type = 3,
				 .present = 1,
				 .s = 1,
				 .db = 1,
				 .g = 1};
	s.cs = cs;
	s.ds = s.es = s.fs = s.gs = s.ss = ds;
	s.gdt.base = GDT;
	s.gdt.limit = 23;
	s.idt.base = IDT;
	s.idt.limit = 32 * 16 - 1;
	s.cr3 = PML4;
	s.cr4 = 0x20 | 0x200 | 0x400 | 0x40000; /* PAE, OSFXSR, OSXMMEXCPT, OSXSAVE */
	s.cr0 = 0x80050033; /* PG, AM, WP, NE, ET, MP, PE */
	s.efer = 0x500; /* LME, LMA */
	if (ioctl(vcpu, KVM_SET_SREGS, &s) < 0 || ioctl(vcpu, KVM_SET_XCRS, &xcrs) < 0 ||
	    ioctl(vcpu, KVM_SET_REGS, &r) < 0)
		return -errno;
	return 0;
}

static int set_cpuid(int kvm, int vcpu)
{
	enum { ENTRIES = 256 };
	AUTO_FREE struct kvm_cpuid2 *id =
		calloc(1, sizeof(*id) + ENTRIES * sizeof(struct kvm_cpuid_entry2));
	if (!id)
		return -ENOMEM;
	id->nent = ENTRIES;
	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, id) < 0 || ioctl(vcpu, KVM_SET_CPUID2, id) < 0)
		return -errno;
	return 0;
}

/* What became of the guest, in words; NULL when it did all. */
static const char *judge(const struct kvm_run *run, const uint8_t *memory, char *text, size_t size)
{
	for (int i = 0; i < N_MARKS; i++) {
		if (!memory[MARKS + i]) {
			(void)snprintf(text, size, "it cannot run %s (exit reason %u)",
				       mark_names[i], run->exit_reason);
			return text;
		}
	}
	return run->exit_reason == KVM_EXIT_HLT ? NULL : "its guest did not halt";
}

/* Everything, in the child: descriptors and memory end with it. */
static const char *run_guest(char *text, size_t size)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		return errno == ENOENT ? "no /dev/kvm" : "/dev/kvm cannot be opened";
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	uint8_t *memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);
	if (vm < 0 || memory == MAP_FAILED)
		return "/dev/kvm makes no machine";
	struct kvm_userspace_memory_region region = {.memory_size = MEMORY,
						     .userspace_addr = (uintptr_t)memory};
	lay_out(memory);
	int map_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0 || map_size < 0)
		return "/dev/kvm takes no memory";
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu < 0)
		return "/dev/kvm makes no processor";
	struct kvm_run *run = mmap(NULL, (size_t)map_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu,
				   0);
	if (run == MAP_FAILED || set_cpuid(kvm, vcpu) < 0 || set_registers(vcpu) < 0)
		return "/dev/kvm takes no 64-bit state";
	int r;
	do
		r = ioctl(vcpu, KVM_RUN, 0);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return "/dev/kvm does not run a 64-bit guest";
	return judge(run, memory, text, size);
}

static void child(int out)
{
	char text[PROBE_WHY_MAX] = "";

	const char *why = run_guest(text, sizeof(text));
	const char *said = why ? why : "ok";
	ssize_t n = write(out, said, strlen(said));
	_exit(n > 0 ? 0 : 1);
}

uint32_t machine_accel_probe(char why[PROBE_WHY_MAX])
{
	int pipe_fds[2];

	if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
		(void)snprintf(why, PROBE_WHY_MAX, "no pipe for the probe");
		return ACCEL_TCG;
	}
	AUTO_CLOSE int in = pipe_fds[0];
	pid_t pid = fork();
	if (pid == 0)
		child(pipe_fds[1]);
	(void)close(pipe_fds[1]);
	if (pid < 0) {
		(void)snprintf(why, PROBE_WHY_MAX, "no process for the probe");
		return ACCEL_TCG;
	}
	struct pollfd pfd = {.fd = in, .events = POLLIN};
	ssize_t n = 0;
	if (poll(&pfd, 1, TIMEOUT_MS) > 0)
		n = read(in, why, PROBE_WHY_MAX - 1);
	(void)kill(pid, SIGKILL); /* our own child, not yet reaped */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	why[n > 0 ? n : 0] = '\0';
	if (n <= 0)
		(void)snprintf(why, PROBE_WHY_MAX, "its test guest got stuck");
	if (strcmp(why, "ok") != 0)
		return ACCEL_TCG;
	why[0] = '\0';
	return ACCEL_KVM;
}

/* "BOOT-ID kvm" or "BOOT-ID tcg REASON". */
uint32_t machine_accel(int run_fd, char why[PROBE_WHY_MAX])
{
	struct err ignored = ERR_INIT; /* no file, no boot id: the probe is run again */
	AUTO_BUF struct buf boot = BUF_INIT;
	AUTO_BUF struct buf known = BUF_INIT;

	if (file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &boot, &ignored) < 0)
		return machine_accel_probe(why);
	boot.data[strcspn(boot.data, "\n")] = '\0';
	size_t n = strlen(boot.data);
	if (file_read(run_fd, "accel", 512, &known, &ignored) == 0 && known.len > n + 4 &&
	    strncmp(known.data, boot.data, n) == 0) {
		const char *verdict = known.data + n;
		(void)snprintf(why, PROBE_WHY_MAX, "%s",
			       strncmp(verdict, " tcg ", 5) == 0 ? verdict + 5 : "");
		return strcmp(verdict, " kvm") == 0 ? ACCEL_KVM : ACCEL_TCG;
	}
	uint32_t accel = machine_accel_probe(why);
	buf_clear(&known);
	buf_printf(&known, "%s %s%s%s", boot.data, accel == ACCEL_KVM ? "kvm" : "tcg",
		   why[0] ? " " : "", why);
	ignored = ERR_INIT;
	if (known.data && file_replace(run_fd, "accel", known.data, known.len, 0644, &ignored) < 0)
		return accel; /* an unwritable run folder shows itself soon enough */
	return accel;
}
