/* SPDX-License-Identifier: Apache-2.0 */
/* What users write: environment, limits, restart policies, detach keys, names. */
#include "../test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "engine/build.h"
#include "engine/detach.h"
#include "engine/names.h"

static struct err err;

/* Parses an env file into a list joined by '|'; an error gives its message. */
static const char *env_file(const char *text, size_t n)
{
	static char joined[512];
	AUTO_STRV struct strv env = {0};

	err = ERR_INIT;
	joined[0] = '\0';
	if (env_file_parse(text, n, "f", &env, &err) < 0)
		return err.msg;
	for (size_t i = 0; i < env.n; i++) {
		strncat(joined, env.v[i], sizeof(joined) - strlen(joined) - 1);
		strncat(joined, "|", sizeof(joined) - strlen(joined) - 1);
	}
	return joined;
}

#define ENV_FILE(text) env_file(text, sizeof(text) - 1)

TEST(env_files_hold_one_assignment_a_line)
{
	EXPECT_STR(ENV_FILE("A=1\n# note\n\n  B=x y \nC="), "A=1|B=x y |C=|");
}

TEST(windows_line_ends_and_a_byte_order_mark_are_dropped)
{
	EXPECT_STR(ENV_FILE("\xef\xbb\xbf"
			    "A=1\r\nB=2\r\n"),
		   "A=1|B=2|");
}

TEST(a_later_assignment_replaces_an_earlier_one)
{
	EXPECT_STR(ENV_FILE("A=1\nB=2\nA=3\n"), "A=3|B=2|");
}

TEST(a_name_alone_hands_on_the_callers_value)
{
	EXPECT_EQ(setenv("HULL_TEST_OWN", "mine", 1), 0);
	EXPECT_STR(ENV_FILE("HULL_TEST_OWN\nHULL_TEST_UNSET\n"), "HULL_TEST_OWN=mine|");
}

TEST(bad_lines_are_named_by_file_and_number)
{
	EXPECT_STR(ENV_FILE("A=1\nB C=2\n"), "--env-file: f, line 2: a name with a space in it");
	EXPECT_STR(ENV_FILE("=1\n"), "--env-file: f, line 1: '=1' has no name before the '='");
	EXPECT_STR(ENV_FILE("A=\0b\n"), "--env-file: 'f' holds a NUL byte: it is no text");
}

static int limits(const struct limit_options *o, struct plan_limits *ret)
{
	err = ERR_INIT;
	*ret = (struct plan_limits){0};
	return limits_parse(o, ret, &err);
}

TEST(memory_brings_as_much_swap_unless_told_otherwise)
{
	struct plan_limits l;

	EXPECT_EQ(limits(&(struct limit_options){.memory = 64 << 20}, &l), 0);
	EXPECT_EQ(l.memory_swap, 128 << 20);
	EXPECT_EQ(limits(&(struct limit_options){.memory = 64 << 20, .memory_swap = "-1"}, &l), 0);
	EXPECT(l.memory_swap == UINT64_MAX);
	EXPECT(limits(&(struct limit_options){.memory = 64 << 20, .memory_swap = "32m"}, &l) < 0);
	EXPECT(limits(&(struct limit_options){.memory_swap = "32m"}, &l) < 0);
}

TEST(memory_with_which_nothing_starts_is_refused)
{
	struct plan_limits l;

	EXPECT(limits(&(struct limit_options){.memory = 1 << 20}, &l) < 0);
	EXPECT_STR(err.msg, "--memory: less than 6m, with which nothing can start");
}

TEST(cpus_become_a_quota_of_a_tenth_of_a_second)
{
	struct plan_limits l;

	EXPECT_EQ(limits(&(struct limit_options){.nano_cpus = 500000000}, &l), 0);
	EXPECT_EQ(l.cpu_quota_us, 50000);
	EXPECT_EQ(l.cpu_period_us, 100000);
	EXPECT(limits(&(struct limit_options){.nano_cpus = 1000000}, &l) < 0);
	EXPECT(limits(&(struct limit_options){.nano_cpus = UINT64_C(1000000000000)}, &l) < 0);
}

