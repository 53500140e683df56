/* SPDX-License-Identifier: Apache-2.0 */
/* Exact ids, scheduling, labels, seccomp listeners, time namespaces: seen from inside. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/ioprio.h>
#include <linux/mempolicy.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/io.h"
#include "base/proc.h"
#include "container/listener.h"
#include "container/process.h"
#include "container/rdt.h"
#include "rig.h"

/* Runs fn in a child; its exit status, 100 and more for a signal. */
static int in_child(int (*fn)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(fn());
	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static void exact(struct rig *rig, uint32_t uid, uint32_t gid, const char *group)
{
	struct err err = ERR_INIT;

	rig->plan.process.has_ids = true;
	rig->plan.process.uid = uid;
	rig->plan.process.gid = gid;
	if (group && strv_add(&rig->plan.process.groups, group, &err) < 0)
		abort();
}

TEST(exact_ids_ask_no_file)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "grep -E '^(Uid|Gid|Groups)' /proc/self/status; echo $HOME");
	exact(&rig, 1000, 5, "4000000000");
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT_STR(rig.output.data, "Uid:\t1000\t1000\t1000\t1000\nGid:\t5\t5\t5\t5\n"
				    "Groups:\t4000000000 \n/home/alice\n");
}

TEST(a_passwd_that_is_a_fifo_hurts_nobody_with_exact_ids)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	char path[128];
	rig_init(&rig, "echo $HOME");
	(void)snprintf(path, sizeof(path), "%s/root/etc/passwd", rig.dir);
	EXPECT_EQ(unlink(path), 0);
	EXPECT_EQ(mkfifo(path, 0644), 0);
	exact(&rig, 7, 7, NULL);
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT_STR(rig.output.data, "/\n");
}

TEST(an_id_that_is_none_is_refused)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "true");
	exact(&rig, UINT32_MAX, 0, NULL);
	EXPECT_EQ(rig_run(&rig), -EINVAL);
	AUTO_RIG struct rig other;
	rig_init(&other, "true");
	exact(&other, 0, 0, "wheel");
	EXPECT_EQ(rig_run(&other), -EINVAL);
}

TEST(the_schedule_is_as_asked)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	struct plan_schedule *s = &rig.plan.process.schedule;
	/* 39 - 18: priority and nice; 41: policy */
	rig_init(&rig,
		 "cut -d' ' -f19,41 /proc/self/stat; grep Cpus_allowed_list /proc/self/status");
	*s = (struct plan_schedule){.set = true, .policy = SCHED_BATCH, .nice = 7};
	s->has_ioprio = true;
	s->ioprio = IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0);
	s->cpus_final = strdup("0");
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT_STR(rig.output.data, "7 3\nCpus_allowed_list:\t0\n");
}

TEST(a_schedule_that_cannot_be_names_its_field)
{
	if (!rig_can())
		return;
	static const struct {
		struct plan_schedule schedule;
		const char *cpus, *field;
	} bad[] = {
		{{.set = true, .policy = 77}, NULL, "scheduler"},
		{{.has_ioprio = true, .ioprio = 7 << 13}, NULL, "ioPriority"},
		{{.set = false}, "0-", "execCPUAffinity.final"},
		{{.set = false}, "5-2", "execCPUAffinity.final"},
		{{.set = false}, "999999", "execCPUAffinity.final"},
		{{.set = false}, "8000", "execCPUAffinity.final"},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		AUTO_RIG struct rig rig;
		rig_init(&rig, "true");
		rig.plan.process.schedule = bad[i].schedule;
		rig.plan.process.schedule.cpus_final = bad[i].cpus ? strdup(bad[i].cpus) : NULL;
		EXPECT(rig_run(&rig) < 0);
		EXPECT(strstr(rig.failure.msg, bad[i].field));
	}
}

static int domain(void)
{
	struct err err = ERR_INIT;
	char nodes[] = "0";
	struct plan plan = {.has_personality = true, .personality = PER_LINUX32};
	int mode = -1;

	if (process_domain(&plan, &err) < 0 || personality(0xffffffff) != PER_LINUX32)
		return 1;
	plan = (struct plan){.has_memory_policy = true,
			     .memory_policy = MPOL_BIND,
			     .memory_nodes = nodes};
	if (process_domain(&plan, &err) < 0)
		return err.code == ENOSYS ? 77 : 2;
	if (syscall(SYS_get_mempolicy, &mode, NULL, 0UL, NULL, 0UL) < 0 || mode != MPOL_BIND)
		return 3;
	nodes[0] = 'x';
	return process_domain(&plan, &err) == -EINVAL && strstr(err.msg, "memoryPolicy") ? 0 : 4;
}

