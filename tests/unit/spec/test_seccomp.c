/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs are judged by running them: here, by an interpreter of the few instructions they are
 * made of, for every number; and once, for real, by the kernel in a child.
 */
#include "../test.h"
#include "bpf.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "proto/record.h"
#include "spec/spec.h"

enum { ALLOW = 0, KILLED = -1, STRANGE = -2 };

static int fate(uint32_t action)
{
	switch (action & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
		return ALLOW;
	case SECCOMP_RET_ERRNO:
		return (int)(action & SECCOMP_RET_DATA);
	case SECCOMP_RET_KILL_PROCESS:
	case SECCOMP_RET_KILL_THREAD:
		return KILLED;
	default:
		return STRANGE;
	}
}

/* 0 for allowed, the errno, or -1 for killed. */
static int judge(const struct bytes *program, const struct seccomp_data *data)
{
	return fate(bpf_run(program, data));
}

static int call(const struct bytes *program, int nr, uint64_t arg0, uint64_t arg1)
{
	const struct seccomp_data data = {.nr = nr,
					  .arch = AUDIT_ARCH_X86_64,
					  .args = {arg0, arg1}};

	return judge(program, &data);
}

static void auto_bytes(struct bytes *b)
{
	free(b->data);
}

static int compile(uint64_t caps, struct bytes *ret)
{
	struct err err = ERR_INIT;
	int r = seccomp_compile(&(struct seccomp_config){.caps = caps}, ret, &err);

	if (r < 0)
		printf("# %s\n", err.msg);
	return r;
}

TEST(what_programs_need_is_allowed)
{
	static const int calls[] = {SYS_read,
				    SYS_write,
				    SYS_openat,
				    SYS_execve,
				    SYS_mmap,
				    SYS_futex,
				    SYS_fork,
				    SYS_vfork,
				    SYS_epoll_pwait2,
				    SYS_wait4,
				    SYS_newfstatat,
				    SYS_getrandom,
				    SYS_rseq,
				    SYS_close_range,
				    SYS_ptrace,
				    SYS_exit_group,
				    SYS_arch_prctl,
				    SYS_io_submit,
				    451,
				    452,
				    462};
	AUTO(auto_bytes) struct bytes p = {0};

	EXPECT_EQ(compile(0xa80425fb, &p), 0);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		EXPECT_EQ(call(&p, calls[i], 0, 0), ALLOW);
}

TEST(ways_out_are_closed)
{
	static const int calls[] = {SYS_keyctl,
				    SYS_add_key,
				    SYS_request_key,
				    SYS_bpf,
				    SYS_userfaultfd,
				    SYS_io_uring_setup,
				    SYS_io_uring_enter,
				    SYS_io_uring_register,
				    SYS_unshare,
				    SYS_setns,
				    SYS_mount,
				    SYS_umount2,
				    SYS_pivot_root,
				    SYS_kexec_load,
				    SYS_kexec_file_load,
				    SYS_init_module,
				    SYS_finit_module,
				    SYS_delete_module,
				    SYS_open_by_handle_at,
				    SYS_perf_event_open,
				    SYS_reboot,
				    SYS_swapon,
				    SYS_settimeofday,
				    SYS_clock_settime,
				    SYS_acct,
				    SYS_iopl,
				    SYS_ioperm,
				    SYS_quotactl,
				    SYS_fsopen,
				    SYS_move_mount,
				    SYS_open_tree,
				    SYS_mount_setattr,
				    SYS_sethostname,
				    SYS_syslog,
				    SYS_move_pages,
				    SYS_kcmp,
				    SYS_nfsservctl};
	AUTO(auto_bytes) struct bytes p = {0};

	EXPECT_EQ(compile(0xa80425fb, &p), 0);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		EXPECT_EQ(call(&p, calls[i], 0, 0), EPERM);
}

TEST(calls_newer_than_the_profile_do_not_exist)
{
	AUTO(auto_bytes) struct bytes p = {0};

	EXPECT_EQ(compile(0, &p), 0);
	EXPECT_EQ(call(&p, 467, 0, 0), EPERM);
	EXPECT_EQ(call(&p, 468, 0, 0), ENOSYS);
	EXPECT_EQ(call(&p, 100000, 0, 0), ENOSYS);
	EXPECT_EQ(call(&p, 0x40000000 | SYS_read, 0, 0), ENOSYS); /* x32 */
	EXPECT_EQ(call(&p, -1, 0, 0), ENOSYS);
}

