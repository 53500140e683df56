/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>

#include "base/buf.h"
#include "base/err.h"
#include "proto/channel.h"

struct seen {
	int n, hellos;
	uint16_t types[64];
	uint32_t process, workload, len;
	uint16_t flags;
	char text[64];
};

static int record(void *ctx, const struct frame *f, struct err *err)
{
	struct seen *seen = ctx;

	if (f->type == FRAME_HELLO) {
		seen->hellos++;
		return 0;
	}
	if (seen->n < 64)
		seen->types[seen->n] = f->type;
	seen->n++;
	seen->process = f->process;
	seen->workload = f->workload;
	seen->flags = f->flags;
	seen->len = f->len;
	memset(seen->text, 0, sizeof(seen->text));
	memcpy(seen->text, f->payload, f->len < 63 ? f->len : 63);
	return f->type == FRAME_EXITED ? err_set(err, EUCLEAN, "the taker's own failure") : 0;
}

/* Two ends, joined by move(). */
struct pair {
	struct channel *host, *guest;
	struct seen at_host, at_guest;
	struct err err;
};

static void pair_done(struct pair *p)
{
	channel_free(p->host);
	channel_free(p->guest);
}

static bool pair_new(struct pair *p)
{
	return channel_new(CHANNEL_HOST, "1", record, &p->at_host, &p->host, &p->err) == 0 &&
	       channel_new(CHANNEL_GUEST, "2", record, &p->at_guest, &p->guest, &p->err) == 0;
}

/* Carries what `from` has to say to `to`, at most `step` bytes at a time. */
static int move(struct channel *from, struct channel *to, size_t step, struct err *err)
{
	for (;;) {
		size_t n;
		const void *p = channel_output(from, &n);
		if (!p)
			return 0;
		n = n < step ? n : step;
		int r = channel_receive(to, p, n, err);
		if (r < 0)
			return r;
		channel_sent(from, n);
	}
}

static int greet(struct pair *p)
{
	int r = move(p->host, p->guest, 1000, &p->err);
	return r < 0 ? r : move(p->guest, p->host, 1000, &p->err);
}

static int say(struct channel *ch, uint16_t type, uint32_t process, const char *text,
	       struct err *err)
{
	struct frame f = {.type = type,
			  .workload = 1,
			  .process = process,
			  .len = (uint32_t)strlen(text),
			  .payload = text};

	return channel_send(ch, &f, false, err);
}

TEST(a_frame_arrives_as_it_was_sent_in_pieces_of_any_size)
{
	for (size_t step = 1; step < 60; step++) {
		AUTO(pair_done) struct pair p = {0};
		EXPECT(pair_new(&p));
		EXPECT_EQ(greet(&p), 0);
		struct frame f = {.type = FRAME_DATA,
				  .flags = 2 | FRAME_END,
				  .workload = 7,
				  .process = 0xfedcba98,
				  .len = 5,
				  .payload = "hello"};
		for (int i = 0; i < 3; i++)
			EXPECT_EQ(channel_send(p.host, &f, false, &p.err), 0);
		EXPECT_EQ(move(p.host, p.guest, step, &p.err), 0);
		EXPECT_EQ(p.at_guest.n, 3);
		EXPECT_EQ(p.at_guest.workload, 7);
		EXPECT_EQ(p.at_guest.process, 0xfedcba98);
		EXPECT_EQ(p.at_guest.flags, 0x8002);
		EXPECT_STR(p.at_guest.text, "hello");
	}
}

TEST(the_bytes_on_the_wire_are_those_written_down)
{
	static const uint8_t want[] = {5, 0, 0, 0, 66, 0, 0, 0, 1, 0,   0,   0,   9,   0,  0,
				       0, 1, 0, 0, 0,  0, 0, 0, 0, 'l', 'i', 'n', 'e', '!'};
	AUTO(pair_done) struct pair p = {0};
	size_t n;

	EXPECT(pair_new(&p));
	const uint8_t *hello = channel_output(p.host, &n);
	EXPECT(hello != NULL);
	EXPECT_EQ(n, FRAME_HEADER + 24 + 1);
	EXPECT(memcmp(hello + FRAME_HEADER, "hull\1\0\0\0", 8) == 0);
	EXPECT_EQ(greet(&p), 0);
	EXPECT_EQ(say(p.guest, FRAME_LOG, 9, "line!", &p.err), 0);
	const void *bytes = channel_output(p.guest, &n);
	EXPECT_EQ(n, sizeof(want));
	EXPECT(bytes && memcmp(bytes, want, n) == 0);
}

