/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <signal.h>

#include "base/err.h"
#include "cli/cli.h"

struct args {
	bool flag, other, negated;
	const char *text;
	struct strv list;
	int64_t number;
	uint64_t size, nano, ms;
	int sig;
};

static const struct option options[] = {
	{"interactive", 'i', OPTION_FLAG, NULL, "", offsetof(struct args, flag), false},
	{"tty", 't', OPTION_FLAG, NULL, "", offsetof(struct args, other), false},
	{"sig-proxy", 0, OPTION_FLAG, NULL, "", offsetof(struct args, negated), true},
	{"name", 'n', OPTION_STRING, "NAME", "", offsetof(struct args, text), false},
	{"env", 'e', OPTION_LIST, "KEY", "", offsetof(struct args, list), false},
	{"count", 0, OPTION_INT, "N", "", offsetof(struct args, number), false},
	{"memory", 'm', OPTION_SIZE, "SIZE", "", offsetof(struct args, size), false},
	{"cpus", 0, OPTION_NANO, "N", "", offsetof(struct args, nano), false},
	{"time", 0, OPTION_DURATION, "TIME", "", offsetof(struct args, ms), false},
	{"signal", 's', OPTION_SIGNAL, "SIGNAL", "", offsetof(struct args, sig), false},
};

static const struct command run = {.names = {"run", "container run"},
				   .operands = "IMAGE [ARG...]",
				   .groups = {OPTION_GROUP(options, 0)},
				   .size = sizeof(struct args),
				   .min = 1,
				   .max = OPERANDS_ANY,
				   .operands_end_options = true};
static const struct command ls = {.names = {"ps", "container ls"},
				  .operands = "",
				  .groups = {OPTION_GROUP(options, 0)},
				  .size = sizeof(struct args),
				  .max = 1};

const struct command *const commands[] = {&run, &ls, NULL};

enum { WORDS_MAX = 16 };

/* Parses the words up to NULL; what comes out stays in the static call until the next. */
static struct call call;
static struct err err;

static int parse(const struct command *command, const char *const *words)
{
	static char copy[WORDS_MAX][64];
	static char *v[WORDS_MAX];
	size_t n = 0;

	if (call.command)
		args_done(&call);
	for (; words[n]; n++) {
		(void)snprintf(copy[n], sizeof(copy[n]), "%s", words[n]);
		v[n] = copy[n];
	}
	call = (struct call){.command = command};
	err = ERR_INIT;
	return args_parse(&call, v, n, &err);
}

#define PARSE(command, ...) parse(command, (const char *const[]){__VA_ARGS__, NULL})

TEST(letters_may_be_clustered)
{
	EXPECT_EQ(PARSE(&run, "-it", "image"), 0);
	const struct args *a = call.options;
	EXPECT(a->flag && a->other);
	EXPECT_EQ(call.n, 1);
}

TEST(a_value_may_follow_in_four_ways)
{
	static const char *const ways[][2] = {{"--name", "web"},
					      {"--name=web", "image"},
					      {"-nweb", "image"},
					      {"-n=web", "image"}};

	for (size_t i = 0; i < 4; i++) {
		EXPECT_EQ(PARSE(&run, ways[i][0], ways[i][1], "image"), 0);
		EXPECT_STR(((const struct args *)call.options)->text, "web");
	}
}

TEST(a_cluster_may_end_with_an_option_that_takes_a_value)
{
	EXPECT_EQ(PARSE(&run, "-itn", "web", "image"), 0);
	const struct args *a = call.options;
	EXPECT(a->flag && a->other);
	EXPECT_STR(a->text, "web");
}

TEST(repeated_options_make_a_list)
{
	EXPECT_EQ(PARSE(&run, "-e", "A=1", "--env=B=2", "image"), 0);
	const struct args *a = call.options;
	EXPECT_EQ(a->list.n, 2);
	EXPECT_STR(a->list.v[1], "B=2");
}

TEST(values_are_read_by_their_kind)
{
	EXPECT_EQ(PARSE(&run, "--memory", "1.5g", "--cpus=0.25", "--time", "1m30s", "-s", "hup",
			"--count=-1", "image"),
		  0);
	const struct args *a = call.options;
	EXPECT_EQ(a->size, INT64_C(1610612736));
	EXPECT_EQ(a->nano, 250000000);
	EXPECT_EQ(a->ms, 90000);
	EXPECT_EQ(a->sig, SIGHUP);
	EXPECT_EQ(a->number, -1);
}

TEST(a_value_that_cannot_be_read_is_named_with_its_option)
{
	EXPECT_EQ(PARSE(&run, "--memory", "x", "image"), -22);
	EXPECT_STR(err.msg, "--memory: 'x' is not a size (512m, 2g, …)");
	EXPECT(PARSE(&run, "-s", "NOPE", "image") < 0);
	EXPECT_STR(err.msg, "-s: 'NOPE' is not a signal");
}

TEST(flags_may_be_set_to_false_and_negated)
{
	EXPECT_EQ(PARSE(&run, "--interactive=false", "--sig-proxy=false", "image"), 0);
	const struct args *a = call.options;
	EXPECT(!a->flag && a->negated);
	EXPECT_EQ(PARSE(&run, "-it=false", "image"), 0);
	a = call.options;
	EXPECT(a->flag && !a->other);
	EXPECT(PARSE(&run, "--tty=maybe", "image") < 0);
	EXPECT_STR(err.msg, "--tty: 'maybe' is neither true nor false");
}

TEST(options_behind_the_image_belong_to_its_command)
{
	EXPECT_EQ(PARSE(&run, "image", "ls", "-i", "--name"), 0);
	EXPECT_EQ(call.n, 4);
	EXPECT(!((const struct args *)call.options)->flag);
}

TEST(two_dashes_end_the_options)
{
	EXPECT_EQ(PARSE(&ls, "--", "-i"), 0);
	EXPECT_EQ(call.n, 1);
	EXPECT_STR(call.operands[0], "-i");
}

TEST(unknown_options_and_missing_values_are_told)
{
	EXPECT(PARSE(&run, "--nope", "image") < 0);
	EXPECT_STR(err.msg, "--nope: no such option (see --help)");
	EXPECT(PARSE(&run, "-ix", "image") < 0);
	EXPECT_STR(err.msg, "-x: no such option (see --help)");
	EXPECT(PARSE(&ls, "--name") < 0);
	EXPECT_STR(err.msg, "--name: NAME is missing");
}

TEST(operands_are_counted)
{
	EXPECT(PARSE(&run, "-i") < 0);
	EXPECT_STR(err.msg, "IMAGE [ARG...]: missing (usage: hull run [OPTION...] IMAGE [ARG...])");
	EXPECT(PARSE(&ls, "a", "b") < 0);
	EXPECT_STR(err.msg, "'b': one operand too many (usage: hull ps )");
}

TEST(help_is_asked_for_by_both_spellings)
{
	EXPECT_EQ(PARSE(&run, "--help"), 1);
	EXPECT_EQ(PARSE(&run, "-h"), 1);
}

TEST(commands_have_names_of_one_and_of_two_words)
{
	char a[] = "container";
	char b[] = "ls";
	char c[] = "ps";
	char *two[] = {a, b};
	char *one[] = {c, b};
	size_t words = 0;

	EXPECT(command_find(two, 2, &words) == &ls);
	EXPECT_EQ(words, 2);
	EXPECT(command_find(one, 2, &words) == &ls);
	EXPECT_EQ(words, 1);
	EXPECT(command_find(two, 1, &words) == NULL);
	EXPECT(command_is_group("container"));
	EXPECT(!command_is_group("run"));
}
