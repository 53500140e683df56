/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <signal.h>

#include "base/err.h"
#include "base/str.h"

TEST(whole_numbers_are_read_up_to_both_bounds)
{
	static const struct {
		const char *text;
		int64_t want;
	} good[] = {{"0", 0},
		    {"42", 42},
		    {"-7", -7},
		    {"007", 7},
		    {"9223372036854775807", INT64_MAX},
		    {"-9223372036854775808", INT64_MIN}};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct err err = ERR_INIT;
		int64_t v = 99;
		EXPECT_EQ(parse_int(good[i].text, INT64_MIN, INT64_MAX, "n", &v, &err), 0);
		EXPECT_EQ(v, good[i].want);
	}
}

TEST(what_is_no_whole_number_is_refused_and_the_result_untouched)
{
	static const char *const bad[] = {"",    " 1",  "1 ",  "+1", "0x10", "1e3",
					  "1.0", "one", "--1", "-",  "1\n"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = ERR_INIT;
		int64_t v = 99;
		EXPECT_EQ(parse_int(bad[i], 0, 100, "--pids-limit", &v, &err), -EINVAL);
		EXPECT(strstr(err.msg, "is not a whole number") != NULL);
		EXPECT_EQ(v, 99);
	}
}

TEST(a_number_out_of_range_is_told_with_its_range)
{
	static const char *const bad[] = {"-1", "101", "99999999999999999999",
					  "-99999999999999999999"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = ERR_INIT;
		int64_t v;
		EXPECT_EQ(parse_int(bad[i], 0, 100, "-n", &v, &err), -ERANGE);
		EXPECT(strstr(err.msg, "is outside 0 to 100") != NULL);
	}
}

TEST(sizes_have_units_of_1024_in_every_spelling)
{
	static const struct {
		const char *text;
		uint64_t want;
	} good[] = {{"0", 0},
		    {"1", 1},
		    {"7b", 7},
		    {"7B", 7},
		    {"1k", 1024},
		    {"1K", 1024},
		    {"1kb", 1024},
		    {"1KiB", 1024},
		    {"1ki", 1024},
		    {"32m", 33554432},
		    {"1.5g", 1610612736},
		    {"0.5k", 512},
		    {".5k", 512},
		    {"1t", 1099511627776},
		    {"8191p", 0},
		    {"9223372036854775807", INT64_MAX}};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct err err = ERR_INIT;
		uint64_t v = 99;
		if (strchr(good[i].text, 'p')) { /* no petabytes */
			EXPECT_EQ(parse_size(good[i].text, "-m", &v, &err), -EINVAL);
			continue;
		}
		EXPECT_EQ(parse_size(good[i].text, "-m", &v, &err), 0);
		EXPECT(v == good[i].want);
	}
}

TEST(what_is_no_size_is_refused)
{
	static const char *const bad[] = {"",
					  "m",
					  "-1m",
					  "1 m",
					  "1mm",
					  "1bb",
					  "1bi",
					  "1x",
					  "1.m",
					  ".",
					  "1..5",
					  "1kibb",
					  "0x1",
					  "1.1234567890k",
					  "inf",
					  "1e3",
					  " 1",
					  "1m ",
					  "９",
					  "18446744073709551616",
					  "9223372036854775808",
					  "8388608t",
					  "99999999999999999999999"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = ERR_INIT;
		uint64_t v = 99;
		EXPECT_EQ(parse_size(bad[i], "--memory", &v, &err), -EINVAL);
		EXPECT(strncmp(err.msg, "--memory: '", 11) == 0);
		EXPECT(v == 99);
	}
}

TEST(fractions_are_exact_to_the_billionth)
{
	static const struct {
		const char *text;
		uint64_t want;
	} good[] = {{"1", 1000000000},
		    {"0.5", 500000000},
		    {"1.25", 1250000000},
		    {".1", 100000000},
		    {"0", 0},
		    {"0.000000001", 1},
		    {"0.123456789", 123456789},
		    {"2.000", 2000000000}};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct err err = ERR_INIT;
		uint64_t v = 99;
		EXPECT_EQ(parse_nano(good[i].text, "--cpus", &v, &err), 0);
		EXPECT(v == good[i].want);
	}
}

TEST(what_is_no_fraction_is_refused)
{
	static const char *const bad[] = {
		"", ".", "-1", "1,5", "1.", "0.1234567891", "1s", "9999999999999", "nan"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = ERR_INIT;
		uint64_t v = 99;
		EXPECT_EQ(parse_nano(bad[i], "--cpus", &v, &err), -EINVAL);
		EXPECT(v == 99);
	}
}

TEST(durations_add_up_and_a_bare_number_is_seconds)
{
	static const struct {
		const char *text;
		uint64_t want;
	} good[] = {{"90", 90000},  {"0", 0},           {"1.5", 1500},         {"1.5s", 1500},
		    {"2m", 120000}, {"1h30m", 5400000}, {"100ms", 100},        {"1m30s", 90000},
		    {"1500us", 1},  {"0.5h", 1800000},  {"1h1m1s1ms", 3661001}};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct err err = ERR_INIT;
		uint64_t v = 99;
		EXPECT_EQ(parse_duration_ms(good[i].text, "-t", &v, &err), 0);
		EXPECT_EQ(v, good[i].want);
	}
}

