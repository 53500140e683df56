/* SPDX-License-Identifier: Apache-2.0 */
/* A network device over a stream socket, whose other end is as honest or hostile as a test likes.
 */
#include "../test.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "rig.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "vmm/net.h"
#include "vmm/state.h"

enum {
	LENGTH = 4,
	FRAME = 1000,
	TO_GUEST = RIG_DATA, /* buffers, one after the other */
	FROM_GUEST = RIG_DATA + 0x180000,
	BUFFER = 0x18000, /* of one buffer: more than the largest frame */
	MANY = 16 << 20,
};

struct kit {
	struct gmem *mem;
	struct loop *loop;
	struct net net;
	struct rig_queue g[NET_WAYS];
	int ours, theirs; /* the ends of the stream */
};

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};

static int make_device(struct kit *k, const uint8_t address[6], struct err *err)
{
	struct net_config config = {.stream = &k->ours, .n_pairs = 1};
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "make a stream");
	k->ours = pair[0];
	k->theirs = pair[1];
	memcpy(config.mac, address, sizeof(config.mac));
	return net_init(&k->net, &config, k->loop, k->mem, err);
}

static void start_driver(struct kit *k, uint64_t without)
{
	for (unsigned i = 0; i < NET_WAYS; i++)
		k->g[i] = rig_queue(k->mem, i);
	rig_start(&k->net.v, without);
}

static int kit_init(struct kit *k)
{
	struct err err = ERR_INIT;

	*k = (struct kit){.mem = rig_memory(), .ours = -1, .theirs = -1};
	int r = loop_new(&k->loop, &err);
	if (r == 0)
		r = make_device(k, mac, &err);
	if (r == 0)
		start_driver(k, 0);
	return r;
}

static void kit_done(struct kit *k)
{
	net_done(&k->net);
	loop_free(k->loop);
	auto_close(&k->ours);
	auto_close(&k->theirs);
	gmem_free(k->mem);
}

#define AUTO_KIT AUTO(kit_done)

static int stop(void *ctx, struct err *err)
{
	(void)err;
	loop_stop(ctx);
	return 0;
}

static void wait_ms(struct kit *k, uint64_t ms)
{
	struct err err = ERR_INIT;
	struct timer *timer;

	if (loop_timer(k->loop, ms, stop, k->loop, &timer, &err) == 0)
		(void)!loop_run(k->loop, &err);
}

static int kick_heard(void *ctx, int fd, uint32_t events, struct err *err)
{
	(void)fd;
	(void)events;
	(void)err;
	virtio_kicked(ctx);
	return 0;
}

/* As the guest's notification does. */
static void go_on(struct kit *k)
{
	virtio_kicked(&k->net.v);
	wait_ms(k, 5);
}

/* How many milliseconds of a processor 100 ms of waiting take. */
static int64_t busy_ms(struct kit *k)
{
	struct timespec a, b;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
	wait_ms(k, 100);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
	return (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
}

/* --- both ends --- */

/* The byte at `at` of frame `seed`. */
static uint8_t byte_of(unsigned seed, size_t at)
{
	return (uint8_t)(seed * 31 + at + at / 251);
}

static void fill_frame(uint8_t *f, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		f[i] = byte_of(seed, i);
}

static bool is_frame(const uint8_t *f, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++) {
		if (f[i] != byte_of(seed, i))
			return false;
	}
	return true;
}

