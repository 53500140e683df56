/* SPDX-License-Identifier: Apache-2.0 */
/* What a workload in a machine does and is asked, by the client of its agent. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "agent_rig.h"
#include "base/fd.h"
#include "base/str.h"
#include "double.h"
#include "proto/record.h"

TEST(a_workload_runs_with_its_streams_and_its_status_comes_back)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(streams_done) struct streams s = {-1, -1, -1};
	char text[256];

	EXPECT(rig_new(&rig, "read a; echo out $a; echo err $a >&2; exit 7", false));
	EXPECT_STR(double_notes.hostname, "box");
	EXPECT_EQ(rig_start(&rig, &s), 0);
	EXPECT_EQ(write(s.in, "hello\n", 6), 6);
	EXPECT(rig_exits(&rig, 1));
	EXPECT_EQ(rig.last[0].process, 0);
	EXPECT_EQ(rig.last[0].status, 7);
	EXPECT_STR(text_of(s.out, text, sizeof(text)), "out hello\n");
	EXPECT_STR(text_of(s.err, text, sizeof(text)), "err hello\n");
}

TEST(the_exit_comes_after_the_last_byte_although_the_reader_is_slow)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(streams_done) struct streams s = {-1, -1, -1};
	static char block[65536];
	size_t got = 0;

	EXPECT(rig_new(&rig, "head -c 5000000 /dev/zero", false));
	EXPECT_EQ(rig_start(&rig, &s), 0);
	(void)rig_run(&rig, 200);
	EXPECT_EQ(rig.exits, 0);
	while (got < 5000000) {
		EXPECT(rig.exits == 0 || got + 65536 >= 5000000); /* the rest fits in the pipe */
		(void)fcntl(s.out, F_SETFL, O_NONBLOCK);
		ssize_t n = read(s.out, block, sizeof(block));
		EXPECT(n > 0 || (n < 0 && errno == EAGAIN));
		got += n > 0 ? (size_t)n : 0;
		(void)rig_run(&rig, 1);
	}
	EXPECT(rig_exits(&rig, 1));
	EXPECT_EQ(read(s.out, block, sizeof(block)), 0);
}

TEST(the_end_of_input_goes_through)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(streams_done) struct streams s = {-1, -1, -1};
	char text[256];

	EXPECT(rig_new(&rig, "wc -c", false));
	EXPECT_EQ(rig_start(&rig, &s), 0);
	EXPECT_EQ(write(s.in, "12345", 5), 5);
	auto_close(&s.in);
	EXPECT(rig_exits(&rig, 1));
	EXPECT_STR(text_of(s.out, text, sizeof(text)), "5\n");
}

TEST(the_machine_is_told_the_time_when_it_comes_up)
{
	AUTO(rig_done) struct rig rig = {0};
	struct timespec now;

	EXPECT(rig_new(&rig, "true", false));
	EXPECT_EQ(clock_gettime(CLOCK_REALTIME, &now), 0);
	EXPECT_EQ(rig.clock_ns / 1000000000 + 5 > (uint64_t)now.tv_sec, 1);
	EXPECT(rig.clock_ns / 1000000000 <= (uint64_t)now.tv_sec);
}

TEST(streams_that_were_not_given_are_empty)
{
	AUTO(rig_done) struct rig rig = {0};
	struct process_io none = {-1, -1, -1};

	EXPECT(rig_new(&rig, "cat; echo lost", false));
	agent_start(rig.agent, &rig.setup.plan.process, &none, rig_on_reply, &rig);
	EXPECT_EQ(rig_reply(&rig), 0);
	EXPECT(rig_exits(&rig, 1));
	EXPECT_EQ(rig.last[0].status, 0);
}

