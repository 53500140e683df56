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

TEST(the_monitor_tells_how_its_guest_ended)
{
	EXPECT_EQ(kvm_driver.word("poweroff exits=308 ports=308 mmio=0"), MONITOR_POWEROFF);
	EXPECT_EQ(kvm_driver.word("reset exits=1 ports=1 mmio=0"), MONITOR_RESTART);
	EXPECT_EQ(kvm_driver.word("triple-fault exits=1 ports=1 mmio=0"), MONITOR_RESET);
	EXPECT_EQ(kvm_driver.word(""), MONITOR_NOTHING);
	EXPECT_EQ(kvm_driver.word("powerofficial"), MONITOR_NOTHING);
}
