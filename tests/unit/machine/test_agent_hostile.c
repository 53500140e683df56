/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile guest says, and what a machine is told of its host. */
#include "../test.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent_rig.h"
#include "base/buf.h"
#include "base/fd.h"
#include "base/str.h"
#include "proto/channel.h"
#include "proto/record.h"

struct enemy {
	struct channel *channel;
	int fd;
};

static void enemy_done(struct enemy *e)
{
	channel_free(e->channel);
	auto_close(&e->fd);
}

static int ignore(void *ctx, const struct frame *f, struct err *err)
{
	return 0;
}

static bool enemy_flush(struct enemy *e)
{
	size_t n;
	const void *p;

	while ((p = channel_output(e->channel, &n))) {
		ssize_t w = write(e->fd, p, n);
		if (w <= 0)
			return false;
		channel_sent(e->channel, (size_t)w);
	}
	return true;
}

/* A client that has given one order to start, against an enemy that has greeted. */
static bool enemy_new(struct rig *rig, struct enemy *e)
{
	struct process_io none = {-1, -1, -1};
	struct err err = ERR_INIT;
	char hello[256];
	int fds[2];

	e->fd = -1;
	if (!rig_ends(rig, fds))
		return false;
	e->fd = fds[1];
	if (!rig_agent(rig, fds[0]) ||
	    channel_new(CHANNEL_GUEST, "enemy", ignore, NULL, &e->channel, &err) < 0)
		return false;
	ssize_t n = read(e->fd, hello, sizeof(hello));
	agent_start(rig->agent, &rig->setup.plan.process, &none, rig_on_reply, rig);
	return n > 0 && channel_receive(e->channel, hello, (size_t)n, &err) == 0 && enemy_flush(e);
}

static bool enemy_says(struct enemy *e, uint16_t type, uint32_t process, const void *payload,
		       size_t n)
{
	struct err err = ERR_INIT;
	struct frame f = {.type = type,
			  .workload = 1,
			  .process = process,
			  .len = (uint32_t)n,
			  .payload = payload};

	return channel_send(e->channel, &f, true, &err) == 0 && enemy_flush(e);
}

static bool enemy_records(struct enemy *e, uint16_t type, uint32_t process,
			  const struct record *record, const void *obj)
{
	AUTO_BUF struct buf b = BUF_INIT;

	record_encode(record, obj, &b);
	return enemy_says(e, type, process, b.data, b.len);
}

static void enemy_is_refused(uint16_t type, uint32_t process, const struct record *record,
			     const void *obj, const char *want)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(enemy_done) struct enemy e = {0};

	EXPECT(enemy_new(&rig, &e));
	EXPECT(enemy_records(&e, FRAME_ANSWER, 0, &machine_answer_record,
			     &(struct machine_answer){.number = 1}));
	EXPECT_EQ(rig_reply(&rig), 0);
	EXPECT(enemy_records(&e, type, process, record, obj));
	EXPECT(rig_run(&rig, 1000));
	EXPECT_EQ(rig.lost, 1);
	EXPECT_EQ(rig.exits, 0);
	EXPECT_STR(rig.why, want);
}

TEST(lies_of_the_guest_end_the_channel)
{
	static char reason[] = "x";

	enemy_is_refused(FRAME_ANSWER, 0, &machine_answer_record,
			 &(struct machine_answer){.number = 1},
			 "an answer to order 1, which was not given");
	enemy_is_refused(FRAME_EXITED, 5, &process_exit_record,
			 &(struct process_exit){.process = 5},
			 "the exit of process 5, which does not run");
	enemy_is_refused(FRAME_EXITED, 0, &process_exit_record,
			 &(struct process_exit){.process = 1}, "an impossible exit of process 0");
	enemy_is_refused(FRAME_EXITED, 0, &process_exit_record,
			 &(struct process_exit){.status = 256, .reason = reason},
			 "an impossible exit of process 0");
	enemy_is_refused(FRAME_ANSWER, 0, &process_exit_record,
			 &(struct process_exit){.reason = reason},
			 "machine_answer: isolation_stats: cut short");
}