TEST(personality_and_memory_policy_are_set)
{
	int r = in_child(domain);

	if (r == 77)
		printf("# SKIP this kernel has no memory policies\n");
	EXPECT(r == 0 || r == 77);
}

/* By its system calls alone: no host of ours has AppArmor, or SELinux switched on. */
TEST(labels_are_written_through_procfs_or_refused_by_name)
{
	struct err err = ERR_INIT;
	char label[] = "no_u:no_r:no_t:s0";
	struct plan_process what = {.apparmor = label};
	AUTO_CLOSE int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_CLOSE int not_proc = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);

	EXPECT(process_labels(proc, &what, &err) < 0);
	EXPECT(strstr(err.msg, "apparmorProfile"));
	what = (struct plan_process){.selinux_label = label};
	err = ERR_INIT;
	EXPECT(process_labels(proc, &what, &err) < 0);
	EXPECT(strstr(err.msg, "selinuxLabel"));
	err = ERR_INIT;
	EXPECT(process_labels(not_proc, &what, &err) < 0);
}

/* A folder with the files of resctrl in it, group `name` among them. Aborts when it cannot be. */
static int resctrl_double(char *dir, const char *name)
{
	static const char *const files[] = {"schemata", "tasks", "mon_groups/x/tasks"};
	char path[200];

	if (!mkdtemp(dir))
		abort();
	(void)snprintf(path, sizeof(path), "mkdir -p %s/%s/mon_groups/x", dir, name);
	const char *const argv[] = {"sh", "-c", path, NULL};
	struct err err = ERR_INIT;
	if (proc_run(argv, NULL, NULL, &err) < 0)
		abort();
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s/%s", dir, name, files[i]);
		AUTO_CLOSE int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		if (fd < 0)
			abort();
	}
	return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool in_file(int dir, const char *path, const char *text)
{
	AUTO_BUF struct buf is = BUF_INIT;
	struct err err = ERR_INIT;

	return file_read(dir, path, 4096, &is, &err) == 0 && is.data && strcmp(is.data, text) == 0;
}

/* By its system calls alone: no host of ours has resctrl. */
TEST(a_group_of_resctrl_gets_schemata_then_the_process)
{
	struct err err = ERR_INIT;
	char dir[] = "/tmp/hull-rdt.XXXXXX";
	char id[] = "x";
	char closid[] = "shared";
	char none[] = "";
	char l3[] = "L3:0=f";
	char missing[] = "missing";
	struct plan plan = {.id = id, .rdt_closid = closid, .rdt_monitor = true};

	AUTO_CLOSE int resctrl = resctrl_double(dir, "shared");
	EXPECT_EQ(rdt_enter(resctrl, &plan, 77, &err), 0);
	EXPECT(in_file(resctrl, "shared/tasks", "77"));
	EXPECT(in_file(resctrl, "shared/mon_groups/x/tasks", "77"));
	EXPECT(in_file(resctrl, "shared/schemata", ""));
	plan.rdt_l3 = l3;
	EXPECT_EQ(rdt_enter(resctrl, &plan, 78, &err), 0);
	EXPECT(in_file(resctrl, "shared/schemata", "L3:0=f\n"));
	plan = (struct plan){.id = id, .rdt_closid = missing};
	EXPECT_EQ(rdt_enter(resctrl, &plan, 77, &err), -ENOENT);
	EXPECT(strstr(err.msg, "linux.intelRdt: resctrl group 'missing'"));
	err = ERR_INIT;
	plan.rdt_closid = none; /* its own is made, and goes with it */
	EXPECT(rdt_enter(resctrl, &plan, 77, &err) < 0); /* no kernel puts `tasks` into it */
	EXPECT_EQ(faccessat(resctrl, "x", F_OK, 0), 0);
	err = ERR_INIT;
	EXPECT_EQ(rdt_leave(resctrl, &plan, &err), 0);
	EXPECT(faccessat(resctrl, "x", F_OK, 0) < 0);
	EXPECT_EQ(rdt_leave(resctrl, &plan, &err), 0);
	rig_remove(dir);
}

