/* SPDX-License-Identifier: Apache-2.0 */
/* The host's client of the agent and the agent's session, in one loop over a socket pair, with
 * plain processes as the workload. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/loop.h"
#include "base/str.h"
#include "double.h"
#include "guest/session.h"
#include "machine/agent.h"
#include "proto/channel.h"

enum { PATIENCE_MS = 20000 };

struct rig {
	struct loop *loop;
	struct timer *timer;
	struct agent *agent;
	struct session *session;
	struct machine_setup setup;
	bool late;
	/* what was told */
	int replies, awaited, code;
	char failure[ERR_MSG_MAX];
	struct isolation_stats stats;
	size_t listed;
	uint64_t clock_ns;
	int exits;
	struct process_exit last[8];
	char reason[ERR_MSG_MAX];
	int lost, over, lines;
	bool over_by_host, free_at_exit, end_at_loss;
	char why[ERR_MSG_MAX], line[256];
};

static void note_reply(struct rig *rig, const struct err *failure)
{
	rig->replies++;
	rig->code = failure ? failure->code : 0;
	(void)snprintf(rig->failure, sizeof(rig->failure), "%s", failure ? failure->msg : "");
	loop_stop(rig->loop);
}

static void on_reply(void *ctx, const struct err *failure, const void *answer)
{
	note_reply(ctx, failure);
}

static void on_stats(void *ctx, const struct err *failure, const void *answer)
{
	struct rig *rig = ctx;

	if (answer)
		rig->stats = *(const struct isolation_stats *)answer;
	note_reply(rig, failure);
}

static void on_top(void *ctx, const struct err *failure, const void *answer)
{
	struct rig *rig = ctx;

	rig->listed = answer ? ((const struct isolation_top *)answer)->processes.n : 0;
	note_reply(rig, failure);
}

static void on_exited(void *ctx, const struct process_exit *how)
{
	struct rig *rig = ctx;

	if (rig->exits < 8)
		rig->last[rig->exits] = *how;
	rig->exits++;
	(void)snprintf(rig->reason, sizeof(rig->reason), "%s", how->reason ? how->reason : "");
	if (rig->free_at_exit)
		agent_free(TAKE_PTR(rig->agent));
	loop_stop(rig->loop);
}

static void on_message(void *ctx, const char *line)
{
	struct rig *rig = ctx;

	rig->lines++;
	(void)snprintf(rig->line, sizeof(rig->line), "%s", line);
}

static void on_lost(void *ctx, const struct err *why)
{
	struct rig *rig = ctx;

	rig->lost++;
	(void)snprintf(rig->why, sizeof(rig->why), "%s", why->msg);
	if (rig->end_at_loss)
		agent_end(rig->agent, "guest kernel panic");
	loop_stop(rig->loop);
}

static int prepare(void *ctx, struct machine_setup *setup, struct err *err)
{
	return setup->share_tag && strcmp(setup->share_tag, "broken") == 0
		       ? err_set(err, ENODEV, "there is no share")
		       : 0;
}

static void on_over(void *ctx, const struct err *why)
{
	struct rig *rig = ctx;

	rig->over++;
	rig->over_by_host = !why;
	loop_stop(rig->loop);
}

static void on_clock(void *ctx, uint64_t ns)
{
	struct rig *rig = ctx;

	rig->clock_ns = ns;
}

static const struct isolation_events events = {on_exited, on_message};

static bool agent_on(struct rig *rig, int fd)
{
	struct err err = ERR_INIT;

	return agent_new(&(struct agent_config){.loop = rig->loop,
						.fd = fd,
						.events = &events,
						.events_ctx = rig,
						.lost = on_lost,
						.lost_ctx = rig},
			 &rig->agent, &err) == 0;
}

static bool session_on(struct rig *rig, int fd)
{
	struct err err = ERR_INIT;

	return session_new(&(struct session_config){.loop = rig->loop,
						    .fd = fd,
						    .ops = &double_isolation,
						    .state_fd = -1,
						    .layers_fd = -1,
						    .prepare = prepare,
						    .over = on_over,
						    .clock = on_clock,
						    .ctx = rig},
			   &rig->session, &err) == 0;
}

static void rig_done(struct rig *rig)
{
	agent_free(rig->agent);
	session_free(rig->session);
	record_done(&machine_setup_record, &rig->setup);
	loop_free(rig->loop);
}

