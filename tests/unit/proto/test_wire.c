/* SPDX-License-Identifier: Apache-2.0 */
/* Two wires over a socket pair, in one loop: what is put into a pipe at one end must come out of a
 * pipe at the other, whatever anybody does meanwhile. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "proto/message.h"
#include "proto/wire.h"

enum { PATIENCE_MS = 60000 };

struct rig {
	struct loop *loop;
	struct wire *host, *guest;
	int frames, settled, lost;
	bool late;
	struct err why;
	struct timer *timer;
	struct wire *free_on_frame; /* the taker of a frame frees it */
};

static int take(void *ctx, const struct frame *f, struct err *err)
{
	struct rig *rig = ctx;

	if (f->type == FRAME_HELLO)
		return 0;
	rig->frames++;
	if (rig->free_on_frame) {
		if (rig->free_on_frame == rig->host)
			rig->host = NULL;
		wire_free(TAKE_PTR(rig->free_on_frame));
	}
	loop_stop(rig->loop);
	return 0;
}

static void on_settled(void *ctx, uint32_t workload, uint32_t process)
{
	struct rig *rig = ctx;

	rig->settled++;
	loop_stop(rig->loop);
}

static void on_lost(void *ctx, const struct err *why)
{
	struct rig *rig = ctx;

	rig->lost++;
	rig->why = *why;
	loop_stop(rig->loop);
}

static const struct wire_events events = {take, on_settled, on_lost};

static bool rig_ends(struct rig *rig, int fds[2])
{
	struct err err = ERR_INIT;

	(void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	return loop_new(&rig->loop, &err) == 0 &&
	       socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0;
}

static struct wire *wire_of(struct rig *rig, int fd, enum channel_side side)
{
	struct err err = ERR_INIT;
	struct wire *wire = NULL;
	int r = wire_new(&(struct wire_config){.loop = rig->loop,
					       .fd = fd,
					       .side = side,
					       .program = "test",
					       .events = &events,
					       .ctx = rig},
			 &wire, &err);
	return r < 0 ? NULL : wire;
}

static bool rig_new(struct rig *rig)
{
	int fds[2];

	if (!rig_ends(rig, fds))
		return false;
	rig->host = wire_of(rig, fds[0], CHANNEL_HOST);
	rig->guest = wire_of(rig, fds[1], CHANNEL_GUEST);
	return rig->host && rig->guest;
}

static void rig_done(struct rig *rig)
{
	wire_free(rig->host);
	wire_free(rig->guest);
	loop_free(rig->loop);
}

static int too_late(void *ctx, struct err *err)
{
	struct rig *rig = ctx;

	rig->timer = NULL;
	rig->late = true;
	loop_stop(rig->loop);
	return 0;
}

/* Runs until something stops the loop; false when nothing did within ms. */
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

/* A pipe whose far ends are ours: what is written at from->w comes out at to->r. */
struct ends {
	int r, w;
};

static void ends_done(struct ends *e)
{
	auto_close(&e->r);
	auto_close(&e->w);
}

static bool connect_ends(struct rig *rig, const struct stream_id *id, bool to_guest,
			 struct ends *ret)
{
	struct err err = ERR_INIT;
	struct wire *from = to_guest ? rig->host : rig->guest;
	struct wire *to = to_guest ? rig->guest : rig->host;
	int a[2], b[2];

	if (pipe2(a, O_CLOEXEC | O_NONBLOCK) < 0 || pipe2(b, O_CLOEXEC | O_NONBLOCK) < 0)
		return false;
	*ret = (struct ends){b[0], a[1]};
	return wire_sink(to, id, b[1], &err) == 0 && wire_source(from, id, a[0], &err) == 0;
}

/* --- bytes that tell their place --- */

static uint8_t byte_at(uint64_t i)
{
	uint64_t x = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);

	return (uint8_t)(x >> 56);
}

struct flow {
	struct rig *rig;
	struct ends ends;
	struct watch *in, *out;
	uint64_t total, written, got;
	bool wrong, ended;
	uint8_t block[16384];
};