static int offsets(void)
{
	struct err err = ERR_INIT;
	struct plan_time_offset shift[] = {{CLOCK_MONOTONIC, 1000000, 5}, {CLOCK_BOOTTIME, 77, 0}};
	struct list list = {shift, 2};
	struct timespec before;
	int status = -1;
	AUTO_CLOSE int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (unshare(CLONE_NEWTIME) < 0)
		return 77;
	(void)clock_gettime(CLOCK_MONOTONIC, &before);
	if (process_time_offsets(proc, "self", &list, &err) < 0)
		return 1;
	pid_t pid = fork();
	if (pid == 0) {
		struct timespec after;
		(void)clock_gettime(CLOCK_MONOTONIC, &after);
		_exit(after.tv_sec - before.tv_sec >= 1000000 ? 0 : 2);
	}
	return waitpid(pid, &status, 0) == pid ? WEXITSTATUS(status) : 3;
}

TEST(time_offsets_hold_for_the_next_child)
{
	int r = geteuid() == 0 ? in_child(offsets) : 77;

	if (r == 77)
		printf("# SKIP no time namespaces here\n");
	EXPECT(r == 0 || r == 77);
}

TEST(a_detached_process_has_no_signal_for_its_parents_end)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "echo up; exec sleep 1000");
	rig.plan.process.detached = true;
	EXPECT_EQ(rig_create(&rig), 0);
	EXPECT_EQ(rig_start(&rig), 0);
	EXPECT(rig_until(&rig, "up", 5000));
}

/* Notifies of `uname` and of all that sends: sendmsg, write. */
static int load_listener(int sock)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_uname, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendmsg, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_wait4, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	};
	struct sock_fprog prog = {sizeof(program) / sizeof(program[0]), program};
	struct err err = ERR_INIT;
	char text[512];

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return 1;
	if (listener_load(&prog, 0, sock, "{\"fds\":[\"seccompFd\"]}", &err) < 0)
		return 2;
	return syscall(SYS_uname, text) == 42 ? 0 : 3;
}

static int receive_listener(int sock, char *text, size_t size)
{
	size_t n_fds = 1;
	int fd = -1;

	ssize_t n = fd_receive(sock, text, size - 1, &fd, &n_fds);
	if (n > 0)
		text[n] = '\0';
	return fd;
}

/* Answers each call: uname with 42, the others as if there were no filter. */
static void answer(int fd)
{
	struct seccomp_notif ask;

	for (;;) {
		memset(&ask, 0, sizeof(ask));
		if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &ask) < 0)
			return;
		bool ours = ask.data.nr == SYS_uname;
		struct seccomp_notif_resp say = {
			.id = ask.id,
			.val = ours ? 42 : 0,
			.flags = ours ? 0 : SECCOMP_USER_NOTIF_FLAG_CONTINUE,
		};
		if (ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &say) < 0 || ours)
			return;
	}
}

TEST(a_seccomp_listener_gets_its_descriptor_even_when_sending_is_filtered)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct err err = ERR_INIT;
	char text[128];
	int status = -1;

	(void)snprintf(at.sun_path, sizeof(at.sun_path), "/tmp/hull-listener-%d", getpid());
	AUTO_CLOSE int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct plan_process what = {.seccomp_listener = at.sun_path};
	EXPECT_EQ(listener_open(&what, &err), -ENOENT);
	EXPECT(strstr(err.msg, "listenerPath"));
	err = ERR_INIT;
	EXPECT_EQ(bind(server, (const struct sockaddr *)&at, sizeof(at)), 0);
	EXPECT_EQ(listen(server, 1), 0);
	AUTO_CLOSE int sock = listener_open(&what, &err);
	EXPECT(sock >= 0);
	(void)unlink(at.sun_path);
	pid_t pid = fork();
	if (pid == 0)
		_exit(load_listener(sock));
	AUTO_CLOSE int peer = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	AUTO_CLOSE int fd = receive_listener(peer, text, sizeof(text));
	EXPECT(fd >= 0);
	EXPECT_STR(text, "{\"fds\":[\"seccompFd\"]}");
	answer(fd);
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
}
