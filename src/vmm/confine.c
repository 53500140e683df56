/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter of a role is made of `rules`: each names a call, who may make it, what for, and
 * where a call has many uses, the one that is meant.
 */
#include "vmm/confine.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/vhost.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/filter.h"

#define ROLE(r) (1U << CONFINE_##r)
#define LOOPS   (ROLE(DISKS) | ROLE(SHARE) | ROLE(MAIN))
#define ALL     (ROLE(VCPU) | ROLE(POOL) | LOOPS)

static const struct {
	uint32_t nr;
	uint32_t roles;
	uint32_t value; /* as struct filter_rule has it */
	enum filter_argument argument;
} rules[] = {
	{SYS_ioctl, ROLE(VCPU), KVM_RUN}, /* first, being what a vCPU does */
	{SYS_write, ALL, 0}, /* eventfds: notify, interrupt, end; the serial line; the rest of a
			      * stream's frame; a last word */
	{SYS_futex, ALL, 0}, /* a device's lock */
	{SYS_epoll_wait, LOOPS, 0}, /* for what there is to do */
	{SYS_read, LOOPS, 0}, /* eventfds, frames of tap or stream */
	{SYS_preadv2, ROLE(DISKS), 0}, /* reading what the host has of a disk in memory */
	{SYS_preadv, ROLE(DISKS) | ROLE(POOL), 0}, /* reading disks */
	{SYS_pwritev, ROLE(DISKS), 0}, /* writing them */
	{SYS_fdatasync, ROLE(DISKS) | ROLE(POOL), 0}, /* flushing them */
	{SYS_fallocate, ROLE(DISKS) | ROLE(POOL), 0}, /* discard, write zeroes */
	{SYS_timerfd_settime, ROLE(DISKS) | ROLE(MAIN), 0}, /* when a limit lets pass again */
	{SYS_sendmsg, ROLE(SHARE), 0}, /* a question to the share */
	{SYS_recvfrom, ROLE(SHARE), 0}, /* how its answer begins */
	{SYS_recvmsg, ROLE(SHARE), 0}, /* the answer, with the file that was opened */
	{SYS_preadv2, ROLE(SHARE), 0}, /* reading such a file */
	{SYS_fstat, ROLE(SHARE), 0}, /* whether writing it changes more than its content */
	{SYS_pwritev, ROLE(SHARE), 0}, /* writing it */
	{SYS_close, ROLE(SHARE), 0}, /* which the guest has closed */
	{SYS_epoll_ctl, ROLE(MAIN) | ROLE(SHARE),
	 0}, /* whether channel, tap, stream, share are waited for */
	{SYS_readv, ROLE(MAIN), 0}, /* channel to guest */
	{SYS_writev, ROLE(MAIN), 0}, /* guest to channel, tap, stream */
	{SYS_getrandom, ROLE(MAIN), 0}, /* the entropy device */
	{SYS_madvise, ROLE(MAIN), MADV_DONTNEED, FILTER_THIRD}, /* memory the guest gives back; code
								 * that only the start needed */
	{SYS_recvmsg, ROLE(MAIN), 0}, /* requests, and the descriptors they bring */
	{SYS_close, ROLE(MAIN), 0}, /* those, once they are done with */
	{SYS_clock_gettime, ALL, 0}, /* where the vDSO cannot tell */
	{SYS_ioctl, ROLE(VCPU), TUNSETOFFLOAD}, /* a network driver has come up */
	{SYS_ioctl, ROLE(MAIN), TUNSETVNETHDRSZ}, /* an interface is plugged in */
	{SYS_ioctl, ROLE(MAIN), TUNSETQUEUE}, /* its driver uses so many pairs of queues */
	{SYS_ioctl, ROLE(MAIN), VHOST_SET_OWNER}, /* the kernel begins to serve it */
	{SYS_ioctl, ROLE(MAIN), VHOST_SET_FEATURES},
	{SYS_ioctl, ROLE(MAIN), VHOST_SET_MEM_TABLE},
	{SYS_ioctl, ROLE(MAIN), VHOST_SET_VRING_NUM},
	{SYS_ioctl, ROLE(MAIN), VHOST_SET_VRING_BASE},
	{SYS_ioctl, ROLE(MAIN), VHOST_SET_VRING_ADDR},
	{SYS_ioctl, ROLE(MAIN), VHOST_SET_VRING_CALL},
	{SYS_ioctl, ROLE(MAIN), VHOST_SET_VRING_ERR},
	{SYS_ioctl, ROLE(MAIN) | ROLE(VCPU), VHOST_SET_VRING_KICK}, /* begins, and ends */
	{SYS_ioctl, ROLE(MAIN) | ROLE(VCPU), VHOST_NET_SET_BACKEND},
	{SYS_ioctl, ROLE(MAIN) | ROLE(VCPU), VHOST_GET_VRING_BASE},
	{SYS_rt_sigreturn, ROLE(VCPU), 0}, /* it was told to stand still */
	{SYS_tgkill, ROLE(MAIN), 0}, /* telling it */
	{SYS_pwrite64, ROLE(MAIN), 0}, /* a machine is written down, to descriptors that came */
	{SYS_ftruncate, ROLE(MAIN), 0}, /* the same */
	{SYS_fstat, ROLE(MAIN), 0}, /* whether they are files it lives on */
	{SYS_ioctl, ROLE(MAIN), KVM_GET_SUPPORTED_CPUID}, /* what is written, as arch/ reads it */
	{SYS_ioctl, ROLE(MAIN), KVM_GET_TSC_KHZ},
	{SYS_ioctl, ROLE(MAIN), KVM_GET_MP_STATE},
	{SYS_ioctl, ROLE(MAIN), KVM_GET_REGS},
	{SYS_ioctl, ROLE(MAIN), KVM_GET_XSAVE},
	{SYS_ioctl, ROLE(MAIN), KVM_GET_XCRS},
	{SYS_ioctl, ROLE(MAIN), KVM_GET_DEBUGREGS},
	{SYS_ioctl, ROLE(MAIN), KVM_GET_SREGS},
	{SYS_ioctl, ROLE(MAIN), KVM_GET_MSR_INDEX_LIST},
	{SYS_ioctl, ROLE(MAIN), KVM_GET_MSRS},
	{SYS_ioctl, ROLE(MAIN), KVM_GET_LAPIC},
	{SYS_ioctl, ROLE(MAIN), KVM_GET_VCPU_EVENTS},
	{SYS_ioctl, ROLE(MAIN), KVM_GET_IRQCHIP},
	{SYS_ioctl, ROLE(MAIN), KVM_GET_CLOCK},
	{SYS_restart_syscall, ALL, 0}, /* the kernel's own, after a stop */
	{SYS_exit, ROLE(VCPU), 0}, /* the thread that saw the machine's end */
	{SYS_exit_group, ROLE(MAIN), 0}, /* the end */
};

