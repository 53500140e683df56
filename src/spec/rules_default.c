/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls that a workload may make when nobody says otherwise: what programs need, without what
 * reaches past namespaces and cgroups, or has more often than not been the way out (keyrings, bpf,
 * userfaultfd, io_uring, new user namespaces, pushing input into a terminal).
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "spec/rules.h"

static const char files[] =
	"access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 "
	"faccessat faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 "
	"fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fremovexattr "
	"fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat "
	"getcwd getdents getdents64 getxattr getxattrat lchown lchown32 lgetxattr link linkat "
	"listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 mkdir "
	"mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2 pread64 preadv "
	"preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv removexattr "
	"removexattrat rename renameat renameat2 rmdir sendfile sendfile64 setxattr setxattrat "
	"splice stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range syncfs tee "
	"truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice "
	"write writev";

static const char memory[] =
	"brk cachestat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock "
	"mlock2 mlockall mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc "
	"pkey_free pkey_mprotect process_mrelease remap_file_pages";

static const char processes[] =
	"alarm capget capset execve execveat exit exit_group fork futex futex_requeue futex_time64 "
	"futex_wait futex_waitv futex_wake getcpu getegid getegid32 geteuid geteuid32 getgid "
	"getgid32 getgroups getgroups32 getitimer getpgid getpgrp getpid getppid getpriority "
	"getrandom getresgid getresgid32 getresuid getresuid32 getrlimit get_robust_list getrusage "
	"getsid get_thread_area gettid getuid getuid32 ioprio_get ioprio_set kill "
	"landlock_add_rule landlock_create_ruleset landlock_restrict_self pause pidfd_open "
	"pidfd_send_signal prctl prlimit64 process_vm_readv process_vm_writev ptrace restart_syscall "
	"rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend "
	"rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr "
	"sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler "
	"sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr "
	"sched_setparam sched_setscheduler sched_yield seccomp setfsgid setfsgid32 setfsuid "
	"setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid "
	"setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit "
	"set_robust_list setsid set_thread_area set_tid_address setuid setuid32 sigaltstack "
	"sigprocmask sigreturn sysinfo tgkill times tkill ugetrlimit uname vfork wait4 waitid waitpid";

static const char events[] =
	"epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait "
	"epoll_wait_old eventfd eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1 "
	"inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 "
	"io_setup io_submit _newselect pipe pipe2 poll ppoll ppoll_time64 pselect6 pselect6_time64 "
	"select signalfd signalfd4";

static const char clocks[] =
	"adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime "
	"clock_gettime64 clock_nanosleep clock_nanosleep_time64 gettimeofday nanosleep time "
	"timer_create timer_delete timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime "
	"timerfd_settime64 timer_getoverrun timer_gettime timer_gettime64 timer_settime "
	"timer_settime64";

static const char talking[] =
	"accept accept4 bind connect getpeername getsockname getsockopt ipc listen mq_getsetattr "
	"mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 "
	"mq_unlink msgctl msgget msgrcv msgsnd recv recvfrom recvmmsg recvmmsg_time64 recvmsg semctl "
	"semget semop semtimedop semtimedop_time64 send sendmmsg sendmsg sendto setsockopt shmat "
	"shmctl shmdt shmget shutdown socketcall socketpair";

static const char of_this_machine[] =
	"arch_prctl modify_ldt cacheflush breakpoint set_tls arm_fadvise64_64 arm_sync_file_range "
	"sync_file_range2";

