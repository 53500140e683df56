/* SPDX-License-Identifier: Apache-2.0 */
/* What systemd is told of a container: limits in its words, and annotations as their text says. */
#include "../test.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "oci/unit.h"
#include "proto/plan.h"

static void auto_unit(struct unit *unit)
{
	record_done(&unit_record, unit);
}

static void auto_limits(struct plan_limits *limits)
{
	record_done(&plan_limits_record, limits);
}

/* A unit as text: "NAME=TYPE item item" a line. */
static char *text_of(const struct unit *unit)
{
	struct buf text = BUF_INIT;
	const struct unit_property *p = unit->properties.items;

	for (size_t i = 0; i < unit->properties.n; i++) {
		const struct unit_item *item = p[i].items.items;
		buf_printf(&text, "%s=%s", p[i].name, p[i].type);
		for (size_t k = 0; k < p[i].items.n; k++) {
			if (item[k].text)
				buf_printf(&text, " %s", item[k].text);
			else
				buf_printf(&text, " %" PRId64, (int64_t)item[k].number);
		}
		buf_str(&text, "\n");
	}
	return buf_take(&text);
}

TEST(limits_are_said_in_systemds_words)
{
	AUTO(auto_limits)
	struct plan_limits l = {.memory = 64 << 20,
				.memory_swap = 96 << 20,
				.memory_reservation = 32 << 20,
				.cpu_quota_us = 33333,
				.cpu_period_us = 50000,
				.cpu_shares = 512,
				.blkio_weight = 500,
				.pids = UINT64_MAX,
				.cpuset_cpus = strdup("0-1,9"),
				.cpuset_mems = strdup("0")};
	AUTO(auto_unit) struct unit v2 = {.properties = {NULL, 0}};
	AUTO(auto_unit) struct unit v1 = {.properties = {NULL, 0}};
	struct err err = ERR_INIT;

	EXPECT_EQ(unit_put_limits(&v2, &l, true, &err), 0);
	AUTO_FREE char *two = text_of(&v2);
	EXPECT_STR(two, "MemoryMax=t 67108864\nMemoryLow=t 33554432\nMemorySwapMax=t 33554432\n"
			"CPUWeight=t 20\nCPUQuotaPerSecUSec=t 670000\nCPUQuotaPeriodUSec=t 50000\n"
			"TasksMax=t -1\nIOWeight=t 4950\nAllowedCPUs=ay 3 2\n"
			"AllowedMemoryNodes=ay 1\n");
	EXPECT_EQ(unit_put_limits(&v1, &l, false, &err), 0);
	AUTO_FREE char *one = text_of(&v1);
	EXPECT_STR(one, "MemoryLimit=t 67108864\nCPUShares=t 512\nCPUQuotaPerSecUSec=t 670000\n"
			"CPUQuotaPeriodUSec=t 50000\nTasksMax=t -1\n");
}

TEST(what_is_not_asked_for_is_not_said)
{
	struct plan_limits l = {.memory = 0};
	AUTO(auto_unit) struct unit unit = {.properties = {NULL, 0}};
	struct err err = ERR_INIT;

	EXPECT_EQ(unit_put_limits(&unit, &l, true, &err), 0);
	EXPECT_EQ(unit.properties.n, 0U);
	l.memory_swap = UINT64_MAX;
	l.cpu_quota_us = UINT64_MAX;
	l.has_cpu_idle = true;
	l.cpu_idle = 1;
	EXPECT_EQ(unit_put_limits(&unit, &l, true, &err), 0);
	AUTO_FREE char *text = text_of(&unit);
	EXPECT_STR(text, "MemorySwapMax=t -1\nCPUWeight=t 0\nCPUQuotaPerSecUSec=t -1\n");
}

static int add_file(struct plan_limits *l, const char *name, const char *value)
{
	struct plan_text_pair *file = list_add(&l->unified, &plan_text_pair_record);

	if (!file)
		return -ENOMEM;
	file->name = strdup(name);
	file->value = strdup(value);
	return file->name && file->value ? 0 : -ENOMEM;
}

TEST(files_of_v2_are_said_where_there_is_a_word)
{
	AUTO(auto_limits) struct plan_limits l = {.memory = 0};
	AUTO(auto_unit) struct unit unit = {.properties = {NULL, 0}};
	struct err err = ERR_INIT;

	EXPECT_EQ(add_file(&l, "memory.high", "1048576\n"), 0);
	EXPECT_EQ(add_file(&l, "cpu.max", "max 100000"), 0);
	EXPECT_EQ(add_file(&l, "pids.max", "max"), 0);
	EXPECT_EQ(add_file(&l, "cpuset.cpus", "2"), 0);
	EXPECT_EQ(add_file(&l, "io.max", "8:0 rbps=1"), 0);
	EXPECT_EQ(add_file(&l, "memory.low", "8M"), 0); /* the kernel reads it, we do not */
	EXPECT_EQ(unit_put_limits(&unit, &l, true, &err), 0);
	AUTO_FREE char *text = text_of(&unit);
	EXPECT_STR(text, "MemoryHigh=t 1048576\nCPUQuotaPerSecUSec=t -1\n"
			 "CPUQuotaPeriodUSec=t 100000\nTasksMax=t -1\nAllowedCPUs=ay 4\n");
}

TEST(a_set_that_is_none_is_refused)
{
	static const char *const bad[] = {"a", "1-", "3-1", "99999", "1;2", "-1", "0x"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		AUTO(auto_limits) struct plan_limits l = {.cpuset_cpus = strdup(bad[i])};
		AUTO(auto_unit) struct unit unit = {.properties = {NULL, 0}};
		struct err err = ERR_INIT;
		EXPECT_EQ(unit_put_limits(&unit, &l, true, &err), -EINVAL);
		EXPECT(strstr(err.msg, "AllowedCPUs"));
	}
}

