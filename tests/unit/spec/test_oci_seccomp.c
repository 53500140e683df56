/* SPDX-License-Identifier: Apache-2.0 */
/* linux.seccomp: its programs are run, each action and condition, and one by the kernel itself. */
#include "bpf.h"
#include "kit.h"

#include <errno.h>
#include <linux/audit.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define S(text)            SPACES ",'seccomp':{" text "}"
#define SYSCALLS(...)      "'syscalls':[" __VA_ARGS__ "]"
#define CALL(name, action) "{'names':['" name "'],'action':'SCMP_ACT_" action "'}"

enum { ERRNO = SECCOMP_RET_ERRNO };

static uint32_t run_arch(const struct plan *plan, uint32_t arch, int nr, uint64_t arg0)
{
	const struct seccomp_data data = {.nr = nr, .arch = arch, .args = {arg0, 1, 2, 3, 4, 5}};

	return bpf_run(&plan->process.seccomp, &data);
}

static uint32_t run(const struct plan *plan, int nr, uint64_t arg0)
{
	return run_arch(plan, AUDIT_ARCH_X86_64, nr, arg0);
}

TEST(every_action_is_what_the_kernel_calls_it)
{
	PLAN(plan, NULL, NULL,
	     S("'defaultAction':'SCMP_ACT_ERRNO','defaultErrnoRet':7,'listenerPath':'/s'," SYSCALLS(
		     CALL("read", "ALLOW") "," CALL("open", "ERRNO") "," CALL("close", "KILL") "," CALL("stat", "KILL_THREAD") "," CALL(
			     "fstat",
			     "KILL_PROCESS") "," CALL("lstat",
						      "TRAP") "," CALL("poll",
								       "LOG") "," CALL("lseek",
										       "TRACE") "," CALL("mmap",
													 "NOTIFY") ","
														   "{'names':['brk'],'action':'SCMP_ACT_ERRNO','errnoRet':99},"
														   "{'names':['ioctl'],'action':'SCMP_ACT_TRACE','errnoRet':65535},"
														   "{'names':['mprotect'],'action':'SCMP_ACT_ERRNO','errnoRet':0},"
														   "{'names':['exit_group','no_such_call'],'action':'SCMP_ACT_ALLOW'}")));
	static const struct {
		int nr;
		uint32_t action;
	} want[] = {
		{SYS_read, SECCOMP_RET_ALLOW},
		{SYS_open, ERRNO | EPERM},
		{SYS_close, SECCOMP_RET_KILL},
		{SYS_stat, SECCOMP_RET_KILL_THREAD},
		{SYS_fstat, SECCOMP_RET_KILL_PROCESS},
		{SYS_lstat, SECCOMP_RET_TRAP},
		{SYS_poll, SECCOMP_RET_LOG},
		{SYS_lseek, SECCOMP_RET_TRACE | EPERM},
		{SYS_mmap, SECCOMP_RET_USER_NOTIF},
		{SYS_brk, ERRNO | 99},
		{SYS_ioctl, SECCOMP_RET_TRACE | 65535},
		{SYS_mprotect, ERRNO | 0},
		{SYS_exit_group, SECCOMP_RET_ALLOW},
		{SYS_write, ERRNO | 7},
	};

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		if (run(&plan, want[i].nr, 0) != want[i].action)
			FAIL("call %d gets %x", want[i].nr, run(&plan, want[i].nr, 0));
	}
}

TEST(calls_newer_than_the_profile_do_not_exist)
{
	PLAN(closed, NULL, NULL,
	     S("'defaultAction':'SCMP_ACT_ERRNO'," SYSCALLS(CALL("openat2", "ALLOW"))));
	PLAN(open, NULL, NULL,
	     S("'defaultAction':'SCMP_ACT_LOG'," SYSCALLS(CALL("openat2", "KILL"))));

	EXPECT_EQ(run(&closed, SYS_openat2, 0), SECCOMP_RET_ALLOW);
	EXPECT_EQ(run(&closed, SYS_openat2 - 1, 0), ERRNO | EPERM);
	EXPECT_EQ(run(&closed, SYS_openat2 + 1, 0), ERRNO | ENOSYS);
	EXPECT_EQ(run(&closed, 5000, 0), ERRNO | ENOSYS);
	EXPECT_EQ(run(&open, SYS_openat2 + 1, 0), SECCOMP_RET_LOG);
	EXPECT_EQ(run(&open, 5000, 0), SECCOMP_RET_LOG);
}

