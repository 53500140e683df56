/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>

#include "base/err.h"

TEST(first_error_wins)
{
	struct err err = ERR_INIT;

	EXPECT_EQ(err_set(&err, ENOENT, "no %s", "x"), -ENOENT);
	EXPECT_EQ(err_set(&err, EIO, "second"), -ENOENT);
	EXPECT_STR(err.msg, "no x");
}

TEST(wrap_reads_outside_in)
{
	struct err err = ERR_INIT;

	errno = EACCES;
	(void)err_sys(&err, "open '%s'", "a.img");
	EXPECT_EQ(err_wrap(&err, "attach drive %d", 0), -EACCES);
	EXPECT_STR(err.msg, "attach drive 0: open 'a.img': Permission denied");
}

TEST(wrap_of_a_long_message_keeps_its_head)
{
	struct err err = ERR_INIT;
	char big[ERR_MSG_MAX];

	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	(void)err_set(&err, E2BIG, "%s", big);
	(void)err_wrap(&err, "ctx");
	EXPECT_EQ(strlen(err.msg), ERR_MSG_MAX - 1);
	EXPECT_EQ(strncmp(err.msg, "ctx: aaa", 8), 0);
}
