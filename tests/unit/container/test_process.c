/* SPDX-License-Identifier: Apache-2.0 */
/* What a process finds itself to be: user, rights, limits, streams. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "container/container.h"
#include "rig.h"

/* Answers `call` with an errno. */
static void filter(struct plan_process *p, uint32_t call, uint32_t code)
{
	const struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | code),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct err err = ERR_INIT;

	if (bytes_set(&p->seccomp, program, sizeof(program), &err) < 0)
		abort();
}

TEST(all_five_capability_sets_are_exactly_as_asked)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "grep Cap /proc/self/status");
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT_STR(rig.output.data, "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\n"
				    "CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n"
				    "CapAmb:\t0000000000000000\n");
}

TEST(a_user_without_ambient_capabilities_has_none)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "id; echo $HOME; grep CapEff /proc/self/status");
	rig.plan.process.user = strdup("alice");
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT_STR(rig.output.data, "uid=1000(alice) gid=1001(alice) groups=10(wheel),1001(alice)\n"
				    "/home/alice\nCapEff:\t0000000000000000\n");
}

TEST(ambient_capabilities_reach_a_user)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "grep Cap[EIA] /proc/self/status");
	rig.plan.process.user = strdup("1000");
	rig.plan.process.cap_ambient = rig.plan.process.cap_inheritable = 1 << 10;
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT_STR(rig.output.data, "CapInh:\t0000000000000400\nCapEff:\t0000000000000400\n"
				    "CapAmb:\t0000000000000400\n");
}

TEST(capabilities_that_the_host_lacks_are_left_out)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "grep CapPrm /proc/self/status; grep CapPrm /proc/1/status");
	rig.plan.process.cap_bounding = rig.plan.process.cap_permitted = ~0ULL;
	rig.plan.process.cap_effective = ~0ULL;
	EXPECT_EQ(rig_run(&rig), 0);
}

TEST(users_by_number_and_group_need_no_entry)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "id -u; id -g; id -G; echo $HOME");
	rig.plan.process.user = strdup("4711:wheel");
	struct err err = ERR_INIT;
	EXPECT_EQ(strv_add(&rig.plan.process.groups, "audio", &err), 0);
	EXPECT_EQ(strv_add(&rig.plan.process.groups, "77", &err), 0);
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT_STR(rig.output.data, "4711\n10\n10 29 77\n/\n");
}

TEST(an_unknown_user_is_named)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "id");
	rig.plan.process.user = strdup("bob");
	EXPECT_EQ(rig_run(&rig), -EINVAL);
	EXPECT_STR(rig.failure.msg, "no such user: 'bob'");
}

TEST(a_fifo_for_passwd_is_refused_at_once)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	char path[128];
	rig_init(&rig, "id");
	(void)snprintf(path, sizeof(path), "%s/root/etc/passwd", rig.dir);
	EXPECT_EQ(unlink(path), 0);
	EXPECT_EQ(mkfifo(path, 0644), 0);
	EXPECT_EQ(rig_run(&rig), -EINVAL);
	EXPECT(strstr(rig.failure.msg, "no regular file"));
}

TEST(passwd_of_the_host_is_not_reached_by_a_link)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	char path[128];
	rig_init(&rig, "id -u");
	(void)snprintf(path, sizeof(path), "%s/root/etc/passwd", rig.dir);
	EXPECT_EQ(unlink(path), 0);
	EXPECT_EQ(symlink("../../../../../../etc/passwd.real", path), 0);
	rig_file(&rig, "root/etc/passwd.real", "inside:x:33:33::/:/bin/sh\n", 0644);
	rig.plan.process.user = strdup("inside");
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT_STR(rig.output.data, "33\n");
}

TEST(the_seccomp_program_holds_without_no_new_privs)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "mkdir /tmp/x; grep -E 'Seccomp:|NoNew' /proc/self/status");
	filter(&rig.plan.process, SYS_mkdir, EXDEV);
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT_STR(rig.output.data, "mkdir: can't create directory '/tmp/x': Invalid cross-device "
				    "link\nNoNewPrivs:\t0\nSeccomp:\t2\n");
}

TEST(the_seccomp_program_holds_with_no_new_privs_and_no_capability)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "mkdir /tmp/x; grep -E 'Seccomp:|NoNew' /proc/self/status");
	filter(&rig.plan.process, SYS_mkdir, EXDEV);
	rig.plan.process.no_new_privs = true;
	rig.plan.process.user = strdup("alice");
	rig.plan.process.cap_permitted = rig.plan.process.cap_effective = 0;
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT_STR(rig.output.data, "mkdir: can't create directory '/tmp/x': Invalid cross-device "
				    "link\nNoNewPrivs:\t1\nSeccomp:\t2\n");
}