TEST(nothing_but_the_hello_is_sent_before_the_others_hello)
{
	AUTO(pair_done) struct pair p = {0};

	EXPECT(pair_new(&p));
	EXPECT_EQ(say(p.host, FRAME_STATS, 0, "", &p.err), 0);
	EXPECT_EQ(move(p.host, p.guest, 1000, &p.err), 0);
	EXPECT_EQ(p.at_guest.n, 0);
	EXPECT_EQ(move(p.guest, p.host, 1000, &p.err), 0);
	EXPECT_EQ(move(p.host, p.guest, 1000, &p.err), 0);
	EXPECT_EQ(p.at_guest.n, 1);
	EXPECT_EQ(p.at_guest.hellos, 1);
}

TEST(an_urgent_frame_overtakes_data_and_an_ordered_one_does_not)
{
	static const uint16_t want[] = {FRAME_ANSWER, FRAME_DATA, FRAME_DATA, FRAME_LOG,
					FRAME_DATA};
	AUTO(pair_done) struct pair p = {0};
	struct frame log = {.type = FRAME_LOG};

	EXPECT(pair_new(&p));
	EXPECT_EQ(greet(&p), 0);
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(say(p.guest, FRAME_DATA, 0, "data", &p.err), 0);
	EXPECT_EQ(channel_send(p.guest, &log, true, &p.err), 0);
	EXPECT_EQ(say(p.guest, FRAME_DATA, 0, "data", &p.err), 0);
	EXPECT_EQ(say(p.guest, FRAME_ANSWER, 0, "urgent", &p.err), 0);
	EXPECT_EQ(move(p.guest, p.host, 1000, &p.err), 0);
	EXPECT_EQ(p.at_host.n, 5);
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(p.at_host.types[i], want[i]);
}

TEST(small_frames_go_out_together_but_an_urgent_one_waits_for_no_more_than_one_write)
{
	AUTO(pair_done) struct pair p = {0};
	size_t n;

	EXPECT(pair_new(&p));
	EXPECT_EQ(greet(&p), 0);
	for (int i = 0; i < 3000; i++)
		EXPECT_EQ(say(p.guest, FRAME_DATA, 0, "data", &p.err), 0);
	EXPECT(channel_output(p.guest, &n) != NULL);
	EXPECT(n > 32000 && n <= 32768);
	EXPECT_EQ(n % (FRAME_HEADER + 4), 0);
	EXPECT_EQ(say(p.guest, FRAME_ANSWER, 0, "", &p.err), 0);
	channel_sent(p.guest, n);
	EXPECT(channel_output(p.guest, &n) != NULL);
	EXPECT_EQ(n, FRAME_HEADER);
}

TEST(the_takers_failure_ends_the_channel)
{
	AUTO(pair_done) struct pair p = {0};

	EXPECT(pair_new(&p));
	EXPECT_EQ(greet(&p), 0);
	EXPECT_EQ(say(p.guest, FRAME_EXITED, 0, "x", &p.err), 0);
	EXPECT_EQ(move(p.guest, p.host, 1000, &p.err), -EUCLEAN);
	EXPECT_STR(p.err.msg, "the taker's own failure");
}

TEST(a_peer_that_never_reads_fills_no_memory_without_end)
{
	static char block[FRAME_DATA_MAX];
	AUTO(pair_done) struct pair p = {0};
	int r = 0, n = 0;

	EXPECT(pair_new(&p));
	EXPECT(channel_has_room(p.host));
	struct frame f = {.type = FRAME_DATA, .len = sizeof(block), .payload = block};
	for (; r == 0 && n < 10000; n++)
		r = channel_send(p.host, &f, false, &p.err);
	EXPECT_EQ(r, -ENOBUFS);
	EXPECT(n < 1000);
	EXPECT(!channel_has_room(p.host));
	EXPECT_EQ(say(p.host, FRAME_STATS, 0, "", &(struct err){0}), 0);
}

TEST(a_message_too_long_for_its_type_is_refused_by_its_sender)
{
	static char block[8192];
	AUTO(pair_done) struct pair p = {0};
	struct frame f = {.type = FRAME_EXITED, .len = sizeof(block), .payload = block};

	EXPECT(pair_new(&p));
	EXPECT_EQ(channel_send(p.guest, &f, true, &p.err), -EMSGSIZE);
}