/* A list of what is forbidden must not be passed by under x32's numbers. */
TEST(x32_is_no_way_around)
{
	PLAN(plan, NULL, NULL,
	     S("'defaultAction':'SCMP_ACT_ALLOW'," SYSCALLS(CALL("mount", "ERRNO"))));

	EXPECT_EQ(run(&plan, SYS_mount, 0), ERRNO | EPERM);
	EXPECT_EQ(run(&plan, 0x40000000 | SYS_mount, 0), ERRNO | ENOSYS);
	EXPECT_EQ(run(&plan, 5000, 0), SECCOMP_RET_ALLOW);
}

TEST(only_the_architectures_named_are_open)
{
	PLAN(native, NULL, NULL, S("'defaultAction':'SCMP_ACT_ALLOW'"));
	PLAN(both, NULL, NULL,
	     S("'defaultAction':'SCMP_ACT_ALLOW','architectures':['SCMP_ARCH_X86','SCMP_ARCH_X32',"
	       "'SCMP_ARCH_S390X']," SYSCALLS(CALL("write", "ERRNO"))));

	EXPECT_EQ(run(&native, SYS_read, 0), SECCOMP_RET_ALLOW);
	EXPECT_EQ(run_arch(&native, AUDIT_ARCH_I386, 3, 0), SECCOMP_RET_KILL_PROCESS);
	EXPECT_EQ(run(&both, SYS_read, 0), SECCOMP_RET_ALLOW);
	EXPECT_EQ(run_arch(&both, AUDIT_ARCH_I386, 3, 0), SECCOMP_RET_ALLOW);
	EXPECT_EQ(run_arch(&both, AUDIT_ARCH_I386, 4, 0), ERRNO | EPERM);
	EXPECT_EQ(run_arch(&both, AUDIT_ARCH_S390X, 3, 0), SECCOMP_RET_KILL_PROCESS);
}

TEST(the_other_ways_to_a_call_are_under_its_rule)
{
	PLAN(plan, NULL, NULL,
	     S("'defaultAction':'SCMP_ACT_ALLOW','architectures':['SCMP_ARCH_X86']," SYSCALLS(
		     CALL("socket", "ERRNO") "," CALL("shmat", "KILL"))));

	EXPECT_EQ(run_arch(&plan, AUDIT_ARCH_I386, 102, 1), ERRNO | EPERM); /* socketcall */
	EXPECT_EQ(run_arch(&plan, AUDIT_ARCH_I386, 102, 1ULL << 32 | 1), ERRNO | EPERM);
	EXPECT_EQ(run_arch(&plan, AUDIT_ARCH_I386, 102, 2), SECCOMP_RET_ALLOW);
	EXPECT_EQ(run_arch(&plan, AUDIT_ARCH_I386, 117, 1 << 16 | 21), SECCOMP_RET_KILL); /* ipc */
	EXPECT_EQ(run_arch(&plan, AUDIT_ARCH_I386, 117, 22), SECCOMP_RET_ALLOW);
	EXPECT_EQ(run_arch(&plan, AUDIT_ARCH_I386, 359, 0), ERRNO | EPERM); /* socket */
	EXPECT_EQ(run(&plan, SYS_socket, 0), ERRNO | EPERM);
}