static bool rig_ends(struct rig *rig, int fds[2])
{
	struct err err = ERR_INIT;

	double_notes = (struct double_notes){0};
	(void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	return loop_new(&rig->loop, &err) == 0 &&
	       socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0;
}

static int too_late(void *ctx, struct err *err)
{
	struct rig *rig = ctx;

	rig->timer = NULL;
	rig->late = true;
	loop_stop(rig->loop);
	return 0;
}

static bool run(struct rig *rig, uint64_t ms)
{
	struct err err = ERR_INIT;

	rig->late = false;
	if (loop_timer(rig->loop, ms, too_late, rig, &rig->timer, &err) < 0 ||
	    loop_run(rig->loop, &err) < 0)
		return false;
	timer_cancel(&rig->timer);
	return !rig->late;
}

/* Runs until one more reply came; answers its code, -1 for none. */
static int reply_code(struct rig *rig)
{
	rig->awaited++;
	while (rig->replies < rig->awaited) {
		if (!run(rig, PATIENCE_MS))
			return -1;
	}
	return rig->code;
}

static bool exits_come(struct rig *rig, int n)
{
	while (rig->exits < n) {
		if (!run(rig, PATIENCE_MS))
			return false;
	}
	return rig->exits == n;
}

static bool shell(struct plan_process *p, const char *script)
{
	struct err err = ERR_INIT;

	return strv_add(&p->args, "sh", &err) == 0 && strv_add(&p->args, "-c", &err) == 0 &&
	       strv_add(&p->args, script, &err) == 0;
}

/* A machine whose workload will run `script`, set up. */
static bool rig_new(struct rig *rig, const char *script, bool tty)
{
	int fds[2];

	if (!rig_ends(rig, fds) || !agent_on(rig, fds[0]) || !session_on(rig, fds[1]))
		return false;
	rig->setup.plan.hostname = strdup("box");
	rig->setup.plan.process.tty = tty;
	if (!shell(&rig->setup.plan.process, script))
		return false;
	agent_setup(rig->agent, &rig->setup, on_reply, rig);
	return reply_code(rig) == 0;
}

/* The far ends of a process's streams: write in, read out and err. */
struct streams {
	int in, out, err;
};

static void streams_done(struct streams *s)
{
	auto_close(&s->in);
	auto_close(&s->out);
	auto_close(&s->err);
}

/* Makes three pipes: the process's ends in *io, the others in *ours. */
static bool streams_new(struct process_io *io, struct streams *ours)
{
	int p[3][2];

	for (int i = 0; i < 3; i++) {
		if (pipe2(p[i], O_CLOEXEC) < 0)
			return false;
	}
	*io = (struct process_io){p[0][0], p[1][1], p[2][1]};
	*ours = (struct streams){p[0][1], p[1][0], p[2][0]};
	return true;
}

static void io_close(struct process_io *io)
{
	auto_close(&io->in);
	auto_close(&io->out);
	auto_close(&io->err);
}

static int start(struct rig *rig, struct streams *ours)
{
	struct process_io io;

	if (!streams_new(&io, ours))
		return -1;
	agent_start(rig->agent, &rig->setup.plan.process, &io, on_reply, rig);
	io_close(&io);
	return reply_code(rig);
}

static int exec(struct rig *rig, uint32_t number, const char *script, struct streams *ours)
{
	struct plan_process p = {0};
	struct process_io io;

	if (!streams_new(&io, ours) || !shell(&p, script))
		return -1;
	agent_exec(rig->agent, number, &p, &io, on_reply, rig);
	record_done(&plan_process_record, &p);
	io_close(&io);
	return reply_code(rig);
}

/* What can be read until the end, as text. */
static const char *all_of(int fd, char *text, size_t size)
{
	struct err err = ERR_INIT;

	ssize_t n = read_upto(fd, text, size - 1, "stream", &err);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

TEST(a_workload_runs_with_its_streams_and_its_status_comes_back)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(streams_done) struct streams s = {-1, -1, -1};
	char text[256];

	EXPECT(rig_new(&rig, "read a; echo out $a; echo err $a >&2; exit 7", false));
	EXPECT_STR(double_notes.hostname, "box");
	EXPECT_EQ(start(&rig, &s), 0);
	EXPECT_EQ(write(s.in, "hello\n", 6), 6);
	EXPECT(exits_come(&rig, 1));
	EXPECT_EQ(rig.last[0].process, 0);
	EXPECT_EQ(rig.last[0].status, 7);
	EXPECT_STR(all_of(s.out, text, sizeof(text)), "out hello\n");
	EXPECT_STR(all_of(s.err, text, sizeof(text)), "err hello\n");
}

TEST(the_exit_comes_after_the_last_byte_although_the_reader_is_slow)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(streams_done) struct streams s = {-1, -1, -1};
	static char block[65536];
	size_t got = 0;

	EXPECT(rig_new(&rig, "head -c 5000000 /dev/zero", false));
	EXPECT_EQ(start(&rig, &s), 0);
	(void)run(&rig, 200);
	EXPECT_EQ(rig.exits, 0);
	while (got < 5000000) {
		EXPECT(rig.exits == 0 || got + 65536 >= 5000000); /* the rest fits in the pipe */
		(void)fcntl(s.out, F_SETFL, O_NONBLOCK);
		ssize_t n = read(s.out, block, sizeof(block));
		EXPECT(n > 0 || (n < 0 && errno == EAGAIN));
		got += n > 0 ? (size_t)n : 0;
		(void)run(&rig, 1);
	}
	EXPECT(exits_come(&rig, 1));
	EXPECT_EQ(read(s.out, block, sizeof(block)), 0);
}