TEST(arguments_decide_where_they_should)
{
	AUTO(auto_bytes) struct bytes p = {0};

	EXPECT_EQ(compile(0, &p), 0);
	EXPECT_EQ(call(&p, SYS_clone, 17, 0), ALLOW);
	EXPECT_EQ(call(&p, SYS_clone, 0x3d0f00, 0), ALLOW); /* a thread */
	EXPECT_EQ(call(&p, SYS_clone, CLONE_NEWUSER | 17, 0), EPERM);
	EXPECT_EQ(call(&p, SYS_clone, CLONE_NEWNS, 0), EPERM);
	EXPECT_EQ(call(&p, SYS_clone, CLONE_NEWCGROUP, 0), EPERM);
	EXPECT_EQ(call(&p, SYS_clone3, 0, 0), ENOSYS);
	EXPECT_EQ(call(&p, SYS_personality, 0, 0), ALLOW);
	EXPECT_EQ(call(&p, SYS_personality, 0x20008, 0), ALLOW);
	EXPECT_EQ(call(&p, SYS_personality, 0xffffffff, 0), ALLOW);
	EXPECT_EQ(call(&p, SYS_personality, 0x40000, 0), EPERM);
	EXPECT_EQ(call(&p, SYS_socket, AF_INET, 0), ALLOW);
	EXPECT_EQ(call(&p, SYS_socket, AF_VSOCK, 0), EPERM);
	EXPECT_EQ(call(&p, SYS_socket, AF_VSOCK | 1ULL << 40, 0), EPERM);
	EXPECT_EQ(call(&p, SYS_ioctl, 0, 0x5401), ALLOW);
	EXPECT_EQ(call(&p, SYS_ioctl, 0, 0x5412), EPERM);
	EXPECT_EQ(call(&p, SYS_ioctl, 0, 0x5412 | 1ULL << 32),
		  EPERM); /* the kernel sees the same */
	EXPECT_EQ(call(&p, SYS_ioctl, 0, 0x541c), EPERM);
}

TEST(capabilities_have_names_and_the_kernels_numbers)
{
	unsigned n = 0;

	EXPECT_EQ(spec_capability("CAP_CHOWN", &n), 0);
	EXPECT_EQ(n, CAP_CHOWN);
	EXPECT_EQ(spec_capability("sys_admin", &n), 0);
	EXPECT_EQ(n, CAP_SYS_ADMIN);
	EXPECT_EQ(spec_capability("Cap_Checkpoint_Restore", &n), 0);
	EXPECT_EQ(n, CAP_CHECKPOINT_RESTORE);
	EXPECT_EQ(spec_capability("CAP_", &n), -EINVAL);
	EXPECT_EQ(spec_capability("SYS_ADMI", &n), -EINVAL);
	EXPECT_EQ(spec_capability("ALL", &n), -EINVAL);
}

TEST(capabilities_open_their_calls)
{
	static const struct {
		int capability, call;
	} opened[] = {
		{CAP_SYS_ADMIN, SYS_mount},
		{CAP_SYS_ADMIN, SYS_unshare},
		{CAP_SYS_ADMIN, SYS_clone3},
		{CAP_SYS_CHROOT, SYS_chroot},
		{CAP_SYS_TIME, SYS_clock_settime},
		{CAP_SYS_MODULE, SYS_finit_module},
		{CAP_SYS_BOOT, SYS_reboot},
		{CAP_BPF, SYS_bpf},
		{CAP_DAC_READ_SEARCH, SYS_open_by_handle_at},
	};

	for (size_t i = 0; i < sizeof(opened) / sizeof(opened[0]); i++) {
		AUTO(auto_bytes) struct bytes with = {0};
		AUTO(auto_bytes) struct bytes without = {0};
		EXPECT_EQ(compile(1ULL << opened[i].capability, &with), 0);
		EXPECT_EQ(compile(0, &without), 0);
		EXPECT_EQ(call(&with, opened[i].call, 0, 0), ALLOW);
		EXPECT(call(&without, opened[i].call, 0, 0) > 0);
	}
	AUTO(auto_bytes) struct bytes admin = {0};
	EXPECT_EQ(compile(1ULL << CAP_SYS_ADMIN, &admin), 0);
	EXPECT_EQ(call(&admin, SYS_clone, CLONE_NEWUSER, 0), ALLOW);
}

TEST(programs_of_32_bits_have_their_own_numbers)
{
	AUTO(auto_bytes) struct bytes p = {0};
	struct seccomp_data data = {.arch = AUDIT_ARCH_I386, .nr = 4}; /* write */

	EXPECT_EQ(compile(0, &p), 0);
	EXPECT_EQ(judge(&p, &data), ALLOW);
	data.nr = 21; /* mount; on 64 bits it is access */
	EXPECT_EQ(judge(&p, &data), EPERM);
	data.nr = 102; /* socketcall */
	EXPECT_EQ(judge(&p, &data), ALLOW);
	data.arch = AUDIT_ARCH_AARCH64;
	EXPECT_EQ(judge(&p, &data), KILLED);
}