static void rule(struct plan_limits *l, struct plan_device d, const char *access)
{
	struct plan_device *to = list_add(&l->devices, &plan_device_record);

	if (!to)
		abort();
	*to = d;
	to->access = strdup(access);
}

TEST(devices_are_those_allowed_behind_the_last_rule_for_all)
{
	AUTO(auto_limits) struct plan_limits l = {.memory = 0};
	AUTO(auto_unit) struct unit unit = {.properties = {NULL, 0}};
	AUTO(auto_unit) struct unit open = {.properties = {NULL, 0}};
	struct err err = ERR_INIT;

	rule(&l, (struct plan_device){.type = 'c', .major = 1, .minor = 1}, "rw");
	rule(&l, (struct plan_device){.type = 'a', .deny = true}, "rwm");
	rule(&l, (struct plan_device){.type = 'c', .major = 1, .minor = 3}, "rwm");
	rule(&l, (struct plan_device){.type = 'c', .major = 1, .minor = 5}, ""); /* a node */
	rule(&l, (struct plan_device){.type = 'b', .major = 8, .minor = UINT32_MAX}, "r");
	rule(&l, (struct plan_device){.type = 'c', .major = UINT32_MAX, .minor = UINT32_MAX}, "m");
	rule(&l, (struct plan_device){.type = 'b', .major = 7, .minor = 0, .deny = true}, "w");
	EXPECT_EQ(unit_put_devices(&unit, &l, &err), 0);
	AUTO_FREE char *text = text_of(&unit);
	EXPECT_STR(text, "DevicePolicy=s strict\n"
			 "DeviceAllow=a(ss) /dev/char/1:3 rwm block-8 r char-* m\n");
	rule(&l, (struct plan_device){.type = 'a'}, "rwm");
	EXPECT_EQ(unit_put_devices(&open, &l, &err), 0);
	AUTO_FREE char *all = text_of(&open);
	EXPECT_STR(all, "DevicePolicy=s auto\nDeviceAllow=a(ss)\n");
}

static int annotate(struct unit *unit, const char *annotation, struct err *err)
{
	AUTO_STRV struct strv list = {NULL, 0};
	int r = strv_add(&list, annotation, err);

	return r < 0 ? r : unit_put_annotations(unit, &list, err);
}

TEST(annotations_are_what_their_text_says)
{
	static const struct {
		const char *given, *said;
	} all[] = {
		{"org.systemd.property.CollectMode='inactive'", "CollectMode=s inactive\n"},
		{"org.systemd.property.Description=\"it's \\\"x\\\"\"",
		 "Description=s it's \"x\"\n"},
		{"org.systemd.property.TimeoutStopUSec=uint64 90", "TimeoutStopUSec=t 90\n"},
		{"org.systemd.property.TimeoutStopSec=1.5", "TimeoutStopUSec=t 1500000\n"},
		{"org.systemd.property.TimeoutStopSec=uint64 7", "TimeoutStopUSec=t 7000000\n"},
		{"org.systemd.property.SendSIGHUP=true", "SendSIGHUP=b 1\n"},
		{"org.systemd.property.Number=-3", "Number=i -3\n"},
		{"org.systemd.property.Number=@t 0x10", "Number=t 16\n"},
		{"org.systemd.property.Least=int64 -9223372036854775808",
		 "Least=x -9223372036854775808\n"},
		{"org.systemd.property.Before=['a.service', 'b.service']",
		 "Before=as a.service b.service\n"},
		{"org.systemd.property.Before=@as []", "Before=as\n"},
		{"org.systemd.property.AllowedCPUs=[byte 0x03,0]", "AllowedCPUs=ay 3 0\n"},
		{"org.example.other='x'", ""},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		AUTO(auto_unit) struct unit unit = {.properties = {NULL, 0}};
		struct err err = ERR_INIT;
		EXPECT_EQ(annotate(&unit, all[i].given, &err), 0);
		AUTO_FREE char *text = text_of(&unit);
		EXPECT_STR(text, all[i].said);
	}
}

TEST(annotations_that_are_no_value_are_refused_by_name)
{
	static const char *const bad[] = {
		"org.systemd.property.Prop=",
		"org.systemd.property.Prop='open",
		"org.systemd.property.Prop=word",
		"org.systemd.property.Prop='a' 'b'",
		"org.systemd.property.Prop=['a', 3]",
		"org.systemd.property.Prop=['a'",
		"org.systemd.property.Prop=[]",
		"org.systemd.property.Prop=@as 'a'",
		"org.systemd.property.Prop=@z 1",
		"org.systemd.property.Prop=byte 256",
		"org.systemd.property.Prop=uint32 -1",
		"org.systemd.property.Prop=99999999999",
		"org.systemd.property.Prop=uint64 99999999999999999999",
		"org.systemd.property.Prop='\\x'",
		"org.systemd.property.Prop=boolean 'a'",
		"org.systemd.property.TimeoutStopSec=soon",
		"org.systemd.property.no-name=1",
		"org.systemd.property.=1",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		AUTO(auto_unit) struct unit unit = {.properties = {NULL, 0}};
		struct err err = ERR_INIT;
		EXPECT_EQ(annotate(&unit, bad[i], &err), -EINVAL);
		EXPECT(strstr(err.msg, "org.systemd.property."));
	}
}