static ssize_t say(const struct kit *k, const void *bytes, size_t n)
{
	return send(k->theirs, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* The other end sends a frame, or says so of one that it never sends. */
static bool say_frame(const struct kit *k, uint32_t length, size_t given, unsigned seed)
{
	AUTO_FREE uint8_t *f = malloc(LENGTH + given);
	uint32_t big = htobe32(length);

	if (!f)
		return false;
	memcpy(f, &big, LENGTH);
	fill_frame(f + LENGTH, given, seed);
	return say(k, f, LENGTH + given) == (ssize_t)(LENGTH + given);
}

/* Whether the other end reads a whole frame next. */
static bool hear_frame(const struct kit *k, size_t n, unsigned seed)
{
	AUTO_FREE uint8_t *f = malloc(LENGTH + n);
	uint32_t big;

	if (!f || recv(k->theirs, f, LENGTH + n, MSG_DONTWAIT) != (ssize_t)(LENGTH + n))
		return false;
	memcpy(&big, f, LENGTH);
	return be32toh(big) == n && is_frame(f + LENGTH, n, seed);
}

/* The guest sends a frame with a header full of lies. */
static void guest_sends(struct kit *k, size_t n, unsigned seed)
{
	struct rig_queue *g = &k->g[NET_FROM_GUEST];
	uint16_t head = g->next % RIG_SIZE;
	uint64_t at = FROM_GUEST + (uint64_t)head % 8 * BUFFER;

	memset(rig_at(k->mem, at), 0xff, WIRE_HEADER);
	fill_frame((uint8_t *)rig_at(k->mem, at) + WIRE_HEADER, n, seed);
	rig_buffer(g, at, (uint32_t)(WIRE_HEADER + n), false, false);
	rig_offer(g, head);
}

/* The guest has room for one more buffer of so many bytes. */
static void guest_offers(struct kit *k, uint32_t size)
{
	struct rig_queue *g = &k->g[NET_TO_GUEST];
	uint16_t head = g->next % RIG_SIZE;

	rig_buffer(g, TO_GUEST + (uint64_t)head * BUFFER, size, true, false);
	rig_offer(g, head);
}

/* Whether the buffer that was offered as the i-th holds this frame, behind a header that promises
 * nothing. */
static bool guest_has(const struct kit *k, unsigned i, size_t n, unsigned seed)
{
	static const uint8_t header[WIRE_HEADER] = {[10] = 1};
	const uint8_t *at = rig_at(k->mem, TO_GUEST + (uint64_t)(i % RIG_SIZE) * BUFFER);

	return memcmp(at, header, sizeof(header)) == 0 && is_frame(at + WIRE_HEADER, n, seed);
}

static unsigned guest_got(struct kit *k)
{
	return rig_used(&k->g[NET_TO_GUEST], NULL);
}

static unsigned guest_sent(struct kit *k)
{
	return rig_used(&k->g[NET_FROM_GUEST], NULL);
}

static uint16_t status(struct kit *k)
{
	uint16_t s = 0;

	virtio_read(&k->net.v, VIRTIO_MMIO_CONFIG + offsetof(struct virtio_net_config, status), &s,
		    sizeof(s));
	return s;
}

/* --- what it is --- */

TEST(what_is_no_connected_stream_is_refused)
{
	struct err err = ERR_INIT;
	struct stream s = {0};
	int pair[2], lone = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	EXPECT_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
	AUTO_CLOSE int a = pair[0], b = pair[1], c = lone;
	AUTO_CLOSE int file = memfd_create("file", MFD_CLOEXEC);
	const int wrong[] = {a, b, c, file, -1};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		err.code = 0;
		EXPECT_EQ(stream_init(&s, wrong[i], &err), -EINVAL);
		stream_done(&s);
	}
	EXPECT_STR(err.msg, "network: descriptor -1 is no connected stream socket");
}

TEST(it_offers_nothing_that_its_wire_cannot_keep)
{
	AUTO_KIT struct kit k;
	uint64_t offered;

	EXPECT_EQ(kit_init(&k), 0);
	offered = k.net.v.offered & ((1ULL << 24) - 1);
	EXPECT_EQ(offered, 1ULL << VIRTIO_NET_F_MAC | 1ULL << VIRTIO_NET_F_MRG_RXBUF |
				   1ULL << VIRTIO_NET_F_STATUS);
	EXPECT_EQ(k.net.v.ops->n_queues, 2);
	EXPECT_EQ(status(&k), VIRTIO_NET_S_LINK_UP);
}

/* --- frames --- */

TEST(a_frame_goes_out_behind_its_length_and_without_the_header)
{
	AUTO_KIT struct kit k;

	EXPECT_EQ(kit_init(&k), 0);
	for (unsigned i = 0; i < 3; i++)
		guest_sends(&k, FRAME + i, i);
	go_on(&k);
	EXPECT_EQ(guest_sent(&k), 3);
	for (unsigned i = 0; i < 3; i++)
		EXPECT(hear_frame(&k, FRAME + i, i));
}

TEST(frames_come_in_whole_however_they_were_cut)
{
	AUTO_KIT struct kit k;
	enum { N = 5, ALL = N * (LENGTH + FRAME) };
	static const size_t cuts[] = {ALL, LENGTH + FRAME + 2, 333, 7};
	uint8_t wire[ALL];
	uint32_t big = htobe32(FRAME);

	EXPECT_EQ(kit_init(&k), 0);
	for (unsigned i = 0; i < N; i++) {
		memcpy(wire + i * (LENGTH + FRAME), &big, LENGTH);
		fill_frame(wire + i * (LENGTH + FRAME) + LENGTH, FRAME, i);
	}
	for (size_t cut = 0; cut < sizeof(cuts) / sizeof(cuts[0]); cut++) {
		unsigned first = k.g[NET_TO_GUEST].next, got = 0;
		for (unsigned i = 0; i < N; i++)
			guest_offers(&k, 2000);
		for (size_t at = 0; at < ALL; at += cuts[cut]) {
			size_t n = ALL - at < cuts[cut] ? ALL - at : cuts[cut];
			EXPECT_EQ(say(&k, wire + at, n), n);
			virtio_kicked(&k.net.v);
			got += guest_got(&k);
			EXPECT_EQ(got, (at + n) / (LENGTH + FRAME));
		}
		for (unsigned i = 0; i < N; i++)
			EXPECT(guest_has(&k, first + i, FRAME, i));
	}
}

TEST(a_frame_takes_as_many_buffers_as_it_needs)
{
	AUTO_KIT struct kit k;
	uint16_t buffers;

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT(say_frame(&k, FRAME, FRAME, 1));
	guest_offers(&k, 600);
	go_on(&k);
	EXPECT_EQ(guest_got(&k), 0);
	guest_offers(&k, 600);
	go_on(&k);
	EXPECT_EQ(guest_got(&k), 2);
	memcpy(&buffers, rig_at(k.mem, TO_GUEST + 10), sizeof(buffers));
	EXPECT_EQ(buffers, 2);
	EXPECT(is_frame((uint8_t *)rig_at(k.mem, TO_GUEST) + WIRE_HEADER, 600 - WIRE_HEADER, 1));
}

TEST(the_largest_and_the_smallest_frame_pass_both_ways)
{
	AUTO_KIT struct kit k;
	static const size_t sizes[] = {STREAM_FRAME_MAX, ETH_HLEN, STREAM_FRAME_MAX};

	EXPECT_EQ(kit_init(&k), 0);
	for (unsigned i = 0; i < 3; i++) {
		guest_offers(&k, BUFFER);
		EXPECT(say_frame(&k, (uint32_t)sizes[i], sizes[i], i));
		guest_sends(&k, sizes[i], i);
		go_on(&k);
		EXPECT_EQ(guest_got(&k), 1);
		EXPECT(guest_has(&k, i, sizes[i], i));
		EXPECT_EQ(guest_sent(&k), 1);
		EXPECT(hear_frame(&k, sizes[i], i));
	}
}

TEST(frames_that_cannot_be_are_not_sent)
{
	AUTO_KIT struct kit k;
	static const uint32_t sizes[] = {1, WIRE_HEADER, WIRE_HEADER + ETH_HLEN - 1,
					 WIRE_FRAME_MAX + 1};
	uint8_t heard;

	EXPECT_EQ(kit_init(&k), 0);
	for (uint16_t i = 0; i < 4; i++) {
		rig_buffer(&k.g[NET_FROM_GUEST], FROM_GUEST, sizes[i], false, false);
		rig_offer(&k.g[NET_FROM_GUEST], i);
	}
	go_on(&k);
	EXPECT_EQ(guest_sent(&k), 4);
	EXPECT_EQ(recv(k.theirs, &heard, 1, MSG_DONTWAIT), -1);
}

/* --- an other end that misbehaves --- */

/* Whether the guest is told once that there is no carrier, its frames are taken and lost, and
 * nothing spins. */
static bool is_cut_off(struct kit *k)
{
	go_on(k);
	if (status(k) != 0 || !(rig_interrupt(&k->net.v) & VIRTIO_MMIO_INT_CONFIG))
		return false;
	guest_sends(k, FRAME, 9);
	guest_offers(k, 2000);
	go_on(k);
	return guest_sent(k) == 1 && guest_got(k) == 0 &&
	       !(rig_interrupt(&k->net.v) & VIRTIO_MMIO_INT_CONFIG) && busy_ms(k) < 50;
}

TEST(a_length_that_no_frame_has_ends_it_behind_the_frames_before)
{
	static const uint32_t lengths[] = {0, ETH_HLEN - 1, STREAM_FRAME_MAX + 1, UINT32_MAX};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		AUTO_KIT struct kit k;
		EXPECT_EQ(kit_init(&k), 0);
		guest_offers(&k, 2000);
		EXPECT(say_frame(&k, FRAME, FRAME, 3));
		EXPECT(say_frame(&k, lengths[i], FRAME, 4));
		EXPECT(say_frame(&k, FRAME, FRAME, 5));
		virtio_kicked(&k.net.v);
		EXPECT_EQ(guest_got(&k), 1);
		EXPECT(guest_has(&k, 0, FRAME, 3));
		EXPECT(is_cut_off(&k));
	}
}