static int feed(void *ctx, int fd, uint32_t ev, struct err *err)
{
	struct flow *f = ctx;
	size_t n = sizeof(f->block);

	if (f->total - f->written < n)
		n = (size_t)(f->total - f->written);
	for (size_t i = 0; i < n; i++)
		f->block[i] = byte_at(f->written + i);
	ssize_t done = n ? write(fd, f->block, n) : 0;
	if (done > 0)
		f->written += (uint64_t)done;
	if (f->written == f->total) {
		watch_remove(&f->in);
		auto_close(&f->ends.w);
	}
	return 0;
}

static int drain(void *ctx, int fd, uint32_t ev, struct err *err)
{
	struct flow *f = ctx;

	ssize_t n = read(fd, f->block, sizeof(f->block));
	for (ssize_t i = 0; i < n; i++)
		f->wrong |= f->block[i] != byte_at(f->got + (uint64_t)i);
	if (n > 0)
		f->got += (uint64_t)n;
	if (n == 0) {
		f->ended = true;
		watch_remove(&f->out);
		loop_stop(f->rig->loop);
	}
	return 0;
}

static bool flow_start(struct flow *f, bool to_guest, uint32_t process)
{
	struct err err = ERR_INIT;
	struct stream_id id = {1, process, to_guest ? 0 : 1};

	return connect_ends(f->rig, &id, to_guest, &f->ends) &&
	       loop_watch(f->rig->loop, f->ends.w, EPOLLOUT, feed, f, &f->in, &err) == 0 &&
	       loop_watch(f->rig->loop, f->ends.r, EPOLLIN, drain, f, &f->out, &err) == 0;
}

#ifdef __SANITIZE_THREAD__ /* looks at each access to each byte: a minute for a gigabyte */
enum { FLOW_BYTES = 16 << 20 };
#else
enum { FLOW_BYTES = 256 << 20 };
#endif

TEST(gigabytes_go_both_ways_at_once_without_loss)
{
	AUTO(rig_done) struct rig rig = {0};
	static struct flow flows[4];

	EXPECT(rig_new(&rig));
	for (uint32_t i = 0; i < 4; i++) {
		flows[i] = (struct flow){.rig = &rig, .total = FLOW_BYTES};
		EXPECT(flow_start(&flows[i], i % 2, i / 2));
	}
	for (int n = 0; n < 4; n++)
		EXPECT(run(&rig, PATIENCE_MS));
	for (int i = 0; i < 4; i++) {
		EXPECT(flows[i].ended && !flows[i].wrong);
		EXPECT_EQ(flows[i].got, flows[i].total);
		ends_done(&flows[i].ends);
	}
}

/* Writes until the pipe takes no more for a while; answers how much it took. */
static size_t stuff(struct rig *rig, int fd)
{
	static char block[65536];
	size_t total = 0;

	for (int idle = 0; idle < 5;) {
		ssize_t n = write(fd, block, sizeof(block));
		if (n > 0)
			total += (size_t)n;
		idle = n > 0 ? 0 : idle + 1;
		(void)run(rig, 5);
	}
	return total;
}

TEST(a_slow_reader_stops_its_own_stream_only)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(ends_done) struct ends slow = {-1, -1};
	AUTO(ends_done) struct ends quick = {-1, -1};
	struct err err = ERR_INIT;
	char c[5] = "";

	EXPECT(rig_new(&rig));
	EXPECT(connect_ends(&rig, &(struct stream_id){1, 0, 1}, false, &slow));
	EXPECT(connect_ends(&rig, &(struct stream_id){1, 0, 2}, false, &quick));
	size_t taken = stuff(&rig, slow.w);
	EXPECT(taken >= CHANNEL_WINDOW);
	EXPECT(taken <= CHANNEL_WINDOW + 4 * 65536);

	EXPECT_EQ(write(quick.w, "quick", 5), 5);
	EXPECT_EQ(wire_send(rig.guest, FRAME_ANSWER, &(struct stream_id){1, 0, 0}, NULL, NULL,
			    &err),
		  0);
	rig.frames = 0;
	EXPECT(run(&rig, 1000));
	EXPECT_EQ(rig.frames, 1);
	(void)run(&rig, 20);
	EXPECT_EQ(read(quick.r, c, 5), 5);
	EXPECT(memcmp(c, "quick", 5) == 0);

	/* once it reads, all of it comes */
	auto_close(&slow.w);
	static char block[65536];
	size_t got = 0;
	for (int idle = 0; idle < 20;) {
		ssize_t n = read(slow.r, block, sizeof(block));
		if (n > 0)
			got += (size_t)n;
		if (n == 0)
			break;
		idle = n > 0 ? 0 : idle + 1;
		(void)run(&rig, 2);
	}
	EXPECT_EQ(got, taken);
}