TEST(the_end_of_input_goes_through)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(streams_done) struct streams s = {-1, -1, -1};
	char text[256];

	EXPECT(rig_new(&rig, "wc -c", false));
	EXPECT_EQ(start(&rig, &s), 0);
	EXPECT_EQ(write(s.in, "12345", 5), 5);
	auto_close(&s.in);
	EXPECT(exits_come(&rig, 1));
	EXPECT_STR(all_of(s.out, text, sizeof(text)), "5\n");
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
	agent_start(rig.agent, &rig.setup.plan.process, &none, on_reply, &rig);
	EXPECT_EQ(reply_code(&rig), 0);
	EXPECT(exits_come(&rig, 1));
	EXPECT_EQ(rig.last[0].status, 0);
}

TEST(a_program_that_is_missing_fails_the_start_with_its_code)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(streams_done) struct streams s = {-1, -1, -1};
	char text[16];

	EXPECT(rig_new(&rig, "true", false));
	EXPECT_EQ(start(&rig, &s), 0);
	AUTO(streams_done) struct streams t = {-1, -1, -1};
	struct plan_process p = {0};
	struct process_io io;
	EXPECT_EQ(strv_add(&p.args, "missing", &(struct err){0}), 0);
	EXPECT(streams_new(&io, &t));
	agent_exec(rig.agent, 4, &p, &io, on_reply, &rig);
	record_done(&plan_process_record, &p);
	io_close(&io);
	EXPECT_EQ(reply_code(&rig), ENOENT);
	EXPECT_STR(rig.failure, "'missing': not found");
	EXPECT_STR(all_of(t.out, text, sizeof(text)), "");
}

TEST(more_processes_run_beside_the_first_and_end_by_themselves)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(streams_done) struct streams s = {-1, -1, -1};
	AUTO(streams_done) struct streams t = {-1, -1, -1};
	AUTO(streams_done) struct streams u = {-1, -1, -1};
	char text[64];

	EXPECT(rig_new(&rig, "cat", false));
	EXPECT_EQ(start(&rig, &s), 0);
	EXPECT_EQ(exec(&rig, 9, "echo nine; exit 9", &t), 0);
	EXPECT(exits_come(&rig, 1));
	EXPECT_EQ(rig.last[0].process, 9);
	EXPECT_EQ(rig.last[0].status, 9);
	EXPECT_STR(all_of(t.out, text, sizeof(text)), "nine\n");
	EXPECT_EQ(exec(&rig, 0, "true", &u), EEXIST);
	auto_close(&s.in);
	EXPECT(exits_come(&rig, 2));
	EXPECT_EQ(rig.last[1].process, 0);
}

TEST(a_child_that_keeps_the_streams_does_not_hold_back_the_exit_nor_lose_its_words)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(streams_done) struct streams s = {-1, -1, -1};
	char text[64];

	EXPECT(rig_new(&rig, "(sleep 0.3; echo later) & echo now", false));
	EXPECT_EQ(start(&rig, &s), 0);
	EXPECT(exits_come(&rig, 1));
	EXPECT_EQ(read(s.out, text, sizeof(text)), 4);
	(void)run(&rig, 600);
	EXPECT_STR(all_of(s.out, text, sizeof(text)), "later\n");
}

TEST(signals_reach_the_process)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(streams_done) struct streams s = {-1, -1, -1};
	struct err err = ERR_INIT;

	EXPECT(rig_new(&rig, "sleep 100", false));
	EXPECT_EQ(agent_signal(rig.agent, 0, SIGTERM, false, &err), -ESRCH);
	EXPECT_EQ(start(&rig, &s), 0);
	EXPECT_EQ(agent_signal(rig.agent, 0, SIGTERM, false, &(struct err){0}), 0);
	EXPECT(exits_come(&rig, 1));
	EXPECT_EQ(rig.last[0].status, 128 + SIGTERM);
}