TEST(conditions_use_all_64_bits)
{
	static const struct {
		const char *op, *value, *two;
		uint64_t yes, no;
	} ops[] = {
		{"EQ", "18446744073709551615", "0", UINT64_MAX, UINT64_MAX - 1},
		{"NE", "9223372036854775808", "0", 1, 1ULL << 63},
		{"LT", "18446744073709551615", "0", UINT64_MAX - 1, UINT64_MAX},
		{"LE", "9223372036854775808", "0", 1ULL << 63, (1ULL << 63) + 1},
		{"GE", "9223372036854775808", "0", 1ULL << 63, (1ULL << 63) - 1},
		{"GT", "9223372036854775808", "0", (1ULL << 63) + 1, 1ULL << 63},
		{"MASKED_EQ", "9223372036854775809", "9223372036854775808", 1ULL << 63 | 6, 7},
	};

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		char text[600];
		(void)snprintf(
			text, sizeof(text),
			S("'defaultAction':'SCMP_ACT_ERRNO'," SYSCALLS(
				"{'names':['dup'],'action':'SCMP_ACT_ALLOW','args':[{'index':0,"
				"'value':%s,'valueTwo':%s,'op':'SCMP_CMP_%s'},"
				"{'index':5,'value':5,'op':'SCMP_CMP_EQ'}]}")),
			ops[i].value, ops[i].two, ops[i].op);
		PLAN(plan, NULL, NULL, text);
		EXPECT_EQ(run(&plan, SYS_dup, ops[i].yes), SECCOMP_RET_ALLOW);
		EXPECT_EQ(run(&plan, SYS_dup, ops[i].no), ERRNO | EPERM);
	}
}

TEST(flags_and_the_listener_go_with_the_program)
{
	PLAN(plain, NULL, NULL,
	     S("'defaultAction':'SCMP_ACT_ALLOW','listenerPath':'/unused',"
	       "'flags':['SECCOMP_FILTER_FLAG_TSYNC','SECCOMP_FILTER_FLAG_LOG',"
	       "'SECCOMP_FILTER_FLAG_SPEC_ALLOW','SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV']"));
	PLAN(notify, NULL, NULL,
	     S("'defaultAction':'SCMP_ACT_ALLOW','listenerPath':'/s','listenerMetadata':'m',"
	       "'flags':['SECCOMP_FILTER_FLAG_TSYNC','SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV']," SYSCALLS(
		       CALL("mount", "NOTIFY"))));

	EXPECT_EQ(plain.process.seccomp_flags, 7);
	EXPECT(!plain.process.seccomp_listener);
	EXPECT_EQ(notify.process.seccomp_flags, 1 << 3 | 1 << 5);
	EXPECT_STR(notify.process.seccomp_listener, "/s");
	EXPECT_STR(notify.process.seccomp_metadata, "m");
}