TEST(half_a_frame_and_then_silence_costs_nothing)
{
	AUTO_KIT struct kit k;

	EXPECT_EQ(kit_init(&k), 0);
	guest_offers(&k, 2000);
	EXPECT(say_frame(&k, FRAME, FRAME / 2, 3));
	go_on(&k);
	EXPECT_EQ(guest_got(&k), 0);
	EXPECT(busy_ms(&k) < 50);
	EXPECT_EQ(status(&k), VIRTIO_NET_S_LINK_UP);
	guest_sends(&k, FRAME, 4); /* the other way goes on */
	go_on(&k);
	EXPECT(hear_frame(&k, FRAME, 4));
	auto_close(&k.theirs);
	EXPECT_EQ(guest_sent(&k), 1);
	EXPECT(is_cut_off(&k));
}

TEST(what_was_sent_before_the_end_still_comes)
{
	AUTO_KIT struct kit k;

	EXPECT_EQ(kit_init(&k), 0);
	for (unsigned i = 0; i < 3; i++)
		EXPECT(say_frame(&k, FRAME, FRAME, i));
	go_on(&k);
	auto_close(&k.theirs);
	go_on(&k);
	EXPECT(busy_ms(&k) < 50); /* the guest has no room, and the end is told without end */
	EXPECT_EQ(status(&k), VIRTIO_NET_S_LINK_UP);
	for (unsigned i = 0; i < 3; i++)
		guest_offers(&k, 2000);
	go_on(&k);
	EXPECT_EQ(guest_got(&k), 3);
	for (unsigned i = 0; i < 3; i++)
		EXPECT(guest_has(&k, i, FRAME, i));
	EXPECT(is_cut_off(&k));
}