TEST(a_terminal_carries_both_ways_and_ends_with_its_process)
{
	AUTO(rig_done) struct rig rig = {0};
	struct process_io none = {-1, -1, -1};
	struct err err = ERR_INIT;
	char text[512];

	EXPECT(rig_new(&rig, "test -t 0 && read a && echo got $a", true));
	agent_start(rig.agent, &rig.setup.plan.process, &none, on_reply, &rig);
	EXPECT_EQ(reply_code(&rig), 0);
	AUTO_CLOSE int fd = agent_console(rig.agent, 0, &err);
	EXPECT(fd >= 0);
	EXPECT_EQ(agent_console(rig.agent, 0, &err), -ENOENT);
	EXPECT_EQ(write(fd, "typed\n", 6), 6);
	EXPECT_EQ(agent_resize(rig.agent, 0, 33, 132, &(struct err){0}), 0);
	EXPECT(exits_come(&rig, 1));
	EXPECT_EQ(rig.last[0].status, 0);
	EXPECT_STR(all_of(fd, text, sizeof(text)), "typed\r\ngot typed\r\n");
	EXPECT_EQ(double_notes.rows, 33);
	EXPECT_EQ(double_notes.cols, 132);
}

TEST(pause_update_stats_and_top_are_asked_inside)
{
	AUTO(rig_done) struct rig rig = {0};

	EXPECT(rig_new(&rig, "cat", false));
	agent_pause(rig.agent, true, on_reply, &rig);
	EXPECT_EQ(reply_code(&rig), 0);
	EXPECT_EQ(double_notes.paused, 1);
	agent_pause(rig.agent, false, on_reply, &rig);
	EXPECT_EQ(reply_code(&rig), 0);
	EXPECT_EQ(double_notes.paused, 2);
	agent_update(rig.agent, &(struct plan_limits){.memory = 77}, on_reply, &rig);
	EXPECT_EQ(reply_code(&rig), 0);
	EXPECT_EQ(double_notes.memory, 77);
	agent_stats(rig.agent, on_stats, &rig);
	EXPECT_EQ(reply_code(&rig), 0);
	EXPECT_EQ(rig.stats.memory, INT64_C(1) << 40);
	EXPECT_EQ(rig.stats.pids, 3);
	double_notes.top_processes = 5;
	agent_top(rig.agent, on_top, &rig);
	EXPECT_EQ(reply_code(&rig), 0);
	EXPECT_EQ(rig.listed, 5);
}

TEST(an_answer_too_long_to_be_sent_is_a_failure_not_a_silence)
{
	AUTO(rig_done) struct rig rig = {0};

	EXPECT(rig_new(&rig, "cat", false));
	double_notes.top_processes = 60000;
	agent_top(rig.agent, on_top, &rig);
	EXPECT_EQ(reply_code(&rig), EMSGSIZE);
}

TEST(a_set_up_that_fails_says_why_and_may_be_tried_again)
{
	AUTO(rig_done) struct rig rig = {0};
	int fds[2];

	EXPECT(rig_ends(&rig, fds));
	EXPECT(agent_on(&rig, fds[0]) && session_on(&rig, fds[1]));
	rig.setup.share_tag = strdup("broken");
	agent_setup(rig.agent, &rig.setup, on_reply, &rig);
	EXPECT_EQ(reply_code(&rig), ENODEV);
	EXPECT_STR(rig.failure, "there is no share");
	EXPECT_EQ(double_notes.creates, 0);
	rig.setup.share_tag[0] = 'B';
	double_notes.fail_create = EMFILE;
	agent_setup(rig.agent, &rig.setup, on_reply, &rig);
	EXPECT_EQ(reply_code(&rig), EMFILE);
	double_notes.fail_create = 0;
	agent_setup(rig.agent, &rig.setup, on_reply, &rig);
	EXPECT_EQ(reply_code(&rig), 0);
	agent_setup(rig.agent, &rig.setup, on_reply, &rig);
	EXPECT_EQ(reply_code(&rig), EBUSY);
}

TEST(orders_for_a_workload_that_was_never_set_up_fail)
{
	AUTO(rig_done) struct rig rig = {0};
	int fds[2];

	EXPECT(rig_ends(&rig, fds));
	EXPECT(agent_on(&rig, fds[0]) && session_on(&rig, fds[1]));
	agent_stats(rig.agent, on_stats, &rig);
	EXPECT_EQ(reply_code(&rig), ENOENT);
	EXPECT_STR(rig.failure, "workload 1 is not in this machine");
}