TEST(an_exit_before_the_start_was_answered_ends_the_channel)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(enemy_done) struct enemy e = {0};

	EXPECT(enemy_new(&rig, &e));
	EXPECT(enemy_records(&e, FRAME_EXITED, 0, &process_exit_record, &(struct process_exit){0}));
	EXPECT(rig_run(&rig, 1000));
	EXPECT_EQ(rig.lost, 1);
	EXPECT_EQ(rig.exits, 0);
}

TEST(a_guests_words_reach_nobody_with_control_characters_nor_without_end)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(enemy_done) struct enemy e = {0};
	static char nasty[] = "\033[2Jgotcha\r";

	EXPECT(enemy_new(&rig, &e));
	EXPECT(enemy_says(&e, FRAME_LOG, 0, nasty, sizeof(nasty)));
	(void)rig_run(&rig, 50);
	EXPECT_STR(rig.line, "?[2Jgotcha?");
	EXPECT(enemy_records(
		&e, FRAME_ANSWER, 0, &machine_answer_record,
		&(struct machine_answer){.number = 1, .code = UINT32_MAX, .message = nasty}));
	EXPECT_EQ(rig_reply(&rig), EIO);
	EXPECT_STR(rig.failure, "?[2Jgotcha?");
	for (int i = 0; i < 20000; i++) {
		EXPECT(enemy_says(&e, FRAME_LOG, 0, "flood", 5));
		if (i % 200 == 0)
			(void)rig_run(&rig, 0);
	}
	(void)rig_run(&rig, 50);
	EXPECT(rig.lines > 100 && rig.lines < 5000);
	EXPECT_EQ(rig.lost, 0);
}

/* --- what is sent for a plan --- */

TEST(a_plan_is_made_ready_for_the_machine_without_the_hosts_matters)
{
	struct err err = ERR_INIT;
	struct plan plan = {0};
	struct machine_setup setup = {0};
	AUTO_STRV struct strv shares = {0};

	plan.namespaces = CLONE_NEWNET | CLONE_NEWPID;
	plan.machine.kernel = strdup("/boot/vmlinuz");
	plan.root.upper = strdup("/var/upper");
	plan.root.size_max = 5;
	EXPECT_EQ(strv_add(&plan.root.layers, "/var/layer", &err), 0);
	static const char *const binds[3][2] = {{"/srv/data", NULL},
						{"tmpfs", "tmpfs"},
						{"/etc/motd", "bind"}};
	for (int i = 0; i < 3; i++) {
		struct plan_mount *m = list_add(&plan.mounts, &plan_mount_record);
		m->source = strdup(binds[i][0]);
		m->type = binds[i][1] ? strdup(binds[i][1]) : NULL;
		m->make_source = true;
	}
	EXPECT_EQ(agent_prepare(&plan, "hull", &setup, &shares, &err), 0);
	const struct plan_mount *m = setup.plan.mounts.items;
	EXPECT_EQ(setup.plan.mounts.n, 3);
	EXPECT_STR(m[0].source, "/run/hull/share/0");
	EXPECT(!m[0].make_source);
	EXPECT_STR(m[1].source, "tmpfs");
	EXPECT_STR(m[2].source, "/run/hull/share/1");
	EXPECT_EQ(shares.n, 2);
	EXPECT_STR(shares.v[0], "/srv/data");
	EXPECT_STR(shares.v[1], "/etc/motd");
	EXPECT_STR(setup.share_tag, "hull");
	EXPECT_EQ(setup.plan.namespaces, CLONE_NEWPID);
	EXPECT(!setup.plan.machine.kernel && !setup.plan.root.upper);
	EXPECT_EQ(setup.plan.root.layers.n, 0);
	EXPECT_EQ(setup.plan.root.size_max, 0);
	EXPECT_EQ(setup.seed.len, 64);
	EXPECT_STR(((struct plan_mount *)plan.mounts.items)[0].source, "/srv/data");
	record_done(&machine_setup_record, &setup);
	record_done(&plan_record, &plan);
}