enum { RULES = sizeof(rules) / sizeof(rules[0]) };

int confine_thread(enum confine_role role, struct err *err)
{
	struct filter_rule mine[RULES];
	size_t n = 0;

	for (size_t i = 0; i < RULES; i++) {
		if (rules[i].roles & 1U << role)
			mine[n++] = (struct filter_rule){rules[i].nr, rules[i].value,
							 rules[i].argument};
	}
	return filter_set(mine, n, 0, err);
}

/* A limit for the numbers of descriptors that lets so many more come. */
static rlim_t room_for(unsigned files)
{
	int next = files ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0) : -1;

	if (next >= 0)
		(void)close(next);
	return next < 0 ? 0 : (rlim_t)next + files;
}

int confine_process(unsigned files, struct err *err)
{
	/* What is open stays open. RLIMIT_NPROC would be in KVM's own way, which makes a thread of
	 * the caller's when the guest runs first; the filters refuse threads. */
	const rlim_t most = room_for(files);
	const struct {
		int resource;
		struct rlimit limit;
	} limits[] = {{RLIMIT_NOFILE, {most, most}}, {RLIMIT_CORE, {0, 0}}};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(err, "give up what the monitor does not need");
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		if (setrlimit((__rlimit_resource_t)limits[i].resource, &limits[i].limit) < 0)
			return err_sys(err, "limit the monitor");
	}
	return 0;
}