/* What a capability opens; without it the kernel would refuse most of them anyway. */
static const struct {
	int capability;
	const char *calls;
} privileged[] = {
	{CAP_DAC_READ_SEARCH, "open_by_handle_at"},
	{CAP_SYS_ADMIN,
	 "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick listmount lookup_dcookie "
	 "mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname "
	 "sethostname setns statmount syslog umount umount2 unshare"},
	{CAP_SYS_BOOT, "reboot"},
	{CAP_SYS_CHROOT, "chroot"},
	{CAP_SYS_MODULE, "delete_module init_module finit_module"},
	{CAP_SYS_PACCT, "acct"},
	{CAP_SYS_PTRACE, "kcmp pidfd_getfd process_madvise"},
	{CAP_SYS_RAWIO, "iopl ioperm"},
	{CAP_SYS_TIME, "settimeofday stime clock_settime clock_settime64"},
	{CAP_SYS_TTY_CONFIG, "vhangup"},
	{CAP_SYS_NICE, "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"},
	{CAP_SYSLOG, "syslog"},
	{CAP_BPF, "bpf"},
	{CAP_PERFMON, "perf_event_open"},
};

static int allow(struct rules *rules, const char *names, struct err *err)
{
	const struct rule rule = {.action = SECCOMP_RET_ALLOW};

	while (*names) {
		char name[40];
		size_t n = strcspn(names, " ");
		memcpy(name, names, n);
		name[n] = '\0';
		int r = rules_add(rules, name, &rule, err);
		if (r < 0)
			return r;
		names += n + strspn(names + n, " ");
	}
	return 0;
}

/* Allows name when one condition holds. */
static int allow_if(struct rules *rules, const char *name, struct condition condition,
		    struct err *err)
{
	const struct rule rule = {.action = SECCOMP_RET_ALLOW, .n = 1, .conditions = {condition}};

	return rules_add(rules, name, &rule, err);
}

/* Both conditions at once: what pushes input into a terminal (TIOCSTI, TIOCLINUX) is no ioctl for a
 * workload. The kernel looks at 32 bits of the request only. */
static int allow_ioctl(struct rules *rules, struct err *err)
{
	enum { REQUEST_TIOCSTI = 0x5412, REQUEST_TIOCLINUX = 0x541c };
	const struct rule rule = {
		.action = SECCOMP_RET_ALLOW,
		.n = 2,
		.conditions = {{1, CMP_NE_32, REQUEST_TIOCSTI, 0},
			       {1, CMP_NE_32, REQUEST_TIOCLINUX, 0}},
	};

	return rules_add(rules, "ioctl", &rule, err);
}

static int allow_some(struct rules *rules, uint64_t caps, struct err *err)
{
	/* Linux, with and without a 32-bit address space and randomization off; asking */
	static const uint64_t personalities[] = {0, 8, 0x20000, 0x20008, 0xffffffff};
	/* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET */
	const uint64_t new_namespaces = 0x7e020000;
	int r = 0;

	for (size_t i = 0; i < sizeof(personalities) / sizeof(personalities[0]) && r == 0; i++)
		r = allow_if(rules, "personality",
			     (struct condition){0, CMP_EQ, personalities[i], 0}, err);
	if (r == 0)
		r = allow_if(rules, "socket", (struct condition){0, CMP_NE_32, AF_VSOCK, 0}, err);
	if (r == 0)
		r = allow_ioctl(rules, err);
	if (r < 0 || caps & 1ULL << CAP_SYS_ADMIN)
		return r;
	r = allow_if(rules, "clone", (struct condition){0, CMP_MASKED_EQ, new_namespaces, 0}, err);
	/* its flags are in memory, where no filter sees them: libraries go back to clone */
	const struct rule absent = {.action = SECCOMP_RET_ERRNO | ENOSYS};
	return r < 0 ? r : rules_add(rules, "clone3", &absent, err);
}

int rules_default(struct rules *rules, uint64_t caps, struct err *err)
{
	static const char *const all[] = {files,  memory,  processes,      events,
					  clocks, talking, of_this_machine};
	int r = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && r == 0; i++)
		r = allow(rules, all[i], err);
	for (size_t i = 0; i < sizeof(privileged) / sizeof(privileged[0]) && r == 0; i++) {
		if (caps & 1ULL << privileged[i].capability)
			r = allow(rules, privileged[i].calls, err);
	}
	return r < 0 ? r : allow_some(rules, caps, err);
}
