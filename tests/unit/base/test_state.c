/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/state.h"

enum { VERSION_AT = 12, DEVICE = 2, CPU, VM };

static const struct state_form form = {"hulltest", 1, "test"};

static const uint8_t four[] = {1, 2, 3, 4};

/* Two parts, with one of every kind of value. */
static void write_state(struct buf *b)
{
	state_begin(b, &form);
	size_t part = state_part(b, DEVICE, 7);
	buf_le64(b, 0x0123456789abcdef);
	buf_le32(b, 0xcafe);
	state_put16(b, 0xffff);
	state_put_flag(b, true);
	buf_add(b, four, sizeof(four));
	state_end_part(b, part);
	part = state_part(b, VM, 0);
	state_end_part(b, part);
	state_seal(b);
}

/* Whether all of it is read as it was written. */
static bool read_state(const void *bytes, size_t n, struct err *err)
{
	struct state s;
	struct state_reader r;

	return state_open(&s, &form, bytes, n, err) == 0 &&
	       state_next(&s, DEVICE, 7, &r, err) == 0 && state_take64(&r) == 0x0123456789abcdef &&
	       state_take32(&r) == 0xcafe && state_take16(&r) == 0xffff && state_take_flag(&r) &&
	       state_take_same(&r, four, sizeof(four)) && state_taken(&r, err) == 0 &&
	       state_next(&s, VM, 0, &r, err) == 0 && state_taken(&r, err) == 0 &&
	       state_close(&s, err) == 0;
}

TEST(what_was_written_is_read)
{
	AUTO_BUF struct buf b = BUF_INIT;
	struct err err = ERR_INIT;

	write_state(&b);
	EXPECT_EQ(buf_check(&b, &err), 0);
	EXPECT(read_state(b.data, b.len, &err));
	EXPECT_STR(err.msg, "");
}

TEST(a_state_cut_anywhere_is_refused)
{
	AUTO_BUF struct buf b = BUF_INIT;

	write_state(&b);
	for (size_t n = 0; n < b.len; n++) {
		struct err err = ERR_INIT;
		struct state s;
		AUTO_FREE void *cut = malloc(n + 1); /* for a sanitizer to see its end */
		EXPECT(cut);
		memcpy(cut, b.data, n);
		EXPECT_EQ(state_open(&s, &form, cut, n, &err), -EINVAL);
		EXPECT(err.msg[0]);
	}
}

TEST(a_state_with_any_bit_changed_is_refused)
{
	AUTO_BUF struct buf b = BUF_INIT;

	write_state(&b);
	for (size_t bit = 0; bit < 8 * b.len; bit++) {
		struct err err = ERR_INIT;
		struct state s;
		b.data[bit / 8] ^= (char)(1U << bit % 8);
		EXPECT_EQ(state_open(&s, &form, b.data, b.len, &err), -EINVAL);
		b.data[bit / 8] ^= (char)(1U << bit % 8);
	}
}

TEST(a_state_with_something_behind_it_is_refused)
{
	AUTO_BUF struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	struct state s;

	write_state(&b);
	buf_add(&b, "", 1);
	EXPECT_EQ(state_open(&s, &form, b.data, b.len, &err), -EINVAL);
	EXPECT(strstr(err.msg, "not whole"));
}

TEST(another_version_is_told_by_its_number)
{
	AUTO_BUF struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	struct state s;

	write_state(&b);
	b.data[VERSION_AT] = 9;
	state_seal(&b);
	EXPECT_EQ(state_open(&s, &form, b.data, b.len, &err), -EINVAL);
	EXPECT(strstr(err.msg, "version 9"));
}

TEST(another_form_is_told_by_its_name)
{
	static const struct state_form other = {"hullelse", 1, "thing"};
	AUTO_BUF struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	struct state s;

	write_state(&b);
	EXPECT_EQ(state_open(&s, &other, b.data, b.len, &err), -EINVAL);
	EXPECT_STR(err.msg, "this is no state of a thing");
}

TEST(the_checksum_is_told_when_it_is_written_and_when_it_is_read)
{
	AUTO_BUF struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	struct state_reader r;
	struct state s;

	state_begin(&b, &form);
	state_end_part(&b, state_part(&b, VM, 0));
	uint32_t checksum = state_seal(&b);
	EXPECT(checksum != 0);
	EXPECT_EQ(state_open(&s, &form, b.data, b.len, &err), 0);
	EXPECT_EQ(s.checksum, checksum);
	EXPECT_EQ(state_next(&s, VM, 0, &r, &err), 0);
	EXPECT_EQ(s.checksum, checksum);
}

TEST(a_part_out_of_its_place_is_refused)
{
	AUTO_BUF struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	struct state_reader r;
	struct state s;

	write_state(&b);
	EXPECT_EQ(state_open(&s, &form, b.data, b.len, &err), 0);
	EXPECT_EQ(state_next(&s, DEVICE, 8, &r, &err), -EINVAL);
	EXPECT_EQ(state_next(&s, CPU, 7, &r, &err), -EINVAL);
	EXPECT_EQ(state_close(&s, &err), -EINVAL);
}

TEST(a_part_longer_than_the_state_is_refused)
{
	AUTO_BUF struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	struct state_reader r;
	struct state s;

	state_begin(&b, &form);
	size_t at = state_part(&b, VM, 0);
	state_end_part(&b, at);
	memset(b.data + b.len - 8, 0xff, 8);
	state_seal(&b);
	EXPECT_EQ(state_open(&s, &form, b.data, b.len, &err), 0);
	EXPECT_EQ(state_next(&s, VM, 0, &r, &err), -EINVAL);
	EXPECT(strstr(err.msg, "longer"));
}

TEST(a_part_must_be_used_up_exactly)
{
	struct err err = ERR_INIT;
	struct state_reader r = {.at = four, .left = sizeof(four)};

	EXPECT_EQ(state_take16(&r), 0x0201);
	EXPECT_EQ(state_taken(&r, &err), -EINVAL); /* two are left */
	EXPECT_EQ(state_take32(&r), 0); /* two is not enough */
	EXPECT_EQ(r.left, 0);
	EXPECT(!state_take_ref(&r, 1));
	EXPECT_EQ(state_taken(&r, &err), -EINVAL);
}

TEST(a_flag_is_yes_or_no)
{
	struct state_reader r = {.at = four, .left = sizeof(four)};

	EXPECT(state_take_flag(&r));
	EXPECT(!r.bad);
	EXPECT(!state_take_flag(&r));
	EXPECT(r.bad);
}