TEST(the_end_of_one_stream_leaves_the_others_open)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(ends_done) struct ends in = {-1, -1};
	AUTO(ends_done) struct ends out = {-1, -1};
	char c[8];

	EXPECT(rig_new(&rig));
	EXPECT(connect_ends(&rig, &(struct stream_id){1, 3, 0}, true, &in));
	EXPECT(connect_ends(&rig, &(struct stream_id){1, 3, 1}, false, &out));
	EXPECT_EQ(write(in.w, "last", 4), 4);
	auto_close(&in.w);
	(void)run(&rig, 20);
	EXPECT_EQ(read(in.r, c, sizeof(c)), 4);
	EXPECT_EQ(read(in.r, c, sizeof(c)), 0);
	EXPECT_EQ(write(out.w, "later", 5), 5);
	(void)run(&rig, 20);
	EXPECT_EQ(read(out.r, c, sizeof(c)), 5);
	EXPECT_EQ(read(out.r, c, sizeof(c)), -1);
	EXPECT_EQ(rig.lost, 0);
}

TEST(a_reader_that_goes_away_breaks_the_writers_pipe)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(ends_done) struct ends out = {-1, -1};

	EXPECT(rig_new(&rig));
	EXPECT(connect_ends(&rig, &(struct stream_id){1, 0, 1}, false, &out));
	(void)run(&rig, 10);
	auto_close(&out.r);
	(void)run(&rig, 20);
	EXPECT_EQ(write(out.w, "x", 1), -1);
	EXPECT_EQ(errno, EPIPE);
	EXPECT_EQ(rig.lost, 0);
}

TEST(a_reader_that_goes_away_with_data_waiting_breaks_the_writers_pipe_too)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(ends_done) struct ends out = {-1, -1};

	EXPECT(rig_new(&rig));
	EXPECT(connect_ends(&rig, &(struct stream_id){1, 0, 1}, false, &out));
	(void)stuff(&rig, out.w);
	auto_close(&out.r);
	(void)run(&rig, 50);
	EXPECT_EQ(write(out.w, "x", 1), -1);
	EXPECT_EQ(errno, EPIPE);
	EXPECT_EQ(rig.lost, 0);
}

TEST(settling_waits_until_the_last_byte_is_handed_on)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(ends_done) struct ends out = {-1, -1};
	static char block[65536];
	size_t got = 0;

	EXPECT(rig_new(&rig));
	EXPECT(connect_ends(&rig, &(struct stream_id){1, 0, 1}, false, &out));
	size_t taken = stuff(&rig, out.w);
	wire_settle(rig.guest, 1, 0);
	wire_settle(rig.host, 1, 0);
	(void)run(&rig, 50);
	EXPECT_EQ(rig.settled, 0);
	while (got < taken) {
		ssize_t n = read(out.r, block, sizeof(block));
		EXPECT(n > 0 || errno == EAGAIN);
		got += n > 0 ? (size_t)n : 0;
		(void)run(&rig, 2);
	}
	(void)run(&rig, 20);
	EXPECT_EQ(rig.settled, 2);
}