TEST(a_program_that_is_missing_fails_the_start_with_its_code)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(streams_done) struct streams s = {-1, -1, -1};
	char text[16];

	EXPECT(rig_new(&rig, "true", false));
	EXPECT_EQ(rig_start(&rig, &s), 0);
	AUTO(streams_done) struct streams t = {-1, -1, -1};
	struct plan_process p = {0};
	struct process_io io;
	EXPECT_EQ(strv_add(&p.args, "missing", &(struct err){0}), 0);
	EXPECT(streams_new(&io, &t));
	agent_exec(rig.agent, 4, &p, &io, rig_on_reply, &rig);
	record_done(&plan_process_record, &p);
	streams_close(&io);
	EXPECT_EQ(rig_reply(&rig), ENOENT);
	EXPECT_STR(rig.failure, "'missing': not found");
	EXPECT_STR(text_of(t.out, text, sizeof(text)), "");
}

TEST(more_processes_run_beside_the_first_and_end_by_themselves)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(streams_done) struct streams s = {-1, -1, -1};
	AUTO(streams_done) struct streams t = {-1, -1, -1};
	AUTO(streams_done) struct streams u = {-1, -1, -1};
	char text[64];

	EXPECT(rig_new(&rig, "cat", false));
	EXPECT_EQ(rig_start(&rig, &s), 0);
	EXPECT_EQ(rig_exec(&rig, 9, "echo nine; exit 9", &t), 0);
	EXPECT(rig_exits(&rig, 1));
	EXPECT_EQ(rig.last[0].process, 9);
	EXPECT_EQ(rig.last[0].status, 9);
	EXPECT_STR(text_of(t.out, text, sizeof(text)), "nine\n");
	EXPECT_EQ(rig_exec(&rig, 0, "true", &u), EEXIST);
	auto_close(&s.in);
	EXPECT(rig_exits(&rig, 2));
	EXPECT_EQ(rig.last[1].process, 0);
}

/* Nobody writes into that pipe any more. */
static bool is_over(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLHUP);
}

TEST(a_child_that_keeps_the_streams_does_not_hold_back_the_exit_nor_lose_its_words)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(streams_done) struct streams s = {-1, -1, -1};
	char text[64];

	EXPECT(rig_new(&rig, "(sleep 0.3; echo later) & echo now", false));
	EXPECT_EQ(rig_start(&rig, &s), 0);
	EXPECT(rig_exits(&rig, 1));
	EXPECT_EQ(read(s.out, text, sizeof(text)), 4);
	for (int i = 0; i < 100 && !is_over(s.out); i++)
		(void)rig_run(&rig, 100);
	EXPECT(is_over(s.out));
	EXPECT_STR(text_of(s.out, text, sizeof(text)), "later\n");
}

TEST(signals_reach_the_process)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(streams_done) struct streams s = {-1, -1, -1};
	struct err err = ERR_INIT;

	EXPECT(rig_new(&rig, "sleep 100", false));
	EXPECT_EQ(agent_signal(rig.agent, 0, SIGTERM, false, &err), -ESRCH);
	EXPECT_EQ(rig_start(&rig, &s), 0);
	EXPECT_EQ(agent_signal(rig.agent, 0, SIGTERM, false, &(struct err){0}), 0);
	EXPECT(rig_exits(&rig, 1));
	EXPECT_EQ(rig.last[0].status, 128 + SIGTERM);
}

TEST(a_terminal_carries_both_ways_and_ends_with_its_process)
{
	AUTO(rig_done) struct rig rig = {0};
	struct process_io none = {-1, -1, -1};
	struct err err = ERR_INIT;
	char text[512];

	EXPECT(rig_new(&rig, "test -t 0 && read a && echo got $a", true));
	agent_start(rig.agent, &rig.setup.plan.process, &none, rig_on_reply, &rig);
	EXPECT_EQ(rig_reply(&rig), 0);
	AUTO_CLOSE int fd = agent_console(rig.agent, 0, &err);
	EXPECT(fd >= 0);
	EXPECT_EQ(agent_console(rig.agent, 0, &err), -ENOENT);
	EXPECT_EQ(write(fd, "typed\n", 6), 6);
	EXPECT_EQ(agent_resize(rig.agent, 0, 33, 132, &(struct err){0}), 0);
	EXPECT(rig_exits(&rig, 1));
	EXPECT_EQ(rig.last[0].status, 0);
	EXPECT_STR(text_of(fd, text, sizeof(text)), "typed\r\ngot typed\r\n");
	EXPECT_EQ(double_notes.rows, 33);
	EXPECT_EQ(double_notes.cols, 132);
}