TEST(more_frames_than_one_turn_serves_come_though_the_other_end_is_gone)
{
	AUTO_KIT struct kit k;
	enum { FRAMES = 1000, SIZE = 60 };
	static uint8_t wire[FRAMES][LENGTH + SIZE];
	const uint32_t big = htobe32(SIZE);
	struct err err = ERR_INIT;
	struct watch *watch;

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT_EQ(loop_watch(k.loop, k.net.v.kick, EPOLLIN | EPOLLET, kick_heard, &k.net.v, &watch,
			     &err),
		  0);
	/* too large for the only buffer that there may be: lost one by one, without room */
	start_driver(&k, 1ULL << VIRTIO_NET_F_MRG_RXBUF);
	guest_offers(&k, 20);
	for (unsigned i = 0; i < FRAMES; i++)
		memcpy(wire[i], &big, LENGTH);
	EXPECT_EQ(say(&k, wire, sizeof(wire)), sizeof(wire));
	auto_close(&k.theirs);
	for (int tries = 0; tries < 50 && status(&k) != 0; tries++)
		wait_ms(&k, 5);
	EXPECT_EQ(status(&k), 0);
	EXPECT_EQ(guest_got(&k), 0);
}

TEST(an_end_in_one_direction_is_the_end)
{
	AUTO_KIT struct kit k;

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT_EQ(shutdown(k.theirs, SHUT_WR), 0);
	EXPECT(is_cut_off(&k));
}

