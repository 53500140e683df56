/* SPDX-License-Identifier: Apache-2.0 */
/* What fails between the host and a machine, and how either of them ends. */
#include "../test.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent_rig.h"
#include "base/fd.h"
#include "double.h"
#include "guest/session.h"

TEST(an_answer_too_long_to_be_sent_is_a_failure_not_a_silence)
{
	AUTO(rig_done) struct rig rig = {0};

	EXPECT(rig_new(&rig, "cat", false));
	double_notes.top_processes = 60000;
	agent_top(rig.agent, rig_on_top, &rig);
	EXPECT_EQ(rig_reply(&rig), EMSGSIZE);
}

TEST(a_set_up_that_fails_says_why_and_may_be_tried_again)
{
	AUTO(rig_done) struct rig rig = {0};
	int fds[2];

	EXPECT(rig_ends(&rig, fds));
	EXPECT(rig_agent(&rig, fds[0]) && rig_session(&rig, fds[1]));
	rig.setup.share_tag = strdup("broken");
	agent_setup(rig.agent, &rig.setup, rig_on_reply, &rig);
	EXPECT_EQ(rig_reply(&rig), ENODEV);
	EXPECT_STR(rig.failure, "there is no share");
	EXPECT_EQ(double_notes.creates, 0);
	rig.setup.share_tag[0] = 'B';
	double_notes.fail_create = EMFILE;
	agent_setup(rig.agent, &rig.setup, rig_on_reply, &rig);
	EXPECT_EQ(rig_reply(&rig), EMFILE);
	double_notes.fail_create = 0;
	agent_setup(rig.agent, &rig.setup, rig_on_reply, &rig);
	EXPECT_EQ(rig_reply(&rig), 0);
	agent_setup(rig.agent, &rig.setup, rig_on_reply, &rig);
	EXPECT_EQ(rig_reply(&rig), EBUSY);
}

TEST(orders_for_a_workload_that_was_never_set_up_fail)
{
	AUTO(rig_done) struct rig rig = {0};
	int fds[2];

	EXPECT(rig_ends(&rig, fds));
	EXPECT(rig_agent(&rig, fds[0]) && rig_session(&rig, fds[1]));
	agent_stats(rig.agent, rig_on_stats, &rig);
	EXPECT_EQ(rig_reply(&rig), ENOENT);
	EXPECT_STR(rig.failure, "workload 1 is not in this machine");
}

TEST(power_off_and_a_hang_up_of_the_host_both_end_the_session_and_its_workload)
{
	for (int asked = 0; asked < 2; asked++) {
		AUTO(rig_done) struct rig rig = {0};
		AUTO(streams_done) struct streams s = {-1, -1, -1};
		EXPECT(rig_new(&rig, "sleep 100", false));
		EXPECT_EQ(rig_start(&rig, &s), 0);
		if (asked)
			EXPECT_EQ(agent_poweroff(rig.agent, &(struct err){0}), 0);
		else
			agent_free(TAKE_PTR(rig.agent));
		while (!rig.over)
			EXPECT(rig_run(&rig, PATIENCE_MS));
		EXPECT_EQ(rig.over_by_host, asked);
		EXPECT_EQ(double_notes.deletes, 0);
		session_free(TAKE_PTR(rig.session));
		EXPECT_EQ(double_notes.deletes, 1);
	}
}

TEST(a_machine_that_dies_ends_every_process_with_the_reason_the_first_one_last)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(streams_done) struct streams s = {-1, -1, -1};
	AUTO(streams_done) struct streams t = {-1, -1, -1};
	char text[16];

	EXPECT(rig_new(&rig, "echo before; sleep 100", false));
	EXPECT_EQ(rig_start(&rig, &s), 0);
	EXPECT_EQ(rig_exec(&rig, 3, "sleep 100", &t), 0);
	(void)rig_run(&rig, 100);
	rig.end_at_loss = true;
	session_free(TAKE_PTR(rig.session));
	EXPECT(rig_exits(&rig, 2));
	EXPECT_EQ(rig.lost, 1);
	EXPECT_EQ(rig.last[0].process, 3);
	EXPECT_EQ(rig.last[1].process, 0);
	EXPECT_EQ(rig.last[1].status, 137);
	EXPECT_STR(rig.reason, "guest kernel panic");
	agent_free(TAKE_PTR(rig.agent));
	EXPECT_STR(text_of(s.out, text, sizeof(text)), "before\n");
}

TEST(replies_that_are_due_when_the_machine_dies_come_as_failures)
{
	AUTO(rig_done) struct rig rig = {0};
	struct process_io none = {-1, -1, -1};
	int fds[2];

	EXPECT(rig_ends(&rig, fds));
	AUTO_CLOSE int silent = fds[1];
	EXPECT(rig_agent(&rig, fds[0]));
	agent_setup(rig.agent, &rig.setup, rig_on_reply, &rig);
	agent_start(rig.agent, &rig.setup.plan.process, &none, rig_on_reply, &rig);
	rig.end_at_loss = true;
	auto_close(&silent);
	while (rig.lost == 0)
		EXPECT(rig_run(&rig, 1000));
	EXPECT_EQ(rig.replies, 2);
	EXPECT_EQ(rig.code, ECONNRESET);
	EXPECT_STR(rig.failure, "the machine has ended: guest kernel panic");
	(void)rig_run(&rig, 20);
	EXPECT_EQ(rig.exits, 0);
}

TEST(the_client_may_be_freed_by_the_exit_it_tells)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(streams_done) struct streams s = {-1, -1, -1};
	AUTO(streams_done) struct streams t = {-1, -1, -1};

	EXPECT(rig_new(&rig, "cat", false));
	EXPECT_EQ(rig_start(&rig, &s), 0);
	EXPECT_EQ(rig_exec(&rig, 2, "sleep 50", &t), 0);
	rig.free_at_exit = true;
	auto_close(&s.in);
	EXPECT(rig_exits(&rig, 1));
	EXPECT(rig.agent == NULL);
	(void)rig_run(&rig, 20);
	EXPECT_EQ(rig.over, 1);
}
