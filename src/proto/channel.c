/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/channel.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

enum {
	MAGIC = 0x6c6c7568, /* "hull" */
	HELLO_MIN = 24,
	HELLO_MAX = HELLO_MIN + 64,
	QUEUE_MAX = 8 * 1024 * 1024, /* frames waiting for a peer that does not read */
	ROOM = 128 * 1024,
	SEQUENCE_AT = 16, /* in the header */
};

enum { FROM_HOST = 1 << CHANNEL_HOST, FROM_GUEST = 1 << CHANNEL_GUEST, FROM_BOTH = 3 };

/* Who may send what, how long, with which flags. */
static const struct rule {
	uint16_t type;
	uint16_t from;
	uint16_t flags;
	uint32_t max;
} rules[] = {
	{FRAME_HELLO, FROM_BOTH, 0, HELLO_MAX},
	{FRAME_DATA, FROM_BOTH, FRAME_STREAM | FRAME_END, FRAME_DATA_MAX},
	{FRAME_CREDIT, FROM_BOTH, FRAME_STREAM, 4},
	{FRAME_CLOSED, FROM_BOTH, FRAME_STREAM, 0},
	{FRAME_SETUP, FROM_HOST, 0, 4 * 1024 * 1024},
	{FRAME_START, FROM_HOST, 0, 1024},
	{FRAME_EXEC, FROM_HOST, 0, 4 * 1024 * 1024},
	{FRAME_RESIZE, FROM_HOST, 0, 1024},
	{FRAME_SIGNAL, FROM_HOST, 0, 1024},
	{FRAME_PAUSE, FROM_HOST, 0, 1024},
	{FRAME_RESUME, FROM_HOST, 0, 1024},
	{FRAME_UPDATE, FROM_HOST, 0, 64 * 1024},
	{FRAME_STATS, FROM_HOST, 0, 1024},
	{FRAME_TOP, FROM_HOST, 0, 1024},
	{FRAME_POWEROFF, FROM_HOST, 0, 1024},
	{FRAME_CLOCK, FROM_HOST, 0, 8},
	{FRAME_DISK, FROM_HOST, 0, 8 * 1024},
	{FRAME_UNDISK, FROM_HOST, 0, 8 * 1024},
	{FRAME_NET, FROM_HOST, 0, 1024},
	{FRAME_UNNET, FROM_HOST, 0, 1024},
	{FRAME_ANSWER, FROM_GUEST, 0, 1024 * 1024},
	{FRAME_EXITED, FROM_GUEST, 0, 4096},
	{FRAME_LOG, FROM_GUEST, 0, 4096},
};

struct channel {
	enum channel_side side;
	bool greeted; /* the other's hello was accepted */
	frame_fn *fn;
	void *ctx;
	uint64_t received, sent; /* the next sequence of either direction */
	struct buf in; /* the start of a frame */
	struct buf urgent, ordered; /* whole frames, not numbered yet */
	size_t ordered_head; /* what of `ordered` is out already */
	struct buf out; /* numbered frames on their way */
	size_t out_head;
};

static void put_le(uint8_t *p, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get_le(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static const struct rule *rule_of(uint64_t type)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (rules[i].type == type)
			return &rules[i];
	}
	return NULL;
}

/* --- sending --- */

static void put_frame(struct buf *to, const struct frame *f)
{
	uint8_t header[FRAME_HEADER] = {0};

	put_le(header, f->len, 4);
	put_le(header + 4, f->type, 2);
	put_le(header + 6, f->flags, 2);
	put_le(header + 8, f->workload, 4);
	put_le(header + 12, f->process, 4);
	if (!buf_reserve(to, sizeof(header) + f->len))
		return;
	buf_add(to, header, sizeof(header));
	buf_add(to, f->payload, f->len);
}

/* How long the frame at `at` is. */
static size_t frame_size(const struct buf *b, size_t at)
{
	return FRAME_HEADER + (size_t)get_le((const uint8_t *)b->data + at, 4);
}

/* Numbers the frames from `at` on that begin before `until`; answers where the last one ends. */
static size_t number(struct channel *ch, struct buf *b, size_t at, size_t until)
{
	while (at < until) {
		put_le((uint8_t *)b->data + at + SEQUENCE_AT, ch->sent++, 8);
		at += frame_size(b, at);
	}
	return at;
}

