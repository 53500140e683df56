/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list is that of libcurl, OpenSSL and the C library's resolver, which loads its modules when
 * the first name is looked up. Calls that are not on it fail instead of ending the program: other
 * resolvers than those seen here ask for more, and do without.
 */
#include "registry/confine.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/filter.h"

enum { NOBODY = 65534 };

static const struct filter_rule rules[] = {
	/* the network */
	{SYS_socket, 0},
	{SYS_connect, 0},
	{SYS_bind, 0}, /* of netlink: which addresses there are */
	{SYS_sendto, 0},
	{SYS_sendmsg, 0},
	{SYS_sendmmsg, 0},
	{SYS_recvfrom, 0},
	{SYS_recvmsg, 0}, /* and questions */
	{SYS_shutdown, 0},
	{SYS_getsockopt, 0},
	{SYS_setsockopt, 0},
	{SYS_getsockname, 0},
	{SYS_getpeername, 0},
	{SYS_socketpair, 0}, /* between libcurl's threads */
	{SYS_pipe2, 0},
	{SYS_eventfd2, 0},
	{SYS_ioctl, FIONREAD}, /* how much there is to read */
	{SYS_ioctl, FIONBIO},
	/* waiting */
	{SYS_ppoll, 0},
	{SYS_pselect6, 0},
	{SYS_nanosleep, 0},
	{SYS_clock_nanosleep, 0},
	/* data and answers, blobs to be sent, files that everybody may read */
	{SYS_read, 0},
	{SYS_readv, 0},
	{SYS_pread64, 0},
	{SYS_write, 0},
	{SYS_writev, 0},
	{SYS_lseek, 0},
	{SYS_openat, 0},
	{SYS_close, 0},
	{SYS_fcntl, 0},
	{SYS_fstat, 0},
	{SYS_newfstatat, 0},
	{SYS_statx, 0},
	{SYS_faccessat, 0},
	{SYS_readlinkat, 0},
	{SYS_getdents64, 0},
	/* memory, and modules of the resolver */
	{SYS_brk, 0},
	{SYS_mmap, 0},
	{SYS_munmap, 0},
	{SYS_mremap, 0},
	{SYS_mprotect, 0},
	{SYS_madvise, 0},
	/* threads */
	{SYS_clone, 0},
	{SYS_clone3, 0},
	{SYS_set_robust_list, 0},
	{SYS_rseq, 0},
	{SYS_futex, 0},
	{SYS_sched_yield, 0},
	{SYS_sched_getaffinity, 0},
	{SYS_prctl, 0}, /* their names */
	{SYS_gettid, 0},
	{SYS_rt_sigaction, 0},
	{SYS_rt_sigprocmask, 0},
	{SYS_rt_sigreturn, 0},
	{SYS_sigaltstack, 0},
	{SYS_exit, 0},
	{SYS_exit_group, 0},
	{SYS_restart_syscall, 0},
	/* what the libraries want to know */
	{SYS_getrandom, 0},
	{SYS_clock_gettime, 0},
	{SYS_gettimeofday, 0},
	{SYS_getpid, 0},
	{SYS_getuid, 0},
	{SYS_geteuid, 0},
	{SYS_getgid, 0},
	{SYS_getegid, 0},
	{SYS_uname, 0},
	{SYS_sysinfo, 0},
	{SYS_prlimit64, 0},
#ifdef __x86_64__ /* older forms of those above */
	{SYS_poll, 0},
	{SYS_select, 0},
	{SYS_open, 0},
	{SYS_stat, 0},
	{SYS_lstat, 0},
	{SYS_access, 0},
	{SYS_readlink, 0},
	{SYS_time, 0},
#endif
};

/* Where the user namespace has no nobody (one user of the host's is root in it), or only one user
 * is there at all, uid and gid stay: they are those of somebody without rights. */
static int leave_root(struct err *err)
{
	if (geteuid() != 0)
		return 0;
	if ((setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	     setresuid(NOBODY, NOBODY, NOBODY) < 0) &&
	    errno != EPERM && errno != EINVAL)
		return err_sys(err, "become nobody");
	return 0;
}

int registry_confine(struct err *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};

	int r = leave_root(err);
	if (r < 0)
		return r;
	if (syscall(SYS_capset, &head, none) < 0)
		return err_sys(err, "drop capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(err, "set no_new_privs");
	return filter_set(rules, sizeof(rules) / sizeof(rules[0]), EPERM, err);
}
