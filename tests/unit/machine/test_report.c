/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <stdlib.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "machine/report.h"
#include "proto/report.h"

static void done(struct machine_report *report)
{
	record_done(&machine_report_record, report);
}

/* The answer to one text, of a machine launched at 1000. */
static int parse(const char *text, struct machine_report *ret)
{
	struct err err = ERR_INIT;

	*ret = (struct machine_report){0};
	return report_parse(text, 1000, ret, &err);
}

TEST(what_a_monitor_says_is_read)
{
	AUTO(done) struct machine_report r;

	EXPECT_EQ(parse("memory 0 4096\nmemory 4294967296 8192\n"
			"device 0 block layers 4301258752 4301258752 15 4500 256,0\n"
			"device 1 rng - 1 0 0 0 0\n"
			"exits 300 20 1\ntimes 1500 2500\n",
			&r),
		  0);
	const struct machine_range *ranges = r.ranges.items;
	const struct machine_device *d = r.devices.items;
	EXPECT(r.ranges.n == 2 && ranges[1].address == 4294967296 && ranges[1].size == 8192);
	EXPECT(r.devices.n == 2 && d[0].agreed == 4301258752 && d[0].status == 15);
	EXPECT_STR(d[0].kind, "block");
	EXPECT_STR(d[0].label, "layers");
	EXPECT_STR(d[0].queues, "256,0");
	EXPECT(d[1].label == NULL);
	EXPECT(r.exits_ports == 300 && r.exits_mmio == 20 && r.exits_other == 1);
	EXPECT_EQ(r.started_us, 500);
	EXPECT_EQ(r.entered_us, 1500);
	EXPECT_EQ(r.driver_us, 3500);
}

TEST(a_moment_before_the_launch_is_none)
{
	AUTO(done) struct machine_report r;

	EXPECT_EQ(parse("times 1 0\n", &r), 0);
	EXPECT(r.started_us == 0 && r.entered_us == 0);
}

TEST(no_answer_is_an_answer_with_nothing)
{
	AUTO(done) struct machine_report r;

	EXPECT_EQ(parse("", &r), 0);
	EXPECT(r.devices.n == 0 && r.ranges.n == 0);
}

TEST(what_is_no_report_is_refused)
{
	static const char *const lies[] = {
		"memory\n",
		"memory 0\n",
		"memory 0 1 2\n",
		"memory 0 -1\n",
		"memory 0 18446744073709551616\n",
		"memory 0 0x10\n",
		"exits 1 2 3 4\n",
		"device 0 block layers 1 1 15 0\n",
		"device 0 block layers 1 1 15 0 256 9 9 9 9 9 9\n",
		"device 0 bl\"ock layers 1 1 15 0 256\n",
		"device 0 block \xff\xfe 1 1 15 0 256\n",
		"weather fine\n",
		" \n",
	};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		AUTO(done) struct machine_report r;
		EXPECT_EQ(parse(lies[i], &r), -EBADMSG);
	}
}

TEST(a_report_without_end_is_refused)
{
	AUTO_BUF struct buf text = BUF_INIT;
	AUTO(done) struct machine_report r = {0}, devices = {0};

	for (int i = 0; i <= REPORT_RANGES_MAX; i++)
		buf_str(&text, "memory 0 1\n");
	EXPECT_EQ(parse(text.data, &r), -EBADMSG);
	buf_clear(&text);
	for (int i = 0; i <= REPORT_DEVICES_MAX; i++)
		buf_str(&text, "device 0 rng - 1 1 1 1 1\n");
	EXPECT_EQ(parse(text.data, &devices), -EBADMSG);
}