TEST(what_is_no_duration_is_refused)
{
	static const char *const bad[] = {"",
					  "s",
					  "-1s",
					  "1d",
					  "1h30",
					  "0h5",
					  "1 s",
					  "1ss",
					  "5mm",
					  "s1",
					  "9223372036854775807h",
					  "9223372036854s9223372036854s9223372036854s",
					  "1m\n"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = ERR_INIT;
		uint64_t v = 99;
		EXPECT_EQ(parse_duration_ms(bad[i], "--stop-timeout", &v, &err), -EINVAL);
		EXPECT(v == 99);
	}
}

TEST(signals_go_by_number_and_by_name_in_any_case)
{
	static const struct {
		const char *text;
		int want;
	} good[] = {{"9", SIGKILL},       {"KILL", SIGKILL},  {"SIGKILL", SIGKILL},
		    {"sigterm", SIGTERM}, {"Hup", SIGHUP},    {"WINCH", SIGWINCH},
		    {"64", 64},           {"RTMIN", 34},      {"SIGRTMIN+3", 37},
		    {"RTMAX", 64},        {"sigrtmax-2", 62}, {"RTMIN+30", 64}};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct err err = ERR_INIT;
		int sig = -1;
		EXPECT_EQ(parse_signal(good[i].text, &sig, &err), 0);
		EXPECT_EQ(sig, good[i].want);
		EXPECT_EQ(err.code, 0);
	}
}

TEST(what_is_no_signal_is_refused)
{
	static const char *const bad[] = {"",        "0",          "65",     "-9",      "SIG",
					  "NOPE",    "SIGSIGKILL", "KILL ",  "RTMIN-1", "RTMIN+31",
					  "RTMAX+1", "RTMAX-31",   "RTMIN+", "RTMINX"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = ERR_INIT;
		int sig = 99;
		EXPECT_EQ(parse_signal(bad[i], &sig, &err), -EINVAL);
		EXPECT(strstr(err.msg, "is not a signal") != NULL);
		EXPECT_EQ(sig, 99);
	}
}

TEST(each_signal_with_a_name_is_found_by_it)
{
	int named = 0;

	for (int sig = 1; sig < 64; sig++) {
		struct err err = ERR_INIT;
		int back = 0;
		const char *name = signal_name(sig);
		if (!name)
			continue;
		EXPECT_EQ(parse_signal(name, &back, &err), 0);
		EXPECT_EQ(back, sig);
		named++;
	}
	EXPECT_EQ(named, 31);
	EXPECT_STR(signal_name(SIGTERM), "SIGTERM");
	EXPECT(signal_name(0) == NULL && signal_name(-1) == NULL && signal_name(1000) == NULL);
}

TEST(a_prefix_leaves_the_rest)
{
	const char *rest = "untouched";

	EXPECT(str_prefix("key=value", "key=", &rest));
	EXPECT_STR(rest, "value");
	EXPECT(str_prefix("abc", "", &rest));
	EXPECT_STR(rest, "abc");
	EXPECT(!str_prefix("ab", "abc", &rest));
	EXPECT_STR(rest, "abc");
	EXPECT(str_prefix("abc", "abc", NULL));
}

TEST(a_list_is_searched_for_the_whole_string)
{
	static const char *const list[] = {"one", "two", NULL};
	static const char *const empty[] = {NULL};

	EXPECT(str_in("two", list));
	EXPECT(!str_in("tw", list));
	EXPECT(!str_in("", list));
	EXPECT(!str_in("one", empty));
}

TEST(a_list_of_strings_owns_copies_and_ends_with_null)
{
	struct err err = ERR_INIT;
	AUTO_STRV struct strv list = {0};
	char word[] = "word";

	EXPECT_EQ(strv_add(&list, word, &err), 0);
	word[0] = 'x';
	EXPECT_EQ(strv_add(&list, "", &err), 0);
	EXPECT_EQ(list.n, 2);
	EXPECT_STR(list.v[0], "word");
	EXPECT_STR(list.v[1], "");
	EXPECT(list.v[2] == NULL);
	strv_done(&list);
	EXPECT(list.v == NULL && list.n == 0);
	EXPECT_EQ(strv_add(&list, "again", &err), 0);
}

TEST(an_assignment_replaces_that_of_the_same_key_alone)
{
	struct err err = ERR_INIT;
	AUTO_STRV struct strv env = {0};

	EXPECT_EQ(strv_set_env(&env, "A=1", &err), 0);
	EXPECT_EQ(strv_set_env(&env, "AB=2", &err), 0);
	EXPECT_EQ(strv_set_env(&env, "A=3=4", &err), 0);
	EXPECT_EQ(env.n, 2);
	EXPECT_STR(strv_env(&env, "A"), "3=4");
	EXPECT_STR(strv_env(&env, "AB"), "2");
	EXPECT(strv_env(&env, "ABC") == NULL);
	EXPECT(strv_env(&env, "") == NULL);
	EXPECT_EQ(strv_set_env(&env, "E=", &err), 0);
	EXPECT_STR(strv_env(&env, "E"), "");
}

TEST(lists_are_joined_by_copies)
{
	struct err err = ERR_INIT;
	AUTO_STRV struct strv a = {0};
	AUTO_STRV struct strv b = {0};

	EXPECT_EQ(strv_add_all(&a, &b, &err), 0);
	EXPECT_EQ(a.n, 0);
	EXPECT_EQ(strv_add(&a, "1", &err), 0);
	EXPECT_EQ(strv_add(&b, "2", &err), 0);
	EXPECT_EQ(strv_add(&b, "3", &err), 0);
	EXPECT_EQ(strv_add_all(&a, &b, &err), 0);
	EXPECT_EQ(a.n, 3);
	EXPECT_STR(a.v[2], "3");
	EXPECT(a.v[2] != b.v[1]);
}
