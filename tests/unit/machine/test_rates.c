/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <sys/sysmacros.h>

#include "base/err.h"
#include "machine/rates.h"
#include "proto/plan.h"

/* Numbers that no host has: nothing is found in sysfs. */
enum { MAJOR = 4000 };

static struct plan_blkio limits[] = {
	{.kind = BLKIO_WEIGHT, .major = MAJOR, .minor = 7, .value = 100},
	{.kind = BLKIO_READ_BPS, .major = MAJOR, .minor = 1, .value = 1000},
	{.kind = BLKIO_WRITE_BPS, .major = MAJOR, .minor = 2, .value = 2000},
	{.kind = BLKIO_READ_IOPS, .major = MAJOR, .minor = 1, .value = 10},
	{.kind = BLKIO_WRITE_IOPS, .major = MAJOR, .minor = 1, .value = 20},
	{.kind = 99, .major = MAJOR, .minor = 1, .value = 1},
};
static const struct list list = {.items = limits, .n = sizeof(limits) / sizeof(limits[0])};

TEST(a_disk_is_limited_as_the_device_is_that_it_lies_on)
{
	struct rates rates[RATES_WAYS];

	rates_find(&list, makedev(MAJOR, 1), rates);
	EXPECT_EQ(rates[RATES_READ].bytes, 1000);
	EXPECT_EQ(rates[RATES_READ].requests, 10);
	EXPECT_EQ(rates[RATES_WRITE].bytes, 0);
	EXPECT_EQ(rates[RATES_WRITE].requests, 20);
	rates_find(&list, makedev(MAJOR, 2), rates);
	EXPECT_EQ(rates[RATES_READ].bytes, 0);
	EXPECT_EQ(rates[RATES_WRITE].bytes, 2000);
	rates_find(&list, makedev(MAJOR, 3), rates);
	EXPECT_EQ(rates[RATES_WRITE].bytes, 0);
}

TEST(a_limit_that_could_hold_for_nothing_is_refused)
{
	const dev_t both[] = {makedev(MAJOR, 1), makedev(MAJOR, 2)};
	struct err err = ERR_INIT;

	EXPECT_EQ(rates_check(&list, both, 2, &err), 0);
	EXPECT_EQ(rates_check(&list, both, 1, &err), -ENODEV);
	EXPECT_STR(err.msg, "limits of device 4000:2: no disk of the machine lies on it");
	EXPECT_EQ(rates_check(&(struct list){0}, both, 0, &err), 0);
}