/* What the tree decides is what the names say, for each number: against a profile that lists one
 * call only, at every place. */
TEST(every_single_call_can_be_picked_out)
{
	for (int nr = 0; nr < 20; nr++) {
		static const char *const names[] = {
			"read",         "write",  "open",    "close",        "stat",
			"fstat",        "lstat",  "poll",    "lseek",        "mmap",
			"mprotect",     "munmap", "brk",     "rt_sigaction", "rt_sigprocmask",
			"rt_sigreturn", "ioctl",  "pread64", "pwrite64",     "readv"};
		char path[] = "/tmp/hull-seccomp-XXXXXX";
		char text[256];
		struct err err = ERR_INIT;
		AUTO(auto_bytes) struct bytes p = {0};
		int fd = mkstemp(path);
		EXPECT(fd >= 0);
		int n = snprintf(text, sizeof(text),
				 "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":"
				 "[\"%s\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":99}]}",
				 names[nr]);
		EXPECT_EQ(write(fd, text, (size_t)n), n);
		(void)close(fd);
		int r = seccomp_compile(&(struct seccomp_config){.profile = path}, &p, &err);
		(void)unlink(path);
		EXPECT_EQ(r, 0);
		for (int other = 0; other < 600; other++)
			EXPECT_EQ(call(&p, other, 0, 0), other == nr ? 99 : ALLOW);
	}
}

static int compile_text(const char *text, uint64_t caps, struct bytes *ret, struct err *err)
{
	char path[] = "/tmp/hull-seccomp-XXXXXX";
	int fd = mkstemp(path);
	size_t n = strlen(text);

	if (fd < 0 || write(fd, text, n) != (ssize_t)n)
		abort();
	(void)close(fd);
	int r = seccomp_compile(&(struct seccomp_config){.caps = caps, .profile = path}, ret, err);
	(void)unlink(path);
	return r;
}

