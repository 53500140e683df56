/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>

#include "base/err.h"
#include "guest/plug.h"

TEST(a_device_that_no_machine_has_is_refused)
{
	struct err err = ERR_INIT;

	EXPECT_EQ(plug_bind(PLUG_SLOTS_MAX, &err), -EINVAL);
	EXPECT_STR(err.msg, "a machine has no device 32");
	err.code = 0;
	EXPECT_EQ(plug_unbind(UINT32_MAX, &err), -EINVAL);
}

TEST(a_device_that_is_not_bound_is_let_go_of_already)
{
	struct err err = ERR_INIT;

	EXPECT_EQ(plug_unbind(31, &err), 0);
}