TEST(settling_what_is_quiet_is_told_at_once_but_from_the_loop)
{
	AUTO(rig_done) struct rig rig = {0};

	EXPECT(rig_new(&rig));
	wire_settle(rig.host, 1, 5);
	EXPECT_EQ(rig.settled, 0);
	EXPECT(run(&rig, 1000));
	EXPECT_EQ(rig.settled, 1);
}

TEST(the_loss_of_the_other_side_is_told_once)
{
	AUTO(rig_done) struct rig rig = {0};
	struct err err = ERR_INIT;

	EXPECT(rig_new(&rig));
	(void)run(&rig, 10);
	wire_free(TAKE_PTR(rig.guest));
	(void)run(&rig, 20);
	(void)run(&rig, 20);
	EXPECT_EQ(rig.lost, 1);
	EXPECT_STR(rig.why.msg, "the other end closed the channel");
	EXPECT_EQ(wire_send(rig.host, FRAME_STATS, &(struct stream_id){0}, NULL, NULL, &err),
		  -EPIPE);
}

TEST(a_wire_may_be_freed_by_the_taker_of_a_frame_in_the_midst_of_others)
{
	AUTO(rig_done) struct rig rig = {0};
	struct err err = ERR_INIT;

	EXPECT(rig_new(&rig));
	(void)run(&rig, 10);
	for (int i = 0; i < 10; i++)
		EXPECT_EQ(wire_send(rig.guest, FRAME_ANSWER, &(struct stream_id){0}, NULL, NULL,
				    &err),
			  0);
	rig.free_on_frame = rig.host;
	rig.frames = 0;
	(void)run(&rig, 20);
	EXPECT_EQ(rig.frames, 1);
}

/* --- a hostile peer: a bare channel that says what it likes --- */

static int ignore(void *ctx, const struct frame *f, struct err *err)
{
	return 0;
}

struct enemy {
	struct channel *channel;
	int fd;
};

static void enemy_done(struct enemy *e)
{
	channel_free(e->channel);
	auto_close(&e->fd);
}

static bool enemy_flush(struct enemy *e)
{
	for (;;) {
		size_t n;
		const void *p = channel_output(e->channel, &n);
		if (!p)
			return true;
		ssize_t w = write(e->fd, p, n);
		if (w <= 0)
			return false;
		channel_sent(e->channel, (size_t)w);
	}
}

/* The host's wire against an enemy that has greeted. */
static bool enemy_new(struct rig *rig, struct enemy *e)
{
	struct err err = ERR_INIT;
	char hello[256];
	int fds[2];

	e->fd = -1;
	if (!rig_ends(rig, fds))
		return false;
	e->fd = fds[1];
	rig->host = wire_of(rig, fds[0], CHANNEL_HOST);
	if (!rig->host || channel_new(CHANNEL_GUEST, "enemy", ignore, NULL, &e->channel, &err) < 0)
		return false;
	ssize_t n = read(e->fd, hello, sizeof(hello));
	return n > 0 && channel_receive(e->channel, hello, (size_t)n, &err) == 0 && enemy_flush(e);
}

static bool enemy_says(struct enemy *e, uint16_t type, uint16_t flags, const void *payload,
		       uint32_t n)
{
	struct err err = ERR_INIT;
	struct frame f = {.type = type,
			  .flags = flags,
			  .workload = 1,
			  .process = 2,
			  .len = n,
			  .payload = payload};

	return channel_send(e->channel, &f, true, &err) == 0 && enemy_flush(e);
}

