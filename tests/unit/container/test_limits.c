/* SPDX-License-Identifier: Apache-2.0 */
/* Limits hold, and what is counted, paused, ended and repaired. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "container/container.h"
#include "rig.h"

TEST(the_memory_limit_kills)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "exec tail /dev/zero");
	rig.plan.limits.memory = 16 << 20;
	rig.plan.limits.memory_swap = 16 << 20;
	EXPECT_EQ(rig_run(&rig), 137);
	EXPECT(rig.exit.oom);
}

TEST(the_pids_limit_holds)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done; echo no");
	rig.plan.limits.pids = 8;
	EXPECT(rig_run(&rig) != 0);
	EXPECT(strstr(rig.output.data, "can't fork"));
}

TEST(cpu_limits_are_written_where_the_kernel_reads_them)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "cd /sys/fs/cgroup; cat cpu.max 2>/dev/null || "
		       "cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpu/cpu.shares "
		       "cpuset/cpuset.cpus; nproc");
	rig.plan.limits.cpu_quota_us = 50000;
	rig.plan.limits.cpu_shares = 512;
	rig.plan.limits.cpuset_cpus = strdup("0");
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT(strncmp(rig.output.data, "50000 100000\n", 13) == 0 ||
	       strcmp(rig.output.data, "50000\n100000\n512\n0\n1\n") == 0);
}

TEST(a_limit_that_this_host_lacks_is_said)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig,
		 "cat /sys/fs/cgroup/blkio/*weight /sys/fs/cgroup/io*weight 2>/dev/null; true");
	rig.plan.limits.blkio_weight = 500;
	EXPECT_EQ(rig_run(&rig), 0);
	bool held = strstr(rig.output.data, "500") || strstr(rig.output.data, "4950");
	bool said = rig.messages.data && strstr(rig.messages.data, "block I/O weight");
	EXPECT(held != said);
}

TEST(limits_that_make_no_sense_leave_nothing)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "true");
	rig.plan.limits.cpuset_cpus = strdup("4711");
	EXPECT(rig_run(&rig) < 0);
	EXPECT(strstr(rig.failure.msg, "cpuset.cpus"));
	EXPECT(!rig_left_anything(&rig));
}

TEST(a_cgroup_path_that_climbs_is_refused)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "true");
	free(rig.plan.cgroup);
	rig.plan.cgroup = strdup("hull/../../../tmp/x");
	EXPECT_EQ(rig_run(&rig), -EINVAL);
}

TEST(update_changes_limits_while_running)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	struct plan_limits limits = {.memory = 64 << 20, .memory_swap = 64 << 20, .pids = 9};
	rig_init(&rig, "sleep 1000");
	rig.plan.limits.memory = rig.plan.limits.memory_swap = 32 << 20;
	EXPECT_EQ(rig_create(&rig), 0);
	EXPECT_EQ(rig_start(&rig), 0);
	for (int i = 0; i < 2; i++) { /* up, then down again */
		rig.answered = false;
		container_isolation.update(rig.iso, &limits, rig_reply, &rig);
		EXPECT_EQ(rig_answer(&rig), 0);
		container_isolation.stats(rig.iso, rig_stats, &rig);
		EXPECT_EQ(rig.stats.memory_limit, limits.memory);
		EXPECT_EQ(rig.stats.pids_limit, 9);
		limits.memory = limits.memory_swap = 16 << 20;
	}
}

static bool both_sleep(struct rig *rig)
{
	container_isolation.top(rig->iso, rig_top, rig);
	return rig->top.data && strstr(rig->top.data, "sleep 999\n") &&
	       strstr(rig->top.data, "sleep 1000\n");
}

TEST(stats_count_and_top_lists)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 999 & "
		       "echo ready; sleep 1000");
	EXPECT_EQ(rig_create(&rig), 0);
	EXPECT_EQ(rig_start(&rig), 0);
	EXPECT(rig_until(&rig, "ready", 10000));
	for (int i = 0; i < 100 && !both_sleep(&rig); i++)
		(void)rig_until(&rig, "never", 50);
	container_isolation.stats(rig.iso, rig_stats, &rig);
	EXPECT(rig.stats.cpu_ns > 1000000);
	EXPECT(rig.stats.memory > 0);
	EXPECT(rig.stats.memory_peak >= rig.stats.memory);
	EXPECT_EQ(rig.stats.pids, 2); /* the shell has become the second sleep */
	EXPECT_EQ(rig.stats.memory_limit, 0);
	EXPECT(both_sleep(&rig));
}

TEST(pause_stops_every_process_and_resume_goes_on)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "while :; do echo tick; sleep 0.01; done");
	EXPECT_EQ(rig_create(&rig), 0);
	EXPECT_EQ(rig_start(&rig), 0);
	EXPECT(rig_until(&rig, "tick", 20000));
	rig.answered = false;
	container_isolation.pause(rig.iso, true, rig_reply, &rig);
	EXPECT_EQ(rig_answer(&rig), 0);
	(void)rig_until(&rig, "never", 20); /* what was written before */
	buf_clear(&rig.output);
	EXPECT(!rig_until(&rig, "tick", 100));
	EXPECT_EQ(rig_exec(&rig, "true"), -EBUSY);
	rig.answered = false;
	container_isolation.pause(rig.iso, false, rig_reply, &rig);
	EXPECT_EQ(rig_answer(&rig), 0);
	EXPECT(rig_until(&rig, "tick", 20000));
}