TEST(power_off_and_a_hang_up_of_the_host_both_end_the_session_and_its_workload)
{
	for (int asked = 0; asked < 2; asked++) {
		AUTO(rig_done) struct rig rig = {0};
		AUTO(streams_done) struct streams s = {-1, -1, -1};
		EXPECT(rig_new(&rig, "sleep 100", false));
		EXPECT_EQ(start(&rig, &s), 0);
		if (asked)
			EXPECT_EQ(agent_poweroff(rig.agent, &(struct err){0}), 0);
		else
			agent_free(TAKE_PTR(rig.agent));
		while (!rig.over)
			EXPECT(run(&rig, PATIENCE_MS));
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
	EXPECT_EQ(start(&rig, &s), 0);
	EXPECT_EQ(exec(&rig, 3, "sleep 100", &t), 0);
	(void)run(&rig, 100);
	rig.end_at_loss = true;
	session_free(TAKE_PTR(rig.session));
	EXPECT(exits_come(&rig, 2));
	EXPECT_EQ(rig.lost, 1);
	EXPECT_EQ(rig.last[0].process, 3);
	EXPECT_EQ(rig.last[1].process, 0);
	EXPECT_EQ(rig.last[1].status, 137);
	EXPECT_STR(rig.reason, "guest kernel panic");
	agent_free(TAKE_PTR(rig.agent));
	EXPECT_STR(all_of(s.out, text, sizeof(text)), "before\n");
}

TEST(replies_that_are_due_when_the_machine_dies_come_as_failures)
{
	AUTO(rig_done) struct rig rig = {0};
	struct process_io none = {-1, -1, -1};
	int fds[2];

	EXPECT(rig_ends(&rig, fds));
	AUTO_CLOSE int silent = fds[1];
	EXPECT(agent_on(&rig, fds[0]));
	agent_setup(rig.agent, &rig.setup, on_reply, &rig);
	agent_start(rig.agent, &rig.setup.plan.process, &none, on_reply, &rig);
	rig.end_at_loss = true;
	auto_close(&silent);
	while (rig.lost == 0)
		EXPECT(run(&rig, 1000));
	EXPECT_EQ(rig.replies, 2);
	EXPECT_EQ(rig.code, ECONNRESET);
	EXPECT_STR(rig.failure, "the machine has ended: guest kernel panic");
	(void)run(&rig, 20);
	EXPECT_EQ(rig.exits, 0);
}

TEST(the_client_may_be_freed_by_the_exit_it_tells)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(streams_done) struct streams s = {-1, -1, -1};
	AUTO(streams_done) struct streams t = {-1, -1, -1};

	EXPECT(rig_new(&rig, "cat", false));
	EXPECT_EQ(start(&rig, &s), 0);
	EXPECT_EQ(exec(&rig, 2, "sleep 50", &t), 0);
	rig.free_at_exit = true;
	auto_close(&s.in);
	EXPECT(exits_come(&rig, 1));
	EXPECT(rig.agent == NULL);
	(void)run(&rig, 20);
	EXPECT_EQ(rig.over, 1);
}

/* --- a hostile guest --- */

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
	if (!agent_on(rig, fds[0]) ||
	    channel_new(CHANNEL_GUEST, "enemy", ignore, NULL, &e->channel, &err) < 0)
		return false;
	ssize_t n = read(e->fd, hello, sizeof(hello));
	agent_start(rig->agent, &rig->setup.plan.process, &none, on_reply, rig);
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
	EXPECT_EQ(reply_code(&rig), 0);
	EXPECT(enemy_records(&e, type, process, record, obj));
	EXPECT(run(&rig, 1000));
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
	EXPECT(run(&rig, 1000));
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
	(void)run(&rig, 50);
	EXPECT_STR(rig.line, "?[2Jgotcha?");
	EXPECT(enemy_records(
		&e, FRAME_ANSWER, 0, &machine_answer_record,
		&(struct machine_answer){.number = 1, .code = UINT32_MAX, .message = nasty}));
	EXPECT_EQ(reply_code(&rig), EIO);
	EXPECT_STR(rig.failure, "?[2Jgotcha?");
	for (int i = 0; i < 20000; i++) {
		EXPECT(enemy_says(&e, FRAME_LOG, 0, "flood", 5));
		if (i % 200 == 0)
			(void)run(&rig, 0);
	}
	(void)run(&rig, 50);
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
