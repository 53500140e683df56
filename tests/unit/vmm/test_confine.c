/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/vhost.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "vmm/confine.h"

/* How a child ends that is confined to the role and makes this call: 0 when it may, else the
 * signal. */
static int fate(enum confine_role role, long nr, long a, long b, long c)
{
	int pipe_fds[2], status = 0;
	char survived = 0;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -1;
	pid_t pid = fork();
	if (pid == 0) {
		struct err err = ERR_INIT;
		if (confine_process(0, &err) < 0 || confine_thread(role, &err) < 0)
			_exit(9);
		(void)syscall(nr, a, b, c);
		(void)syscall(SYS_write, pipe_fds[1], "y", 1); /* every role may */
		for (;;)
			(void)syscall(SYS_exit_group, 0);
	}
	(void)close(pipe_fds[1]);
	ssize_t n = read(pipe_fds[0], &survived, 1);
	(void)close(pipe_fds[0]);
	(void)waitpid(pid, &status, 0);
	if (n == 1)
		return 0;
	return WIFSIGNALED(status) ? WTERMSIG(status) : -1;
}

TEST(each_role_may_do_its_work)
{
	EXPECT_EQ(fate(CONFINE_VCPU, SYS_ioctl, -1, KVM_RUN, 0), 0);
	EXPECT_EQ(fate(CONFINE_DISKS, SYS_preadv, -1, 0, 0), 0);
	EXPECT_EQ(fate(CONFINE_DISKS, SYS_fdatasync, -1, 0, 0), 0);
	EXPECT_EQ(fate(CONFINE_POOL, SYS_preadv, -1, 0, 0), 0);
	EXPECT_EQ(fate(CONFINE_MAIN, SYS_getrandom, 0, 0, 0), 0);
	EXPECT_EQ(fate(CONFINE_MAIN, SYS_recvmsg, -1, 0, 0), 0);
	EXPECT_EQ(fate(CONFINE_MAIN, SYS_close, -1, 0, 0), 0);
	EXPECT_EQ(fate(CONFINE_MAIN, SYS_madvise, 0, 0, MADV_DONTNEED), 0);
	EXPECT_EQ(fate(CONFINE_MAIN, SYS_ioctl, -1, (long)KVM_GET_REGS, 0), 0);
	EXPECT_EQ(fate(CONFINE_MAIN, SYS_pwrite64, -1, 0, 0), 0);
}

TEST(nobody_opens_starts_connects_or_maps_anything)
{
	static const long calls[] = {SYS_open,           SYS_openat, SYS_execve, SYS_execveat,
				     SYS_clone,          SYS_clone3, SYS_fork,   SYS_socket,
				     SYS_connect,        SYS_ptrace, SYS_mmap,   SYS_mprotect,
				     SYS_unlinkat,       SYS_kill,   SYS_prctl,  SYS_seccomp,
				     SYS_io_uring_setup, SYS_bpf};

	for (int role = 0; role < CONFINE_ROLES; role++) {
		for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
			EXPECT_EQ(fate((enum confine_role)role, calls[i], 0, 0, 0), SIGSYS);
	}
}

TEST(the_work_of_others_is_forbidden)
{
	EXPECT_EQ(fate(CONFINE_VCPU, SYS_pwritev, -1, 0, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_VCPU, SYS_read, -1, 0, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_DISKS, SYS_ioctl, -1, KVM_RUN, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_DISKS, SYS_writev, -1, 0, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_MAIN, SYS_pwritev, -1, 0, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_MAIN, SYS_sendmsg, -1, 0, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_DISKS, SYS_sendmsg, -1, 0, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_SHARE, SYS_preadv, -1, 0, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_POOL, SYS_pwritev, -1, 0, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_POOL, SYS_read, -1, 0, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_VCPU, SYS_recvmsg, -1, 0, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_DISKS, SYS_recvmsg, -1, 0, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_DISKS, SYS_close, -1, 0, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_SHARE, SYS_pwritev2, -1, 0, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_VCPU, SYS_tgkill, 0, 0, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_DISKS, SYS_pwrite64, -1, 0, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_VCPU, SYS_ftruncate, -1, 0, 0), SIGSYS);
}

TEST(of_ioctls_only_those_meant_are_let_through)
{
	EXPECT_EQ(fate(CONFINE_VCPU, SYS_ioctl, -1, (long)KVM_SET_USER_MEMORY_REGION, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_VCPU, SYS_ioctl, -1, FIONREAD, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_MAIN, SYS_ioctl, -1, KVM_RUN, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_MAIN, SYS_ioctl, -1, (long)KVM_SET_REGS, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_MAIN, SYS_ioctl, -1, (long)KVM_SET_MSRS, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_VCPU, SYS_ioctl, -1, (long)KVM_GET_REGS, 0), SIGSYS);
}

TEST(of_vhost_a_processor_only_ends_what_the_main_thread_began)
{
	EXPECT_EQ(fate(CONFINE_MAIN, SYS_ioctl, -1, (long)VHOST_SET_OWNER, 0), 0);
	EXPECT_EQ(fate(CONFINE_MAIN, SYS_ioctl, -1, (long)VHOST_SET_VRING_ADDR, 0), 0);
	EXPECT_EQ(fate(CONFINE_MAIN, SYS_ioctl, -1, (long)TUNSETQUEUE, 0), 0);
	EXPECT_EQ(fate(CONFINE_VCPU, SYS_ioctl, -1, (long)VHOST_NET_SET_BACKEND, 0), 0);
	EXPECT_EQ(fate(CONFINE_VCPU, SYS_ioctl, -1, (long)VHOST_SET_OWNER, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_VCPU, SYS_ioctl, -1, (long)VHOST_SET_MEM_TABLE, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_VCPU, SYS_ioctl, -1, (long)VHOST_SET_VRING_ADDR, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_DISKS, SYS_ioctl, -1, (long)VHOST_NET_SET_BACKEND, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_MAIN, SYS_ioctl, -1, (long)VHOST_RESET_OWNER, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_MAIN, SYS_ioctl, -1, (long)VHOST_SET_LOG_BASE, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_MAIN, SYS_ioctl, -1, (long)TUNSETIFF, 0), SIGSYS);
}

TEST(memory_is_only_ever_given_back)
{
	EXPECT_EQ(fate(CONFINE_MAIN, SYS_madvise, 0, 0, MADV_WILLNEED), SIGSYS);
	EXPECT_EQ(fate(CONFINE_MAIN, SYS_madvise, 0, 0, MADV_HWPOISON), SIGSYS);
	EXPECT_EQ(fate(CONFINE_MAIN, SYS_madvise, MADV_DONTNEED, MADV_DONTNEED, 0), SIGSYS);
	EXPECT_EQ(fate(CONFINE_DISKS, SYS_madvise, 0, 0, MADV_DONTNEED), SIGSYS);
}
