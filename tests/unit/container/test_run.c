/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <signal.h>

#include "container/container.h"
#include "rig.h"

TEST(a_program_runs_and_its_status_comes_back)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "echo hello; exit 7");
	EXPECT_EQ(rig_run(&rig), 7);
	EXPECT_STR(rig.output.data, "hello\n");
}

TEST(the_first_process_is_pid_1_in_a_box_of_its_own)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig,
		 "echo $$; hostname; pwd; echo $HOME; id -u; id -G; ls /; ls /dev; ls /dev/pts");
	EXPECT_EQ(rig_run(&rig), 0);
	EXPECT_STR(
		rig.output.data,
		"1\nbox\n/\n/root\n0\n0 10\nbin\ndev\netc\nhome\nproc\nsys\ntmp\ncore\nfd\nfull\nmqueue\n"
		"null\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\nptmx\n");
}

TEST(what_is_missing_has_its_own_errno)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "");
	rig_args(&rig.plan.process, (const char *const[]){"no-such-program", NULL});
	EXPECT_EQ(rig_run(&rig), -ENOENT);
	EXPECT_STR(rig.failure.msg, "'no-such-program': executable file not found in PATH");
}

TEST(nothing_is_left_after_delete)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "sleep 1000 & sleep 1000");
	EXPECT_EQ(rig_create(&rig), 0);
	EXPECT_EQ(rig_start(&rig), 0);
	EXPECT(rig_left_anything(&rig));
	container_isolation.delete(rig.iso);
	rig.iso = NULL;
	EXPECT(!rig_left_anything(&rig));
}

TEST(exec_runs_beside_the_first_process)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	rig_init(&rig, "sleep 1000");
	EXPECT_EQ(rig_create(&rig), 0);
	EXPECT_EQ(rig_start(&rig), 0);
	EXPECT_EQ(rig_exec(&rig, "hostname; cat /proc/1/comm; exit 9"), 9);
	EXPECT_STR(rig.output.data, "box\nsleep\n");
	EXPECT(!rig.ended);
}

TEST(signals_that_the_driver_ignores_are_not_ignored_inside)
{
	if (!rig_can())
		return;
	AUTO_RIG struct rig rig;
	struct sigaction old;
	rig_init(&rig, "");
	rig_args(&rig.plan.process,
		 (const char *const[]){"grep", "SigIgn", "/proc/self/status", NULL});
	(void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, &old);
	int status = rig_run(&rig);
	(void)sigaction(SIGPIPE, &old, NULL);
	EXPECT_EQ(status, 0);
	EXPECT_STR(rig.output.data, "SigIgn:\t0000000000000000\n");
}