TEST(a_pids_limit_of_minus_one_is_none)
{
	struct plan_limits l;

	EXPECT_EQ(limits(&(struct limit_options){.pids_limit = -1}, &l), 0);
	EXPECT(l.pids == UINT64_MAX);
	EXPECT(limits(&(struct limit_options){.pids_limit = -2}, &l) < 0);
	EXPECT(limits(&(struct limit_options){.cpuset_cpus = "a"}, &l) < 0);
	EXPECT(limits(&(struct limit_options){.blkio_weight = 5}, &l) < 0);
	EXPECT(limits(&(struct limit_options){.cpu_shares = 1}, &l) < 0);
}

/* Of --device-read-bps, with one value. */
static int read_limit(const char *text, struct plan_limits *ret)
{
	char copy[64];
	char *v[] = {copy};

	(void)snprintf(copy, sizeof(copy), "%s", text);
	return limits(&(struct limit_options){.read_bps = {.v = v, .n = 1}}, ret);
}

TEST(a_limit_of_a_device_names_a_block_device_and_a_rate)
{
	struct plan_limits l;

	EXPECT_EQ(read_limit("/dev/null", &l), -EINVAL);
	EXPECT_EQ(read_limit(":1m", &l), -EINVAL);
	EXPECT_EQ(read_limit("/dev/null:1m", &l), -ENOTBLK);
	EXPECT_STR(err.msg, "--device-read-bps: '/dev/null' is no block device");
	EXPECT_EQ(read_limit("/dev/no-such:1m", &l), -ENOENT);
	EXPECT(read_limit("/dev/null:fast", &l) < 0);
	EXPECT_EQ(l.blkio.n, 0);
}

static int ingress(const char *text, struct plan_limits *ret)
{
	return limits(&(struct limit_options){.network_ingress = text}, ret);
}

TEST(a_rate_of_the_network_is_a_size_and_0_is_asked_for)
{
	struct plan_limits l;

	EXPECT_EQ(ingress("512kb", &l), 0);
	EXPECT_EQ(l.net_ingress, 512 << 10);
	EXPECT_EQ(l.net_egress, 0); /* nobody spoke of it */
	EXPECT_EQ(ingress("0", &l), 0);
	EXPECT(l.net_ingress == UINT64_MAX);
	EXPECT_EQ(plan_rate(l.net_ingress), 0);
	EXPECT_EQ(ingress("", &l), -EINVAL);
	EXPECT_EQ(ingress("-1", &l), -EINVAL);
	EXPECT_EQ(ingress("10000000000g", &l), -EINVAL);
	EXPECT_EQ(limits(&(struct limit_options){.network_egress = "fast"}, &l), -EINVAL);
	EXPECT_STR(err.msg, "--network-egress: 'fast' is not a size (512m, 2g, …)");
}

static int check_network(uint32_t kind, bool vm, uint32_t accel, const struct plan_limits *l)
{
	const struct plan plan = {.net.kind = kind, .machine.accel = accel};

	err = ERR_INIT;
	return limits_check_network(&plan, vm, l, &err);
}

TEST(a_rate_needs_an_interface_and_somebody_who_holds_it)
{
	const struct plan_limits in = {.net_ingress = 1000};
	const struct plan_limits out = {.net_egress = 1000};
	const struct plan_limits none = {.net_ingress = UINT64_MAX, .net_egress = UINT64_MAX};

	EXPECT_EQ(check_network(NET_BRIDGE, false, 0, &out), 0);
	EXPECT_EQ(check_network(NET_BRIDGE, true, ACCEL_KVM, &out), 0);
	EXPECT_EQ(check_network(NET_BRIDGE, true, ACCEL_TCG, &in), 0);
	EXPECT_EQ(check_network(NET_BRIDGE, true, ACCEL_TCG, &out), -ENOTSUP);
	EXPECT_EQ(check_network(NET_BRIDGE, true, ACCEL_TCG, &none), 0);
	EXPECT_EQ(check_network(NET_HOST, false, 0, &none), 0);
	EXPECT_EQ(check_network(NET_NONE, false, 0, &(struct plan_limits){0}), 0);
	EXPECT_EQ(check_network(NET_NONE, false, 0, &in), -EINVAL);
	EXPECT_STR(
		err.msg,
		"--network-ingress: with --network none it has no interface of its own to limit");
	EXPECT_EQ(check_network(NET_HOST, false, 0, &out), -EINVAL);
	EXPECT_STR(err.msg,
		   "--network-egress: with --network host it has no interface of its own to limit");
}