TEST(that_it_is_cut_off_is_said_once)
{
	AUTO_KIT struct kit k;
	AUTO_CLOSE int said = memfd_create("said", MFD_CLOEXEC);
	AUTO_CLOSE int real = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	char text[300] = "";

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT_EQ(dup2(said, STDERR_FILENO), STDERR_FILENO);
	auto_close(&k.theirs);
	bool cut = is_cut_off(&k);
	start_driver(&k, 0);
	go_on(&k);
	(void)dup2(real, STDERR_FILENO);
	EXPECT(cut);
	EXPECT(pread(said, text, sizeof(text) - 1, 0) > 0);
	EXPECT_STR(text, "hull-monitor: network: the other end of the stream is closed; it has no "
			 "carrier now\n");
}

/* Sends frames until they stay in the guest's queue, at most `most`; how many were taken. */
static unsigned send_until_full(struct kit *k, size_t n, unsigned most)
{
	unsigned taken = 0, sent = 0;

	while (sent < most && sent - taken < 8) {
		guest_sends(k, n, sent++);
		virtio_kicked(&k->net.v);
		taken += guest_sent(k);
	}
	return taken;
}

TEST(who_does_not_read_holds_up_the_guest_and_nothing_else)
{
	AUTO_KIT struct kit k;
	enum { SIZE = 30000, MOST = MANY / SIZE };

	EXPECT_EQ(kit_init(&k), 0);
	unsigned taken = send_until_full(&k, SIZE, MOST);
	EXPECT(taken > 0 && taken < MOST - 8);
	EXPECT(busy_ms(&k) < 50);
	EXPECT_EQ(guest_sent(&k), 0);
	EXPECT(say_frame(&k, FRAME, FRAME, 1)); /* the other way goes on */
	guest_offers(&k, 2000);
	go_on(&k);
	EXPECT_EQ(guest_got(&k), 1);
	unsigned back = 0;
	for (unsigned i = 0; i < taken + 8; i++) {
		EXPECT(hear_frame(&k, SIZE, i));
		wait_ms(&k, 1); /* no notification is needed */
		back += guest_sent(&k);
	}
	EXPECT_EQ(back, 8);
	EXPECT(busy_ms(&k) < 50);
}

TEST(the_rest_of_the_last_frame_goes_out_by_itself)
{
	AUTO_KIT struct kit k;
	enum { SIZE = 60000, MOST = MANY / SIZE };
	const struct stream *s = &k.net.pairs[0].stream;
	unsigned taken = 0;

	EXPECT_EQ(kit_init(&k), 0);
	while (taken < MOST && s->out_at == s->out_end) {
		guest_sends(&k, SIZE, taken++);
		virtio_kicked(&k.net.v);
		EXPECT_EQ(guest_sent(&k), 1);
	}
	EXPECT(taken < MOST);
	for (unsigned i = 0; i < taken; i++) {
		EXPECT(hear_frame(&k, SIZE, i));
		wait_ms(&k, 1);
	}
}

