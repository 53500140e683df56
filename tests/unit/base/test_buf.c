/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>

#include "base/buf.h"
#include "base/err.h"

TEST(an_empty_buffer_has_no_bytes_and_takes_to_an_empty_string)
{
	struct err err = ERR_INIT;
	struct buf b = BUF_INIT;

	EXPECT_EQ(b.len, 0);
	EXPECT(b.data == NULL);
	EXPECT_EQ(buf_check(&b, &err), 0);
	AUTO_FREE char *text = buf_take(&b);
	EXPECT(text != NULL);
	EXPECT_STR(text, "");
	EXPECT(b.data == NULL);
}

TEST(appending_keeps_all_bytes_and_a_nul_behind_them)
{
	AUTO_BUF struct buf b = BUF_INIT;

	buf_str(&b, "one");
	buf_add(&b, "\0two", 4);
	buf_add(&b, NULL, 0);
	EXPECT_EQ(b.len, 7);
	EXPECT_EQ(memcmp(b.data, "one\0two", 8), 0);
}

TEST(a_buffer_grows_through_every_size)
{
	AUTO_BUF struct buf b = BUF_INIT;

	for (int i = 0; i < 5000; i++)
		buf_add(&b, &(char){(char)('a' + i % 26)}, 1);
	EXPECT_EQ(b.len, 5000);
	for (int i = 0; i < 5000; i++)
		EXPECT_EQ(b.data[i], 'a' + i % 26);
	EXPECT_EQ(b.data[5000], '\0');
}

TEST(formatted_text_of_any_length_fits)
{
	AUTO_BUF struct buf b = BUF_INIT;

	buf_printf(&b, "%s", "");
	EXPECT_EQ(b.len, 0);
	buf_printf(&b, "%d-%0*d", 7, 1000, 3);
	EXPECT_EQ(b.len, 1002);
	EXPECT_EQ(strlen(b.data), 1002);
	EXPECT_EQ(strncmp(b.data, "7-0", 3), 0);
	EXPECT_EQ(b.data[1001], '3');
}

TEST(numbers_are_little_endian)
{
	AUTO_BUF struct buf b = BUF_INIT;

	buf_le32(&b, 0x01020304);
	buf_le64(&b, UINT64_C(0x1112131415161718));
	EXPECT_EQ(b.len, 12);
	EXPECT_EQ(memcmp(b.data, "\4\3\2\1\x18\x17\x16\x15\x14\x13\x12\x11", 12), 0);
}

TEST(consuming_takes_from_the_front_and_never_more_than_there_is)
{
	AUTO_BUF struct buf b = BUF_INIT;

	buf_consume(&b, 3);
	buf_str(&b, "abcdef");
	buf_consume(&b, 0);
	buf_consume(&b, 2);
	EXPECT_STR(b.data, "cdef");
	buf_consume(&b, 100);
	EXPECT_EQ(b.len, 0);
	EXPECT_STR(b.data, "");
}

TEST(reserved_room_counts_only_when_the_caller_adds_it)
{
	AUTO_BUF struct buf b = BUF_INIT;

	buf_str(&b, "x");
	char *at = buf_reserve(&b, 300);
	EXPECT(at == b.data + 1);
	memset(at, 'y', 300);
	EXPECT_EQ(b.len, 1);
	b.len += 300;
	EXPECT_EQ(b.data[300], 'y');
}

TEST(what_cannot_fit_in_memory_makes_the_buffer_bad_and_it_stays_so)
{
	struct err err = ERR_INIT;
	AUTO_BUF struct buf b = BUF_INIT;

	buf_str(&b, "kept");
	EXPECT(buf_reserve(&b, SIZE_MAX) == NULL);
	EXPECT(buf_reserve(&b, 1) == NULL);
	buf_str(&b, "lost");
	buf_printf(&b, "lost");
	EXPECT_EQ(b.len, 4);
	EXPECT_EQ(buf_check(&b, &err), -ENOMEM);
	EXPECT_STR(err.msg, "out of memory");
	EXPECT(buf_take(&b) == NULL);
	EXPECT(b.data == NULL && !b.bad);
}

TEST(a_length_near_the_end_of_numbers_does_not_wrap)
{
	AUTO_BUF struct buf b = BUF_INIT;

	EXPECT(buf_reserve(&b, SIZE_MAX / 2) == NULL);
	EXPECT(b.bad);
}

TEST(clearing_makes_a_bad_buffer_good_and_keeps_its_memory)
{
	struct err err = ERR_INIT;
	AUTO_BUF struct buf b = BUF_INIT;

	buf_str(&b, "text");
	size_t size = b.size;
	b.bad = true;
	buf_clear(&b);
	EXPECT_EQ(buf_check(&b, &err), 0);
	EXPECT_EQ(b.len, 0);
	EXPECT_EQ(b.size, size);
	EXPECT_STR(b.data, "");
	buf_str(&b, "new");
	EXPECT_STR(b.data, "new");
}

TEST(taking_hands_the_bytes_over_and_leaves_an_empty_buffer)
{
	struct buf b = BUF_INIT;

	buf_str(&b, "mine");
	AUTO_FREE char *text = buf_take(&b);
	EXPECT_STR(text, "mine");
	EXPECT(b.data == NULL && b.len == 0 && b.size == 0);
	buf_done(&b);
	buf_done(&b);
}

TEST(the_last_line_is_the_last_that_says_something)
{
	AUTO_BUF struct buf b = BUF_INIT;

	EXPECT_STR(buf_last_line(&b, "none"), "none");
	buf_str(&b, "\n\n");
	EXPECT_STR(buf_last_line(&b, "none"), "none");
	buf_str(&b, "first");
	EXPECT_STR(buf_last_line(&b, "none"), "first");
	buf_str(&b, "\n\nsecond\n\n");
	EXPECT_STR(buf_last_line(&b, "none"), "second");
	buf_clear(&b);
	EXPECT_STR(buf_last_line(&b, "none"), "none");
}