static int restart(const char *text, uint32_t *policy, uint32_t *max)
{
	err = ERR_INIT;
	return restart_parse(text, policy, max, &err);
}

TEST(restart_policies_are_four_and_one_has_a_number)
{
	uint32_t policy = 9;
	uint32_t max = 9;

	EXPECT_EQ(restart(NULL, &policy, &max), 0);
	EXPECT_EQ(policy, RESTART_NO);
	EXPECT_EQ(restart("on-failure:3", &policy, &max), 0);
	EXPECT_EQ(policy, RESTART_ON_FAILURE);
	EXPECT_EQ(max, 3);
	EXPECT_EQ(restart("unless-stopped", &policy, &max), 0);
	EXPECT_EQ(policy, RESTART_UNLESS_STOPPED);
	EXPECT(restart("on-failures", &policy, &max) < 0);
	EXPECT(restart("on-failure:x", &policy, &max) < 0);
	EXPECT(restart("sometimes", &policy, &max) < 0);
}

/* What of `typed` reaches the program when it comes byte by byte; "!" where the user leaves. */
static const char *type(const char *keys, const char *typed)
{
	static char passed[64];
	struct detach d;
	size_t n = 0;

	err = ERR_INIT;
	if (detach_parse(keys, &d, &err) < 0)
		return "refused";
	for (const char *p = typed; *p; p++) {
		bool left;
		if (detach_scan(&d, p, 1, &left) == 1)
			passed[n++] = *p;
		if (left)
			passed[n++] = '!';
	}
	passed[n] = '\0';
	return passed;
}

TEST(a_lone_ctrl_p_reaches_the_program_at_once)
{
	EXPECT_STR(type(NULL, "a\x10"), "a\x10");
	EXPECT_STR(type(NULL, "\x10\x10x"), "\x10\x10x");
}

TEST(the_whole_sequence_leaves)
{
	EXPECT_STR(type(NULL, "ab\x10\x11"), "ab\x10!");
	EXPECT_STR(type(NULL, "\x10\x10\x11"), "\x10\x10!");
	EXPECT_STR(type("ctrl-a,d", "\x01"
				    "d"),
		   "\x01!");
	EXPECT_STR(type("", "\x10\x11"), "\x10\x11");
}

TEST(keys_that_do_not_exist_are_refused)
{
	EXPECT_STR(type("ctrl-", "x"), "refused");
	EXPECT_STR(type("ctrl-1", "x"), "refused");
	EXPECT_STR(type("ctrl-p,", "x"), "refused");
	EXPECT_STR(type("long", "x"), "refused");
}

TEST(names_begin_with_a_letter_or_digit)
{
	err = ERR_INIT;
	EXPECT_EQ(name_check("web-1.a_b", &err), 0);
	static const char *const bad[] = {"", "-web", ".web", "a/b", "a b", "ä", "a\n"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err = ERR_INIT;
		EXPECT(name_check(bad[i], &err) < 0);
	}
}

TEST(generated_names_are_good_names_and_differ)
{
	char id[ID_TEXT];
	char a[NAME_TEXT];
	char b[NAME_TEXT];

	err = ERR_INIT;
	EXPECT_EQ(id_generate(id, &err), 0);
	EXPECT_EQ(strlen(id), 64);
	EXPECT(id_is_prefix(id));
	name_generate(id, 0, a);
	name_generate(id, 1, b);
	EXPECT_EQ(name_check(a, &err), 0);
	EXPECT_EQ(name_check(b, &err), 0);
	EXPECT(strcmp(a, b) != 0);
}

TEST(only_hex_digits_begin_an_id)
{
	EXPECT(id_is_prefix("0af"));
	EXPECT(!id_is_prefix(""));
	EXPECT(!id_is_prefix("xyz"));
	EXPECT(!id_is_prefix("ABC"));
}