TEST(a_profile_in_dockers_format_is_followed)
{
	static const char text[] =
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,"
		"\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\",\"subArchitectures\":[]}],"
		"\"syscalls\":["
		"{\"names\":[\"read\",\"write\",\"no_such_call\"],\"action\":\"SCMP_ACT_ALLOW\"},"
		"{\"names\":[\"kill\"],\"action\":\"SCMP_ACT_KILL_PROCESS\"},"
		"{\"names\":[\"dup\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":["
		"{\"index\":0,\"value\":5,\"op\":\"SCMP_CMP_GT\"},"
		"{\"index\":1,\"value\":4294967296,\"op\":\"SCMP_CMP_LE\"}]},"
		"{\"names\":[\"dup2\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":["
		"{\"index\":0,\"value\":5,\"op\":\"SCMP_CMP_EQ\"},"
		"{\"index\":0,\"value\":7,\"op\":\"SCMP_CMP_EQ\"}]},"
		"{\"names\":[\"mount\"],\"action\":\"SCMP_ACT_ALLOW\","
		"\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}},"
		"{\"names\":[\"chroot\"],\"action\":\"SCMP_ACT_ALLOW\","
		"\"excludes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}},"
		"{\"names\":[\"ptrace\"],\"action\":\"SCMP_ACT_ALLOW\","
		"\"includes\":{\"minKernel\":\"4.8\"}},"
		"{\"names\":[\"bpf\"],\"action\":\"SCMP_ACT_ALLOW\","
		"\"includes\":{\"minKernel\":\"99.0\"}},"
		"{\"names\":[\"acct\"],\"action\":\"SCMP_ACT_ALLOW\","
		"\"includes\":{\"arches\":[\"s390x\"]}}]}";
	struct err err = ERR_INIT;
	AUTO(auto_bytes) struct bytes p = {0};
	AUTO(auto_bytes) struct bytes admin = {0};

	EXPECT_EQ(compile_text(text, 0, &p, &err), 0);
	EXPECT_EQ(call(&p, SYS_read, 0, 0), ALLOW);
	EXPECT_EQ(call(&p, SYS_open, 0, 0), 38);
	EXPECT_EQ(call(&p, SYS_kill, 0, 0), KILLED);
	EXPECT_EQ(call(&p, SYS_dup, 6, 1ULL << 32), ALLOW);
	EXPECT_EQ(call(&p, SYS_dup, 5, 0), 38);
	EXPECT_EQ(call(&p, SYS_dup, 1ULL << 33, 0), ALLOW);
	EXPECT_EQ(call(&p, SYS_dup, 6, (1ULL << 32) + 1), 38);
	EXPECT_EQ(call(&p, SYS_dup2, 5, 0), ALLOW);
	EXPECT_EQ(call(&p, SYS_dup2, 7, 0), ALLOW);
	EXPECT_EQ(call(&p, SYS_dup2, 6, 0), 38);
	EXPECT_EQ(call(&p, SYS_mount, 0, 0), 38);
	EXPECT_EQ(call(&p, SYS_chroot, 0, 0), ALLOW);
	EXPECT_EQ(call(&p, SYS_ptrace, 0, 0), ALLOW);
	EXPECT_EQ(call(&p, SYS_bpf, 0, 0), 38);
	EXPECT_EQ(call(&p, SYS_acct, 0, 0), 38);
	EXPECT_EQ(compile_text(text, 1ULL << CAP_SYS_ADMIN, &admin, &err), 0);
	EXPECT_EQ(call(&admin, SYS_mount, 0, 0), ALLOW);
	EXPECT_EQ(call(&admin, SYS_chroot, 0, 0), 38);
}

TEST(comparisons_hold_at_their_edges)
{
	static const struct {
		const char *op;
		bool less, same, more;
	} ops[] = {
		{"EQ", false, true, false}, {"NE", true, false, true},  {"LT", true, false, false},
		{"LE", true, true, false},  {"GT", false, false, true}, {"GE", false, true, true},
	};
	static const uint64_t values[] = {1, 0xffffffff, 0x100000000, 0x100000001,
					  0x7fffffffffffffff};

	for (size_t o = 0; o < sizeof(ops) / sizeof(ops[0]); o++) {
		for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
			char text[300];
			struct err err = ERR_INIT;
			AUTO(auto_bytes) struct bytes p = {0};
			(void)snprintf(
				text, sizeof(text),
				"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":"
				"[\"dup\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,"
				"\"value\":%ju,\"op\":\"SCMP_CMP_%s\"}]}]}",
				(uintmax_t)values[v], ops[o].op);
			EXPECT_EQ(compile_text(text, 0, &p, &err), 0);
			EXPECT_EQ(call(&p, SYS_dup, values[v] - 1, 0) == ALLOW, ops[o].less);
			EXPECT_EQ(call(&p, SYS_dup, values[v], 0) == ALLOW, ops[o].same);
			EXPECT_EQ(call(&p, SYS_dup, values[v] + 1, 0) == ALLOW, ops[o].more);
			EXPECT_EQ(call(&p, SYS_dup, values[v] + (1ULL << 62) + (1ULL << 61), 0) ==
					  ALLOW,
				  ops[o].more);
		}
	}
}

TEST(a_wrong_profile_is_refused_with_its_place)
{
	static const char *const wrong[] = {
		"",
		"[]",
		"{}",
		"{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}",
		"{\"defaultAction\":7}",
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":{}}",
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[7]}",
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"action\":\"SCMP_ACT_ALLOW\"}]}",
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"read\"]}]}",
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"read\"],"
		"\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":6,\"op\":\"SCMP_CMP_EQ\"}]}]}",
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"read\"],"
		"\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":1,\"op\":\"EQ\"}]}]}",
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":5000}",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct err err = ERR_INIT;
		struct bytes p = {0};
		EXPECT(compile_text(wrong[i], 0, &p, &err) < 0);
		EXPECT(strstr(err.msg, "/tmp/hull-seccomp-"));
		EXPECT(!p.data);
	}
}

/* In the child: what the kernel itself makes of the built-in profile. */
static int live(const struct bytes *p)
{
	struct sock_fprog program = {(unsigned short)(p->len / sizeof(struct sock_filter)),
				     (struct sock_filter *)(void *)p->data};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return 1;
	if (syscall(SYS_getpid) <= 0)
		return 2;
	if (syscall(SYS_unshare, 0) == 0 || errno != EPERM)
		return 3;
	if (syscall(SYS_clone3, NULL, 0) == 0 || errno != ENOSYS)
		return 4;
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	return pid < 0 || waitpid(pid, NULL, 0) != pid ? 5 : 0;
}

TEST(the_kernel_takes_the_program_and_does_the_same)
{
	AUTO(auto_bytes) struct bytes p = {0};
	int status = -1;

	EXPECT_EQ(compile(0xa80425fb, &p), 0);
	pid_t pid = fork();
	if (pid == 0)
		_exit(live(&p));
	EXPECT(pid > 0);
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	printf("# %zu instructions\n", p.len / sizeof(struct sock_filter));
	EXPECT(p.len / sizeof(struct sock_filter) < 1000);
}
