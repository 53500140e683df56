/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vcpu.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/err.h"
#include "base/fd.h"
#include "vmm/bus.h"

int vcpu_init(struct vcpu *c, int kvm, int vm, unsigned index, struct err *err)
{
	int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < 0)
		return err_sys(err, "ask KVM for the size of a processor");
	AUTO_CLOSE int fd = ioctl(vm, KVM_CREATE_VCPU, index);
	if (fd < 0)
		return err_sys(err, "make processor %u", index);
	void *run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (run == MAP_FAILED)
		return err_sys(err, "map processor %u", index);
	*c = (struct vcpu){.fd = TAKE_FD(fd), .run = run, .run_len = (size_t)size};
	return 0;
}

void vcpu_done(struct vcpu *c)
{
	if (!c->run)
		return;
	(void)munmap(c->run, c->run_len);
	c->run = NULL;
	auto_close(&c->fd);
}

void vcpu_stop(struct vcpu *c)
{
	__atomic_store_n(&c->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
}

void vcpu_go(struct vcpu *c)
{
	__atomic_store_n(&c->run->immediate_exit, 0, __ATOMIC_RELEASE);
}

/* A port is accessed `count` times, for string instructions. */
static enum ports_word port_exit(struct kvm_run *run, struct ports *ports)
{
	uint8_t *at = (uint8_t *)run + run->io.data_offset;
	enum ports_word word = PORTS_NOTHING;

	for (uint32_t i = 0; i < run->io.count && word == PORTS_NOTHING; i++) {
		if (run->io.direction == KVM_EXIT_IO_IN)
			ports_read(ports, run->io.port, at, run->io.size);
		else
			word = ports_write(ports, run->io.port, at, run->io.size);
		at += run->io.size;
	}
	return word;
}

static void mmio_exit(struct kvm_run *run, struct bus *bus)
{
	size_t n = run->mmio.len < sizeof(run->mmio.data) ? run->mmio.len : sizeof(run->mmio.data);

	if (run->mmio.is_write)
		bus_write(bus, run->mmio.phys_addr, run->mmio.data, n);
	else
		bus_read(bus, run->mmio.phys_addr, run->mmio.data, n);
}

static int failed(const struct kvm_run *run, struct err *err)
{
	switch (run->exit_reason) {
	case KVM_EXIT_INTERNAL_ERROR:
		return err_set(err, EIO,
			       "KVM cannot carry out what the guest does (internal error %u)",
			       run->internal.suberror);
	case KVM_EXIT_FAIL_ENTRY:
		return err_set(err, EIO, "KVM cannot enter the guest (reason 0x%llx)",
			       (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
	default:
		return err_set(err, EIO, "the guest left with reason %u, which means nothing here",
			       run->exit_reason);
	}
}

int vcpu_run(struct vcpu *c, struct bus *bus, enum vmm_end *ret, struct err *err)
{
	struct kvm_run *run = c->run;

	for (;;) {
		enum ports_word word = PORTS_NOTHING;
		if (ioctl(c->fd, KVM_RUN, 0) < 0) {
			if (errno != EINTR && errno != EAGAIN)
				return err_sys(err, "run the guest");
			/* KVM finishes what the last exit was about before it looks at this */
			if (__atomic_load_n(&run->immediate_exit, __ATOMIC_ACQUIRE))
				return VCPU_STOPPED;
			continue;
		}
		switch (run->exit_reason) {
		case KVM_EXIT_IO:
			(void)__atomic_fetch_add(&c->exits_ports, 1, __ATOMIC_RELAXED);
			word = port_exit(run, &bus->ports);
			break;
		case KVM_EXIT_MMIO:
			(void)__atomic_fetch_add(&c->exits_mmio, 1, __ATOMIC_RELAXED);
			mmio_exit(run, bus);
			break;
		case KVM_EXIT_SHUTDOWN:
			*ret = VMM_TRIPLE_FAULT;
			return 0;
		case KVM_EXIT_INTR:
		case KVM_EXIT_HLT:
			(void)__atomic_fetch_add(&c->exits_other, 1, __ATOMIC_RELAXED);
			break;
		default:
			return failed(run, err);
		}
		if (word != PORTS_NOTHING) {
			*ret = word == PORTS_OFF ? VMM_POWEROFF : VMM_RESET;
			return 0;
		}
	}
}