TEST(a_filter_may_forbid_what_the_start_itself_needs_no_more)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "echo works");
	filter(&rig.plan.process, SYS_clone3, ENOSYS);
	rig.plan.init = true;
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT_STR(rig.output.data, "works\n");
}

TEST(exit_statuses_and_signals_come_back)
{
	static const struct {
		const char *script;
		int status;
	} cases[] = {
		{"exit 0", 0},
		{"exit 255", 255},
		{"sh -c 'kill -9 $$'; exit $?", 137},
		{"sh -c 'kill -15 $$'; exit $?", 143},
	};
	if (!rig_can())
		return;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_RIG struct rig rig;
		rig_init(&rig, cases[i].script);
		EXPECT_EQ(rig_run(&rig), cases[i].status);
		EXPECT(!rig.exit.oom);
	}
}

TEST(what_cannot_be_executed_is_told_apart)
{
	static const struct {
		const char *program;
		int code;
	} cases[] = {
		{"/no/such", -ENOENT}, {"/etc/passwd", -EACCES}, {"/tmp", -EACCES},
		{"/broken", -ENOEXEC}, {"/script", -ENOENT},     {"", -ENOENT},
	};
	if (!rig_can())
		return;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_RIG struct rig rig;
		rig_init(&rig, "");
		rig_file(&rig, "root/broken", "no program", 0755);
		rig_file(&rig, "root/script", "#!/no/interpreter\n", 0755);
		rig_args(&rig.plan.process, (const char *const[]){cases[i].program, NULL});
		EXPECT_EQ(rig_run(&rig), cases[i].code);
		EXPECT(rig.failure.msg[0]);
	}
}

TEST(signals_reach_the_first_process)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "trap 'echo got; exit 3' USR1; echo ready; while :; do sleep 0.01; done");
	EXPECT_EQ(rig_create(&rig), 0);
	EXPECT_EQ(rig_start(&rig), 0);
	EXPECT(rig_until(&rig, "ready", 20000));
	EXPECT_EQ(container_isolation.signal(rig.iso, 0, 10, false, &rig.failure), 0);
	EXPECT_EQ(rig_finish(&rig), 0);
	EXPECT_EQ(rig.exit.status, 3);
	EXPECT_STR(rig.output.data, "ready\ngot\n");
}

TEST(ignored_and_blocked_signals_are_not_inherited)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	sigset_t all;
	sigset_t old;
	rig_init(&rig, "");
	rig_args(&rig.plan.process,
		 (const char *const[]){"grep", "-E", "SigBlk|SigIgn", "/proc/self/status", NULL});
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, &old);
	(void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	int r = rig_run(&rig);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	(void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
	EXPECT_EQ(r, 0);
	EXPECT_STR(rig.output.data, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST(no_descriptor_of_ours_is_open_inside)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "");
	/* one that nobody marked: the second lock has to hold it */
	int leak = open("/", O_RDONLY | O_DIRECTORY); /* NOLINT(android-cloexec-open): the test */
	EXPECT(leak >= 0);
	rig_args(&rig.plan.process, (const char *const[]){"ls", "/proc/self/fd", NULL});
	int r = rig_run(&rig);
	(void)close(leak);
	EXPECT_EQ(r, 0);
	/* 3 is ls's own */
	EXPECT_STR(rig.output.data, "0\n1\n2\n3\n");
}

TEST(streams_that_are_absent_are_dev_null)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "sleep 1000");
	EXPECT_EQ(rig_create(&rig), 0);
	EXPECT_EQ(rig_start(&rig), 0);
	EXPECT_EQ(rig_exec(&rig, "readlink /proc/self/fd/0; cat"), 0);
	EXPECT_STR(rig.output.data, "/dev/null\n");
}

TEST(limits_umask_and_oom_score_are_set)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "ulimit -n; ulimit -Hn; umask; cat /proc/self/oom_score_adj");
	struct plan_rlimit *limit = list_add(&rig.plan.process.rlimits, &plan_rlimit_record);
	EXPECT(limit);
	*limit = (struct plan_rlimit){RLIMIT_NOFILE, 100, 200};
	rig.plan.process.has_umask = true;
	rig.plan.process.umask = 027;
	rig.plan.process.has_oom_score_adj = true;
	rig.plan.process.oom_score_adj = 321;
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT_STR(rig.output.data, "100\n200\n0027\n321\n");
}