static int put_hello(struct channel *ch, const char *program, struct err *err)
{
	uint8_t hello[HELLO_MAX];
	size_t n = strnlen(program, HELLO_MAX - HELLO_MIN);

	put_le(hello, MAGIC, 4);
	put_le(hello + 4, CHANNEL_VERSION, 4);
	put_le(hello + 8, ch->sent, 8);
	put_le(hello + 16, ch->received, 8);
	memcpy(hello + HELLO_MIN, program, n);
	put_frame(&ch->out, &(struct frame){.type = FRAME_HELLO,
					    .len = (uint32_t)(HELLO_MIN + n),
					    .payload = hello});
	(void)number(ch, &ch->out, 0, ch->out.len);
	return buf_check(&ch->out, err);
}

int channel_new(enum channel_side side, const char *program, frame_fn *fn, void *ctx,
		struct channel **ret, struct err *err)
{
	AUTO(auto_channel_free) struct channel *ch = calloc(1, sizeof(*ch));
	if (!ch)
		return err_set(err, ENOMEM, "out of memory");
	ch->side = side;
	ch->fn = fn;
	ch->ctx = ctx;
	int r = put_hello(ch, program, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(ch);
	return 0;
}

void channel_free(struct channel *ch)
{
	if (!ch)
		return;
	buf_done(&ch->in);
	buf_done(&ch->urgent);
	buf_done(&ch->ordered);
	buf_done(&ch->out);
	free(ch);
}

int channel_send(struct channel *ch, const struct frame *frame, bool ordered, struct err *err)
{
	const struct rule *rule = rule_of(frame->type);
	bool is_data = frame->type == FRAME_DATA;

	assert(rule && (rule->from & (1 << ch->side)));
	if (frame->len > rule->max)
		return err_set(err, EMSGSIZE, "a message of %u bytes is too long for the machine",
			       frame->len);
	struct buf *queue = is_data || ordered ? &ch->ordered : &ch->urgent;
	if (queue->len > QUEUE_MAX)
		return err_set(err, ENOBUFS, "the other end of the channel does not read");
	put_frame(queue, frame);
	return buf_check(queue, err);
}

/*
 * Moves what may be written next to the empty `out`: all that is urgent, or else as much as is
 * written at once anyway.
 */
static void refill(struct channel *ch)
{
	struct buf empty = ch->out;

	if (ch->urgent.len > 0) {
		(void)number(ch, &ch->urgent, 0, ch->urgent.len);
		ch->out = ch->urgent;
		ch->urgent = empty;
		return;
	}
	if (ch->ordered_head == ch->ordered.len)
		return;
	size_t end = ch->ordered_head;
	do {
		end = number(ch, &ch->ordered, end, end + 1);
	} while (end < ch->ordered.len && end + frame_size(&ch->ordered, end) <=
						  ch->ordered_head + FRAME_HEADER + FRAME_DATA_MAX);
	buf_add(&ch->out, ch->ordered.data + ch->ordered_head, end - ch->ordered_head);
	ch->ordered_head = end;
	if (ch->ordered_head == ch->ordered.len || ch->ordered_head > ROOM) {
		buf_consume(&ch->ordered, ch->ordered_head);
		ch->ordered_head = 0;
	}
}

const void *channel_output(struct channel *ch, size_t *ret_n)
{
	if (ch->out.len == 0 && ch->greeted)
		refill(ch);
	*ret_n = ch->out.len - ch->out_head;
	return *ret_n ? ch->out.data + ch->out_head : NULL;
}

void channel_sent(struct channel *ch, size_t n)
{
	assert(n <= ch->out.len - ch->out_head);

	ch->out_head += n;
	if (ch->out_head == ch->out.len) {
		buf_clear(&ch->out);
		ch->out_head = 0;
	}
}

bool channel_has_room(const struct channel *ch)
{
	return ch->ordered.len - ch->ordered_head < ROOM;
}

size_t channel_waiting(const struct channel *ch)
{
	return ch->urgent.len + ch->out.len - ch->out_head;
}

/* --- receiving --- */

static int take_hello(struct channel *ch, const struct frame *f, struct err *err)
{
	const uint8_t *p = f->payload;
	char program[HELLO_MAX - HELLO_MIN + 1] = "";

	if (f->len < HELLO_MIN || get_le(p, 4) != MAGIC)
		return err_set(err, EPROTO, "the other end of the channel is no hull program");
	memcpy(program, p + HELLO_MIN, f->len - HELLO_MIN);
	for (char *c = program; *c; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
	uint64_t version = get_le(p + 4, 4);
	if (version != CHANNEL_VERSION)
		return err_set(err, EPROTONOSUPPORT,
			       "%s (hull %s) speaks version %ju of the channel, not %d",
			       ch->side == CHANNEL_HOST ? "the machine's agent" : "the host",
			       program, (uintmax_t)version, CHANNEL_VERSION);
	uint64_t next = get_le(p + 8, 8), expected = get_le(p + 16, 8);
	/* our own hello may be under way: it does not count yet for the other */
	if (next + 1 != ch->received || expected + 1 != ch->sent)
		return err_set(err, EPROTO,
			       "the other end of the channel stands at frame %ju, not %ju",
			       (uintmax_t)next, (uintmax_t)ch->received - 1);
	ch->greeted = true;
	return 0;
}

static int check_header(const struct channel *ch, const struct frame *f, uint64_t sequence,
			struct err *err)
{
	const struct rule *rule = rule_of(f->type);
	enum channel_side other = ch->side == CHANNEL_HOST ? CHANNEL_GUEST : CHANNEL_HOST;

	if (!rule || !(rule->from & (1 << other)))
		return err_set(err, EPROTO, "a frame of unknown type %u", f->type);
	if ((f->type == FRAME_HELLO) == ch->greeted)
		return err_set(err, EPROTO, "a frame of type %u %s", f->type,
			       ch->greeted ? "after the hello" : "before the hello");
	if (f->len > rule->max)
		return err_set(err, EPROTO, "a frame of type %u with %u bytes, at most %u", f->type,
			       f->len, rule->max);
	if (f->flags & ~rule->flags)
		return err_set(err, EPROTO, "a frame of type %u with flags %#x", f->type, f->flags);
	if (sequence != ch->received)
		return err_set(err, EPROTO, "frame %ju where %ju was due", (uintmax_t)sequence,
			       (uintmax_t)ch->received);
	return 0;
}

/* Takes the frame at p if its n bytes hold all of it; answers how many bytes it has, 0 if it is not
 * whole. */
static ssize_t take_frame(struct channel *ch, const uint8_t *p, size_t n, struct err *err)
{
	if (n < FRAME_HEADER)
		return 0;
	struct frame f = {.len = (uint32_t)get_le(p, 4),
			  .type = (uint16_t)get_le(p + 4, 2),
			  .flags = (uint16_t)get_le(p + 6, 2),
			  .workload = (uint32_t)get_le(p + 8, 4),
			  .process = (uint32_t)get_le(p + 12, 4),
			  .payload = p + FRAME_HEADER};
	int r = check_header(ch, &f, get_le(p + SEQUENCE_AT, 8), err);
	if (r < 0)
		return r;
	if (n - FRAME_HEADER < f.len)
		return 0;
	ch->received++;
	r = f.type == FRAME_HELLO ? take_hello(ch, &f, err) : 0;
	if (r == 0)
		r = ch->fn(ch->ctx, &f, err);
	return r < 0 ? r : FRAME_HEADER + (ssize_t)f.len;
}

/* Takes the whole frames at p; answers how many bytes they have. */
static ssize_t take_frames(struct channel *ch, const uint8_t *p, size_t n, struct err *err)
{
	size_t taken = 0;

	for (;;) {
		ssize_t len = take_frame(ch, p + taken, n - taken, err);
		if (len <= 0)
			return len < 0 ? len : (ssize_t)taken;
		taken += (size_t)len;
	}
}

int channel_receive(struct channel *ch, const void *bytes, size_t n, struct err *err)
{
	ssize_t taken = 0;

	if (ch->in.len == 0) {
		taken = take_frames(ch, bytes, n, err);
		if (taken < 0)
			return (int)taken;
		bytes = (const uint8_t *)bytes + taken;
		n -= (size_t)taken;
	}
	if (n == 0)
		return 0;
	bool fresh = ch->in.len == 0;
	buf_add(&ch->in, bytes, n);
	int r = buf_check(&ch->in, err);
	if (r < 0 || fresh)
		return r;
	taken = take_frames(ch, (const uint8_t *)ch->in.data, ch->in.len, err);
	if (taken < 0)
		return (int)taken;
	buf_consume(&ch->in, (size_t)taken);
	return 0;
}