TEST(data_beyond_its_credit_ends_the_channel)
{
	static char block[FRAME_DATA_MAX];
	AUTO(rig_done) struct rig rig = {0};
	AUTO(enemy_done) struct enemy e = {0};
	struct err err = ERR_INIT;
	int fds[2];

	EXPECT(enemy_new(&rig, &e));
	EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
	AUTO_CLOSE int reader = fds[0];
	EXPECT_EQ(wire_sink(rig.host, &(struct stream_id){1, 2, 1}, fds[1], &err), 0);
	for (uint32_t left = CHANNEL_WINDOW; left > 0;) {
		uint32_t len = left < sizeof(block) ? left : sizeof(block);
		EXPECT(enemy_says(&e, FRAME_DATA, 1, block, len));
		(void)run(&rig, 2);
		left -= len;
	}
	EXPECT_EQ(rig.lost, 0);
	EXPECT(enemy_says(&e, FRAME_DATA, 1, "x", 1));
	EXPECT(run(&rig, 1000));
	EXPECT_EQ(rig.lost, 1);
	EXPECT_STR(rig.why.msg, "1 bytes of a stream where 0 were allowed");
	EXPECT(reader >= 0);
}

TEST(data_after_the_end_of_a_stream_that_is_not_yet_written_ends_the_channel)
{
	static char block[FRAME_DATA_MAX];
	AUTO(rig_done) struct rig rig = {0};
	AUTO(enemy_done) struct enemy e = {0};
	struct err err = ERR_INIT;
	int fds[2];

	EXPECT(enemy_new(&rig, &e));
	EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
	AUTO_CLOSE int reader = fds[0];
	EXPECT_EQ(wire_sink(rig.host, &(struct stream_id){1, 2, 1}, fds[1], &err), 0);
	for (int i = 0; i < 4; i++)
		EXPECT(enemy_says(&e, FRAME_DATA, i == 3 ? 1 | FRAME_END : 1, block,
				  sizeof(block)));
	EXPECT(enemy_says(&e, FRAME_DATA, 1, "x", 1));
	EXPECT(run(&rig, 1000));
	EXPECT_STR(rig.why.msg, "more of a stream after its end");
	EXPECT(reader >= 0);
}

TEST(credit_beyond_the_window_ends_the_channel)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(enemy_done) struct enemy e = {0};
	struct err err = ERR_INIT;
	int fds[2];

	EXPECT(enemy_new(&rig, &e));
	EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
	AUTO_CLOSE int writer = fds[1];
	EXPECT_EQ(wire_source(rig.host, &(struct stream_id){1, 2, 0}, fds[0], &err), 0);
	EXPECT(enemy_says(&e, FRAME_CREDIT, 0, "\1\0\0\0", 4));
	EXPECT(run(&rig, 1000));
	EXPECT_STR(rig.why.msg, "credit of 1 bytes beyond the window");
	EXPECT(writer >= 0);
}

TEST(credit_of_the_wrong_length_ends_the_channel)
{
	AUTO(rig_done) struct rig rig = {0};
	AUTO(enemy_done) struct enemy e = {0};

	EXPECT(enemy_new(&rig, &e));
	EXPECT(enemy_says(&e, FRAME_CREDIT, 0, "\1\0", 2));
	EXPECT(run(&rig, 1000));
	EXPECT_EQ(rig.lost, 1);
}

TEST(a_flood_for_streams_that_do_not_exist_is_thrown_away)
{
	static char block[FRAME_DATA_MAX];
	AUTO(rig_done) struct rig rig = {0};
	AUTO(enemy_done) struct enemy e = {0};

	EXPECT(enemy_new(&rig, &e));
	for (int i = 0; i < 2000; i++) {
		EXPECT(enemy_says(&e, FRAME_DATA, (uint16_t)(i % 4), block, sizeof(block)));
		EXPECT(enemy_says(&e, FRAME_CLOSED, 1, NULL, 0));
		(void)run(&rig, 0);
	}
	EXPECT_EQ(rig.lost, 0);
}

TEST(a_log_line_is_cut_and_a_flood_of_lines_is_dropped_not_kept)
{
	static char line[10000];
	AUTO(rig_done) struct rig rig = {0};

	EXPECT(rig_new(&rig));
	(void)run(&rig, 10);
	for (int i = 0; i < 5000; i++) /* the host reads none of it meanwhile */
		wire_send_log(rig.guest, 1, line, sizeof(line));
	EXPECT_EQ(rig.lost, 0);
	(void)run(&rig, 1000);
	EXPECT(rig.frames > 0);
}