TEST(a_reset_leaves_no_half_frame_on_the_wire)
{
	AUTO_KIT struct kit k;
	enum { SIZE = 60000, MOST = MANY / SIZE };

	EXPECT_EQ(kit_init(&k), 0);
	unsigned taken = send_until_full(&k, SIZE, MOST);
	EXPECT(k.net.pairs[0].stream.out_end > k.net.pairs[0].stream.out_at);
	start_driver(&k, 0);
	memset(rig_at(k.mem, FROM_GUEST), 0, BUFFER);
	guest_sends(&k, FRAME, 77);
	for (unsigned i = 0; i < taken; i++) {
		for (int tries = 0; tries < 3; tries++)
			virtio_kicked(&k.net.v);
		EXPECT(hear_frame(&k, SIZE, i));
	}
	go_on(&k);
	EXPECT(hear_frame(&k, FRAME, 77));
}

TEST(a_large_flow_both_ways_is_whole)
{
	AUTO_KIT struct kit k;
	enum { FRAMES = 1500, ROOM = 4 };
	unsigned said = 0, got = 0, sent = 0, back = 0, heard = 0;

	EXPECT_EQ(kit_init(&k), 0);
	for (unsigned i = 0; i < ROOM; i++)
		guest_offers(&k, BUFFER);
	for (int idle = 0; (got < FRAMES || heard < FRAMES) && idle < 1000; idle++) {
		size_t n = ETH_HLEN + said * 7919U % 20000;
		if (said < FRAMES && said - got < ROOM)
			said += say_frame(&k, (uint32_t)n, n, said);
		n = ETH_HLEN + sent * 6007U % 20000;
		if (sent < FRAMES && sent - back < ROOM)
			guest_sends(&k, n, sent++);
		virtio_kicked(&k.net.v);
		wait_ms(&k, 0);
		back += guest_sent(&k);
		for (unsigned now = guest_got(&k); now > 0; now--) {
			EXPECT(guest_has(&k, got, ETH_HLEN + got * 7919U % 20000, got));
			guest_offers(&k, BUFFER);
			got++;
			idle = 0;
		}
		while (heard < back && hear_frame(&k, ETH_HLEN + heard * 6007U % 20000, heard)) {
			heard++;
			idle = 0;
		}
	}
	EXPECT_EQ(got, FRAMES);
	EXPECT_EQ(heard, FRAMES);
}

/* --- limits, standing still --- */

TEST(frames_over_the_limit_wait_both_ways)
{
	AUTO_KIT struct kit k;
	static const struct limit one = {.requests = 1};
	static const struct limit none = {0};

	EXPECT_EQ(kit_init(&k), 0);
	for (unsigned way = 0; way < NET_WAYS; way++)
		net_limit(&k.net, way, &one);
	for (unsigned i = 0; i < 2; i++) {
		guest_sends(&k, FRAME, i);
		guest_offers(&k, 2000);
		EXPECT(say_frame(&k, FRAME, FRAME, i));
	}
	go_on(&k);
	EXPECT_EQ(guest_sent(&k), 1);
	EXPECT_EQ(guest_got(&k), 1);
	EXPECT(busy_ms(&k) < 50);
	for (unsigned way = 0; way < NET_WAYS; way++)
		net_limit(&k.net, way, &none);
	go_on(&k);
	EXPECT_EQ(guest_sent(&k), 1);
	EXPECT_EQ(guest_got(&k), 1);
	for (unsigned i = 0; i < 2; i++) {
		EXPECT(hear_frame(&k, FRAME, i));
		EXPECT(guest_has(&k, i, FRAME, i));
	}
}

TEST(a_frame_that_waits_for_the_wire_is_counted_once)
{
	AUTO_KIT struct kit k;
	static const struct limit ten = {.requests = 1000};
	enum { SIZE = 60000 };

	EXPECT_EQ(kit_init(&k), 0);
	(void)send_until_full(&k, SIZE, MANY / SIZE);
	net_limit(&k.net, NET_FROM_GUEST, &ten);
	uint64_t was = k.net.throttle.ways[NET_FROM_GUEST].requests_ns;
	for (int i = 0; i < 100; i++)
		virtio_kicked(&k.net.v);
	EXPECT_EQ(k.net.throttle.ways[NET_FROM_GUEST].requests_ns, was);
}

