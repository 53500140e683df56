/* SPDX-License-Identifier: Apache-2.0 */
/* Processes added to a running workload. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "container/container.h"
#include "rig.h"

static int start(struct rig *rig, const char *script)
{
	rig_init(rig, script);
	int r = rig_create(rig);
	return r < 0 ? r : rig_start(rig);
}

TEST(exec_has_the_same_rights_namespaces_and_cgroup)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	EXPECT_EQ(start(&rig, "sleep 1000"), 0);
	EXPECT_EQ(rig_exec(&rig, "for n in mnt net ipc uts pid cgroup; do "
				 "a=$(readlink /proc/1/ns/$n); b=$(readlink /proc/self/ns/$n); "
				 "[ $a = $b ] || echo $n differs; done; "
				 "cmp /proc/1/cgroup /proc/self/cgroup; "
				 "grep -E 'Cap[PEBI]|NSpid' /proc/self/status"),
		  0);
	EXPECT(!strstr(rig.output.data, "differs"));
	EXPECT(strstr(rig.output.data, "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\n"
				       "CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n"));
}

TEST(exec_runs_as_another_user_in_another_folder)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	struct plan_process what = {.rows = 0};
	struct err err = ERR_INIT;
	EXPECT_EQ(start(&rig, "sleep 1000"), 0);
	rig_args(&what, (const char *const[]){"sh", "-c", "id -un; pwd; echo $A $HOME", NULL});
	EXPECT_EQ(strv_add(&what.env, "A=b", &err), 0);
	EXPECT_EQ(strv_add(&what.env, "PATH=/bin", &err), 0);
	what.user = strdup("alice");
	what.cwd = strdup("/tmp");
	int r = rig_exec_as(&rig, &what, -1);
	record_done(&plan_process_record, &what);
	EXPECT_EQ(r, 0);
	EXPECT_STR(rig.output.data, "alice\n/tmp\nb /home/alice\n");
}

TEST(exec_of_what_is_missing_fails_and_leaves_the_workload_alone)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	struct plan_process what = {.rows = 0};
	EXPECT_EQ(start(&rig, "sleep 1000"), 0);
	rig_args(&what, (const char *const[]){"/no/such", NULL});
	EXPECT_EQ(rig_exec_as(&rig, &what, -1), -ENOENT);
	rig_args(&what, (const char *const[]){"/etc/passwd", NULL});
	EXPECT_EQ(rig_exec_as(&rig, &what, -1), -EACCES);
	what.user = strdup("nobody-here");
	EXPECT_EQ(rig_exec_as(&rig, &what, -1), -EINVAL);
	record_done(&plan_process_record, &what);
	EXPECT(!rig.ended);
	EXPECT_EQ(rig_exec(&rig, "exit 21"), 21);
}

TEST(exec_before_start_and_after_the_end_is_refused)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "true");
	EXPECT_EQ(rig_create(&rig), 0);
	EXPECT_EQ(rig_exec(&rig, "true"), -ESRCH);
	EXPECT_EQ(rig_start(&rig), 0);
	EXPECT_EQ(rig_finish(&rig), 0);
	EXPECT_EQ(rig_exec(&rig, "true"), -ESRCH);
	EXPECT_EQ(container_isolation.signal(rig.iso, 0, 15, false, &rig.failure), -ESRCH);
}

TEST(exec_with_a_terminal)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	struct plan_process what = {.tty = true, .rows = 12, .cols = 34};
	struct err err = ERR_INIT;
	EXPECT_EQ(start(&rig, "sleep 1000"), 0);
	rig_args(&what, (const char *const[]){"/bin/sh", "-c", "tty; stty size; sleep 0.3", NULL});
	rig.answered = false;
	container_isolation.exec(rig.iso, 99, &what, &(struct process_io){-1, -1, -1}, rig_reply,
				 &rig);
	EXPECT_EQ(rig_answer(&rig), 0);
	(void)close(rig.out);
	rig.out = container_isolation.console(rig.iso, 99, &err);
	EXPECT(rig.out >= 0);
	(void)fcntl(rig.out, F_SETFL, O_NONBLOCK);
	bool seen = rig_until(&rig, "12 34", 20000);
	record_done(&plan_process_record, &what);
	EXPECT(seen);
	EXPECT(strstr(rig.output.data, "/dev/pts/0\r\n"));
}

TEST(input_reaches_exec_and_its_end_too)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	struct plan_process what = {.rows = 0};
	int in[2];
	EXPECT_EQ(start(&rig, "sleep 1000"), 0);
	EXPECT_EQ(pipe2(in, O_CLOEXEC), 0);
	EXPECT_EQ(write(in[1], "through", 7), 7);
	(void)close(in[1]);
	rig_args(&what, (const char *const[]){"/bin/cat", NULL});
	int r = rig_exec_as(&rig, &what, in[0]);
	(void)close(in[0]);
	record_done(&plan_process_record, &what);
	EXPECT_EQ(r, 0);
	EXPECT_STR(rig.output.data, "through");
}

TEST(the_joiner_is_never_seen_from_inside)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	/* watches for any process that is not dumpable, ours before execve, with capabilities
	 * beyond the workload's own */
	EXPECT_EQ(start(&rig, "while :; do grep -h CapPrm /proc/[0-9]*/status 2>/dev/null | "
			      "grep -v 00000000a80425fb; done"),
		  0);
	for (int i = 0; i < 30; i++)
		EXPECT_EQ(rig_exec(&rig, "true"), 0);
	EXPECT(!rig_until(&rig, "CapPrm", 50));
}
