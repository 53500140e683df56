/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include "machine/driver.h"

TEST(qemu_tells_how_its_guest_ended)
{
	EXPECT_EQ(qemu_driver.word("{\"timestamp\": {\"seconds\": 1}, \"event\": \"SHUTDOWN\", "
				   "\"data\": {\"guest\": true, \"reason\": \"guest-reset\"}}"),
		  MONITOR_RESET);
	EXPECT_EQ(qemu_driver.word("{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, "
				   "\"reason\": \"guest-shutdown\"}}"),
		  MONITOR_POWEROFF);
	EXPECT_EQ(qemu_driver.word("{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, "
				   "\"reason\": \"guest-panic\"}}"),
		  MONITOR_PANIC);
}

TEST(other_words_of_qemu_mean_nothing)
{
	EXPECT_EQ(qemu_driver.word("{\"return\": {}}"), MONITOR_NOTHING);
	EXPECT_EQ(qemu_driver.word("{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": false, "
				   "\"reason\": \"host-signal\"}}"),
		  MONITOR_NOTHING);
	EXPECT_EQ(qemu_driver.word(""), MONITOR_NOTHING);
}