/* --- a hostile guest --- */

static void put(uint8_t *p, uint64_t v, int n)
{
	for (int i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

struct raw {
	uint32_t len, type, flags;
	uint64_t sequence;
};

static int receive_raw(struct pair *p, const struct raw *raw, const void *payload, size_t n)
{
	uint8_t frame[256] = {0};

	put(frame, raw->len, 4);
	put(frame + 4, raw->type, 2);
	put(frame + 6, raw->flags, 2);
	put(frame + 16, raw->sequence, 8);
	memcpy(frame + FRAME_HEADER, payload, n);
	p->err = ERR_INIT;
	return channel_receive(p->host, frame, FRAME_HEADER + n, &p->err);
}

static void hello_is_refused(uint32_t magic, uint32_t version, uint64_t next, uint64_t expected,
			     const char *want)
{
	AUTO(pair_done) struct pair p = {0};
	uint8_t hello[27];

	put(hello, magic, 4);
	put(hello + 4, version, 4);
	put(hello + 8, next, 8);
	put(hello + 16, expected, 8);
	memcpy(hello + 24, "2\033[", 3);
	EXPECT(pair_new(&p));
	int r = receive_raw(&p, &(struct raw){.len = 27, .type = FRAME_HELLO}, hello, 27);
	if (!want) {
		EXPECT_EQ(r, 0);
		return;
	}
	EXPECT(r < 0);
	EXPECT_STR(p.err.msg, want);
}

TEST(another_version_is_refused_in_one_clear_line)
{
	hello_is_refused(0x6c6c7568, 2, 0, 0,
			 "the machine's agent (hull 2?[) speaks version 2 of the channel, not 1");
}

TEST(a_stranger_is_refused)
{
	hello_is_refused(0x6c6c7569, 1, 0, 0, "the other end of the channel is no hull program");
}

TEST(an_end_that_stands_at_another_frame_is_refused)
{
	hello_is_refused(0x6c6c7568, 1, 0, 0, NULL);
	hello_is_refused(0x6c6c7568, 1, 5, 0,
			 "the other end of the channel stands at frame 5, not 0");
	hello_is_refused(0x6c6c7568, 1, 0, 3,
			 "the other end of the channel stands at frame 0, not 0");
}

static void refused(const struct raw *raw, const char *want)
{
	AUTO(pair_done) struct pair p = {0};

	EXPECT(pair_new(&p));
	EXPECT_EQ(greet(&p), 0);
	EXPECT_EQ(receive_raw(&p, raw, "", 0), -EPROTO);
	EXPECT_STR(p.err.msg, want);
	EXPECT_EQ(p.at_host.n, 0);
}

TEST(frames_that_break_the_rules_are_refused_by_their_header_alone)
{
	refused(&(struct raw){.type = 99, .sequence = 1}, "a frame of unknown type 99");
	refused(&(struct raw){.type = 0, .sequence = 1}, "a frame of unknown type 0");
	refused(&(struct raw){.type = FRAME_START, .sequence = 1}, "a frame of unknown type 17");
	refused(&(struct raw){.type = FRAME_HELLO, .sequence = 1, .len = 24},
		"a frame of type 1 after the hello");
	refused(&(struct raw){.type = FRAME_DATA, .sequence = 1, .len = UINT32_MAX},
		"a frame of type 2 with 4294967295 bytes, at most 32744");
	refused(&(struct raw){.type = FRAME_CLOSED, .sequence = 1, .len = 1},
		"a frame of type 4 with 1 bytes, at most 0");
	refused(&(struct raw){.type = FRAME_DATA, .sequence = 1, .flags = 4},
		"a frame of type 2 with flags 0x4");
	refused(&(struct raw){.type = FRAME_ANSWER, .sequence = 1, .flags = FRAME_END},
		"a frame of type 64 with flags 0x8000");
	refused(&(struct raw){.type = FRAME_LOG, .sequence = 2}, "frame 2 where 1 was due");
}

TEST(the_first_frame_must_be_a_hello)
{
	AUTO(pair_done) struct pair p = {0};

	EXPECT(pair_new(&p));
	EXPECT_EQ(receive_raw(&p, &(struct raw){.type = FRAME_LOG}, "", 0), -EPROTO);
	EXPECT_STR(p.err.msg, "a frame of type 66 before the hello");
}