TEST(a_paused_workload_can_be_killed_and_deleted)
{
	if (!rig_can())
		return;
	for (int kill_first = 0; kill_first < 2; kill_first++) {
		AUTO_RIG struct rig rig;
		rig_init(&rig, "sleep 1000");
		EXPECT_EQ(rig_create(&rig), 0);
		EXPECT_EQ(rig_start(&rig), 0);
		rig.answered = false;
		container_isolation.pause(rig.iso, true, rig_reply, &rig);
		EXPECT_EQ(rig_answer(&rig), 0);
		if (kill_first) {
			EXPECT_EQ(container_isolation.signal(rig.iso, 0, SIGKILL, false,
							     &rig.failure),
				  0);
			EXPECT_EQ(rig_finish(&rig), 0);
			EXPECT_EQ(rig.exit.status, 137);
		}
		container_isolation.delete(rig.iso);
		rig.iso = NULL;
		EXPECT(!rig_left_anything(&rig));
	}
}

TEST(a_signal_to_all_reaches_all)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "trap 'echo outer' USR1; (trap 'echo inner' USR1; echo ready; "
		       "while :; do sleep 0.01; done) & while :; do sleep 0.01; done");
	EXPECT_EQ(rig_create(&rig), 0);
	EXPECT_EQ(rig_start(&rig), 0);
	EXPECT(rig_until(&rig, "ready", 20000));
	EXPECT_EQ(container_isolation.signal(rig.iso, 0, SIGUSR1, true, &rig.failure), 0);
	EXPECT(rig_until(&rig, "inner", 20000));
	EXPECT(rig_until(&rig, "outer", 20000));
}

TEST(folders_that_the_workload_makes_in_its_cgroup_go_too)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "cd /sys/fs/cgroup/pids 2>/dev/null || cd /sys/fs/cgroup; mkdir -p a/b/c && "
		       "echo made");
	rig.plan.privileged = true;
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT_STR(rig.output.data, "made\n");
	container_isolation.delete(rig.iso);
	rig.iso = NULL;
	EXPECT(!rig_left_anything(&rig));
}

TEST(the_first_process_takes_all_others_with_it)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "sleep 1000 & sleep 0.3; exit 4");
	EXPECT_EQ(rig_create(&rig), 0);
	EXPECT_EQ(rig_start(&rig), 0);
	EXPECT_EQ(rig_exec(&rig, "exec sleep 1000"), 137);
	EXPECT_EQ(rig_finish(&rig), 0);
	EXPECT_EQ(rig.exit.status, 4);
}

/* A keeper that is killed: its child here, with a rig of its own. */
static pid_t keeper_with_workload(struct rig *rig, int ready)
{
	pid_t pid = fork();

	if (pid == 0) {
		rig_init(rig, "sleep 1000 & sleep 1000");
		int r = rig_create(rig);
		if (r == 0)
			r = rig_start(rig);
		if (write(ready, rig->plan.id, strlen(rig->plan.id) + 1) < 0 ||
		    write(ready, rig->dir, strlen(rig->dir) + 1) < 0)
			_exit(1);
		(void)pause();
		_exit(r);
	}
	return pid;
}

TEST(a_killed_keeper_leaves_nothing_after_repair)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig own; /* for its scratch folder, and to look for what is left */
	struct rig theirs;
	int ready[2];
	char said[256] = "";
	rig_init(&own, "");
	EXPECT_EQ(pipe2(ready, O_CLOEXEC), 0);
	pid_t pid = keeper_with_workload(&theirs, ready[1]);
	EXPECT(pid > 0);
	size_t n = 0;
	while (n == 0 || memchr(said, '\0', n) == said + n - 1) {
		ssize_t got = read(ready[0], said + n, sizeof(said) - n);
		EXPECT(got > 0);
		n += (size_t)got;
		if (strlen(said) + 1 < n)
			break;
	}
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	(void)close(ready[0]);
	(void)close(ready[1]);
	free(own.plan.id);
	own.plan.id = strdup(said);
	EXPECT(rig_left_anything(&own));
	EXPECT_EQ(container_isolation.repair(said, own.state_fd, &own.failure), 0);
	EXPECT(!rig_left_anything(&own));
	EXPECT_EQ(container_isolation.repair(said, own.state_fd, &own.failure), 0);
	const char *dir = said + strlen(said) + 1;
	EXPECT(strstr(dir, "/hull-rig-"));
	rig_remove(dir);
}

TEST(a_thousandth_start_is_as_clean_as_the_first)
{
	if (!rig_can())
		return;
	int before = open("/dev/null", O_RDONLY | O_CLOEXEC);
	(void)close(before);
	for (int i = 0; i < 20; i++) {
		AUTO_RIG struct rig rig;
		rig_init(&rig, "true");
		EXPECT_EQ(rig_run(&rig), 0);
	}
	int after = open("/dev/null", O_RDONLY | O_CLOEXEC);
	(void)close(after);
	EXPECT_EQ(after, before);
	EXPECT_EQ(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
	EXPECT_EQ(errno, ECHILD);
}