TEST(paused_it_moves_nothing_and_goes_on)
{
	AUTO_KIT struct kit k;
	struct err err = ERR_INIT;

	EXPECT_EQ(kit_init(&k), 0);
	guest_offers(&k, 2000);
	go_on(&k);
	EXPECT_EQ(virtio_hold(&k.net.v, 1000, &err), 0);
	EXPECT(say_frame(&k, FRAME, FRAME, 1));
	guest_sends(&k, FRAME, 2);
	go_on(&k);
	EXPECT(busy_ms(&k) < 50);
	EXPECT_EQ(guest_got(&k), 0);
	EXPECT_EQ(guest_sent(&k), 0);
	virtio_release(&k.net.v);
	go_on(&k);
	EXPECT(guest_has(&k, 0, FRAME, 1));
	EXPECT(hear_frame(&k, FRAME, 2));
}

/* The device written down and made anew over another stream, with this address. */
static int comes_back(struct kit *k, const uint8_t address[6], struct err *err)
{
	AUTO(buf_done) struct buf saved = {0};

	int r = virtio_hold(&k->net.v, 1000, err);
	if (r == 0)
		r = virtio_save(&k->net.v, &saved, err);
	net_done(&k->net);
	auto_close(&k->ours);
	auto_close(&k->theirs);
	if (r == 0)
		r = make_device(k, address, err);
	struct state_reader from = {.at = (const uint8_t *)saved.data, .left = saved.len};
	if (r == 0)
		r = virtio_load(&k->net.v, &from, err);
	if (r == 0)
		virtio_release(&k->net.v);
	return r;
}

TEST(written_down_it_comes_back_over_another_stream)
{
	AUTO_KIT struct kit k;
	struct err err = ERR_INIT;

	EXPECT_EQ(kit_init(&k), 0);
	guest_offers(&k, 2000);
	EXPECT(say_frame(&k, FRAME, FRAME / 2, 3)); /* the other half never comes */
	go_on(&k);
	(void)rig_interrupt(&k.net.v);
	EXPECT_EQ(comes_back(&k, mac, &err), 0);
	EXPECT(!(rig_interrupt(&k.net.v) & VIRTIO_MMIO_INT_CONFIG));
	EXPECT(say_frame(&k, FRAME, FRAME, 1));
	guest_sends(&k, FRAME, 2);
	go_on(&k);
	EXPECT_EQ(guest_got(&k), 1);
	EXPECT(guest_has(&k, 0, FRAME, 1));
	EXPECT(hear_frame(&k, FRAME, 2));
}

TEST(a_new_stream_brings_the_carrier_back)
{
	AUTO_KIT struct kit k;
	struct err err = ERR_INIT;

	EXPECT_EQ(kit_init(&k), 0);
	auto_close(&k.theirs);
	EXPECT(is_cut_off(&k));
	EXPECT_EQ(comes_back(&k, mac, &err), 0);
	EXPECT_EQ(status(&k), VIRTIO_NET_S_LINK_UP);
	EXPECT(rig_interrupt(&k.net.v) & VIRTIO_MMIO_INT_CONFIG);
	guest_sends(&k, FRAME, 2);
	go_on(&k);
	EXPECT(hear_frame(&k, FRAME, 2));
}

TEST(it_does_not_come_back_with_another_address)
{
	AUTO_KIT struct kit k;
	struct err err = ERR_INIT;
	static const uint8_t other[6] = {2, 0, 0, 0, 0, 2};

	EXPECT_EQ(kit_init(&k), 0);
	EXPECT_EQ(comes_back(&k, other, &err), -EINVAL);
	EXPECT_STR(err.msg, "its address is another than it was");
}