TEST(a_limit_that_may_not_be_raised_is_said_and_passed_over)
{
	struct rlimit now;
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "ulimit -Hn");
	EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &now), 0);
	struct plan_rlimit *limit = list_add(&rig.plan.process.rlimits, &plan_rlimit_record);
	EXPECT(limit);
	*limit = (struct plan_rlimit){RLIMIT_NOFILE, now.rlim_max + 1, now.rlim_max + 1};
	EXPECT_EQ(rig_run(&rig), 0);
	/* with CAP_SYS_RESOURCE it works, and nothing is said */
	bool raised = strtoull(rig.output.data, NULL, 10) == now.rlim_max + 1;
	EXPECT(raised != (rig.messages.len > 0));
}

TEST(a_missing_working_folder_is_made)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "pwd");
	rig.plan.process.cwd = strdup("/made/for/it");
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT_STR(rig.output.data, "/made/for/it\n");
}

TEST(a_working_folder_in_proc_self_fd_leads_nowhere)
{
	if (!rig_can())
		return;
	for (int fd = 3; fd < 24; fd++) {
		AUTO_RIG struct rig rig;
		char cwd[40];
		rig_init(&rig, "cat ../../../../../../../../../../etc/hull-secret; pwd");
		(void)snprintf(cwd, sizeof(cwd), "/proc/self/fd/%d", fd);
		rig.plan.process.cwd = strdup(cwd);
		EXPECT(rig_run(&rig) < 0);
	}
}

TEST(a_terminal_has_its_size_and_is_the_console)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "tty; stty size; test -c /dev/console && echo console; "
		       "trap 'stty size; exit 5' WINCH; echo ready; while :; do sleep 0.01; done");
	rig.plan.process.tty = true;
	rig.plan.process.rows = 33;
	rig.plan.process.cols = 99;
	EXPECT_EQ(rig_create(&rig), 0);
	EXPECT_EQ(rig_start(&rig), 0);
	EXPECT(rig_until(&rig, "ready", 20000));
	EXPECT_EQ(container_isolation.resize(rig.iso, 0, 44, 55, &rig.failure), 0);
	EXPECT_EQ(rig_finish(&rig), 0);
	EXPECT_EQ(rig.exit.status, 5);
	EXPECT_STR(rig.output.data, "/dev/pts/0\r\n33 99\r\nconsole\r\nready\r\n44 55\r\n");
}

TEST(the_terminals_keys_signal_its_foreground)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "trap 'exit 6' INT; echo ready; while :; do sleep 0.01; done");
	rig.plan.process.tty = true;
	rig.plan.process.user = strdup("alice");
	EXPECT_EQ(rig_create(&rig), 0);
	EXPECT_EQ(rig_start(&rig), 0);
	EXPECT(rig_until(&rig, "ready", 20000));
	EXPECT_EQ(write(rig.in, "\003", 1), 1);
	EXPECT_EQ(rig_finish(&rig), 0);
	EXPECT_EQ(rig.exit.status, 6);
}

TEST(init_reaps_forwards_and_ends_as_its_child_does)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "cat /proc/1/comm; test $$ != 1 && echo child; "
		       "sh -c 'sleep 0.05 & exec true'; "
		       "n=0; while grep -qx sleep /proc/[0-9]*/comm 2>/dev/null; do "
		       "n=$((n+1)); [ $n = 400 ] && echo left && break; usleep 20000; done; "
		       "trap 'exit 12' TERM; echo ready; while :; do sleep 0.01; done");
	rig.plan.init = true;
	EXPECT_EQ(rig_create(&rig), 0);
	EXPECT_EQ(rig_start(&rig), 0);
	EXPECT(rig_until(&rig, "ready", 20000));
	EXPECT_EQ(container_isolation.signal(rig.iso, 0, 15, false, &rig.failure), 0);
	EXPECT_EQ(rig_finish(&rig), 0);
	EXPECT_EQ(rig.exit.status, 12);
	EXPECT_STR(rig.output.data, "hull-init\nchild\nready\n");
}

TEST(the_program_of_init_is_out_of_reach)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "readlink /proc/1/exe; ls -l /proc/1/fd; (echo x > /proc/1/exe); "
		       "cat /proc/1/mem; echo done");
	rig.plan.init = true;
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT(!strstr(rig.output.data, "test_container"));
	EXPECT(strstr(rig.output.data, "can't create /proc/1/exe"));
	EXPECT(strstr(rig.output.data, "done"));
}