TEST(pause_update_stats_and_top_are_asked_inside)
{
	AUTO(rig_done) struct rig rig = {0};

	EXPECT(rig_new(&rig, "cat", false));
	agent_pause(rig.agent, true, rig_on_reply, &rig);
	EXPECT_EQ(rig_reply(&rig), 0);
	EXPECT_EQ(double_notes.paused, 1);
	agent_pause(rig.agent, false, rig_on_reply, &rig);
	EXPECT_EQ(rig_reply(&rig), 0);
	EXPECT_EQ(double_notes.paused, 2);
	agent_update(rig.agent, &(struct plan_limits){.memory = 77}, 0, rig_on_reply, &rig);
	EXPECT_EQ(rig_reply(&rig), 0);
	EXPECT_EQ(double_notes.memory, 77);
	agent_stats(rig.agent, rig_on_stats, &rig);
	EXPECT_EQ(rig_reply(&rig), 0);
	EXPECT_EQ(rig.stats.memory, INT64_C(1) << 40);
	EXPECT_EQ(rig.stats.pids, 3);
	double_notes.top_processes = 5;
	agent_top(rig.agent, rig_on_top, &rig);
	EXPECT_EQ(rig_reply(&rig), 0);
	EXPECT_EQ(rig.listed, 5);
}

TEST(disks_are_shown_and_hidden_inside)
{
	AUTO(rig_done) struct rig rig = {0};
	char serial[] = "s";
	char target[] = "/mnt/disk";
	char crooked[] = "/mnt/../disk";
	struct machine_order order = {.slot = 7,
				      .serial = serial,
				      .target = target,
				      .readonly = true};

	EXPECT(rig_new(&rig, "cat", false));
	agent_show_disk(rig.agent, &order, rig_on_reply, &rig);
	EXPECT_EQ(rig_reply(&rig), 0);
	EXPECT_STR(rig.disk, "show 7 s /mnt/disk ro");
	agent_hide_disk(rig.agent, &order, rig_on_reply, &rig);
	EXPECT_EQ(rig_reply(&rig), EBUSY);
	EXPECT_STR(rig.disk, "hide 7 s /mnt/disk ro");
	order.target = crooked;
	agent_show_disk(rig.agent, &order, rig_on_reply, &rig);
	EXPECT_EQ(rig_reply(&rig), EINVAL);
	order.target = target;
	order.serial = NULL;
	agent_show_disk(rig.agent, &order, rig_on_reply, &rig);
	EXPECT_EQ(rig_reply(&rig), EINVAL);
	EXPECT_STR(rig.disk, "hide 7 s /mnt/disk ro");
}

TEST(interfaces_are_set_up_and_let_go_inside)
{
	AUTO(rig_done) struct rig rig = {0};
	char name[] = "eth1", crooked[] = "../eth1";
	char mac[] = "02:68:0a:d6:00:03", address[] = "10.214.0.3/16";
	struct machine_order order = {
		.slot = 9, .target = name, .mac = mac, .address = address, .mtu = 1400};

	EXPECT(rig_new(&rig, "cat", false));
	agent_show_interface(rig.agent, &order, rig_on_reply, &rig);
	EXPECT_EQ(rig_reply(&rig), 0);
	EXPECT_STR(rig.interface, "show 9 eth1 02:68:0a:d6:00:03 10.214.0.3/16 1400");
	agent_hide_interface(rig.agent, &order, rig_on_reply, &rig);
	EXPECT_EQ(rig_reply(&rig), EBUSY);
	order.target = crooked;
	agent_show_interface(rig.agent, &order, rig_on_reply, &rig);
	EXPECT_EQ(rig_reply(&rig), EINVAL);
	order.target = name;
	order.mac = NULL;
	agent_show_interface(rig.agent, &order, rig_on_reply, &rig);
	EXPECT_EQ(rig_reply(&rig), EINVAL);
	EXPECT_STR(rig.interface, "hide 9 eth1 02:68:0a:d6:00:03 10.214.0.3/16 1400");
}