TEST(profiles_that_cannot_be_are_refused)
{
#define ALLOW      "'defaultAction':'SCMP_ACT_ALLOW',"
#define ARGS(text) ALLOW SYSCALLS("{'names':['dup'],'action':'SCMP_ACT_ERRNO','args':[" text "]}")
	static const struct {
		const char *text, *line;
	} bad[] = {
		{"", "defaultAction: missing"},
		{"'defaultAction':7", "defaultAction: int where string"},
		{"'defaultAction':'X'", "defaultAction: action 'X' is not known"},
		{"'defaultAction':'SCMP_ACT_NOTIFY'", "defaultAction: SCMP_ACT_NOTIFY"},
		{"'defaultAction':'SCMP_ACT_ERRNO','defaultErrnoRet':4096",
		 "defaultErrnoRet: errno"},
		{"'defaultAction':'SCMP_ACT_ERRNO','defaultErrnoRet':-1",
		 "defaultErrnoRet: not between"},
		{"'defaultAction':'SCMP_ACT_KILL','defaultErrnoRet':1",
		 "defaultAction: action SCMP_ACT_KILL returns no errno"},
		{ALLOW "'architectures':['X']", "architectures: 'X' is not known"},
		{ALLOW "'architectures':{}", "architectures: object where array"},
		{ALLOW "'flags':['X']", "flags: 'X' is not known"},
		{ALLOW "'flags':7", "flags: int where array"},
		{ALLOW "'listenerPath':'s'", "listenerPath: must be absolute"},
		{ALLOW "'listenerPath':7", "listenerPath: int where string"},
		{ALLOW "'listenerMetadata':'m'", "listenerMetadata: without"},
		{ALLOW "'listenerMetadata':7", "listenerMetadata: int where string"},
		{ALLOW SYSCALLS(CALL("mount", "NOTIFY")), "listenerPath: missing"},
		{ALLOW SYSCALLS(CALL("write", "NOTIFY")),
		 "syscalls[0].action: SCMP_ACT_NOTIFY of write"},
		{ALLOW "'syscalls':{}", "syscalls: object where array"},
		{ALLOW "'syscalls':[7]", "syscalls[0]: must be an object"},
		{ALLOW SYSCALLS("{'action':'SCMP_ACT_ERRNO'}"), "syscalls[0].names: missing"},
		{ALLOW SYSCALLS("{'names':[],'action':'SCMP_ACT_ERRNO'}"),
		 "syscalls[0].names: missing"},
		{ALLOW SYSCALLS("{'names':[7],'action':'SCMP_ACT_ERRNO'}"),
		 "syscalls[0].names: element 0"},
		{ALLOW SYSCALLS("{'names':['dup']}"), "syscalls[0].action: missing"},
		{ALLOW SYSCALLS(CALL("dup", "X")), "syscalls[0].action: action 'SCMP_ACT_X'"},
		{ALLOW SYSCALLS("{'names':['dup'],'action':'SCMP_ACT_ERRNO','errnoRet':'1'}"),
		 "syscalls[0].errnoRet: string where int"},
		{ARGS("7"), "syscalls[0].args[0]: must be an object"},
		{ARGS("{'index':6,'value':0,'op':'SCMP_CMP_EQ'}"),
		 "syscalls[0].args[0].index: not between"},
		{ARGS("{'index':0,'value':-1,'op':'SCMP_CMP_EQ'}"),
		 "syscalls[0].args[0].value: not between"},
		{ARGS("{'index':0,'value':0,'valueTwo':'1','op':'SCMP_CMP_EQ'}"),
		 "syscalls[0].args[0].valueTwo: string where"},
		{ARGS("{'index':0,'value':0}"), "syscalls[0].args[0].op: missing"},
		{ARGS("{'index':0,'value':0,'op':'EQ'}"),
		 "syscalls[0].args[0].op: 'EQ' is not known"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[600];
		char line[200];
		(void)snprintf(text, sizeof(text), S("%s"), bad[i].text);
		(void)snprintf(line, sizeof(line), "linux.seccomp.%s", bad[i].line);
		const struct refusal one = {{NULL, NULL, text}, line};
		EXPECT(kit_refused(&one));
	}
}

/* In the child: what the kernel makes of a profile with conditions. */
static int live(const struct bytes *p)
{
	struct sock_fprog program = {(unsigned short)(p->len / sizeof(struct sock_filter)),
				     (struct sock_filter *)(void *)p->data};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return 1;
	if (syscall(SYS_getppid) >= 0 || errno != 77)
		return 2;
	if (syscall(SYS_dup, 1000) >= 0 || errno != EBADF)
		return 3;
	if (syscall(SYS_dup, 1001) >= 0 || errno != ENOTTY)
		return 4;
	(void)syscall(SYS_getpgid, 0);
	return 5; /* unreached: it kills */
}

TEST(the_kernel_does_the_same)
{
	PLAN(plan, NULL, NULL,
	     S("'defaultAction':'SCMP_ACT_ALLOW'," SYSCALLS(CALL(
		     "getpgid",
		     "KILL_PROCESS") ","
				     "{'names':['getppid'],'action':'SCMP_ACT_ERRNO','errnoRet':77},"
				     "{'names':['dup'],'action':'SCMP_ACT_ERRNO','errnoRet':25,"
				     "'args':[{'index':0,'value':1000,'op':'SCMP_CMP_GT'}]}")));
	int status = -1;

	pid_t pid = fork();
	if (pid == 0)
		_exit(live(&plan.process.seccomp));
	EXPECT(pid > 0);
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT(WIFSIGNALED(status));
	EXPECT_EQ(WTERMSIG(status), SIGSYS);
}
