/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>

#include "base/err.h"
#include "base/json.h"
#include "image/image_priv.h"
#include "image/import_spec.h"

#define HEX "1111111111111111111111111111111111111111111111111111111111111111"

static const char base[] =
	"{\"architecture\":\"arm64\",\"os\":\"linux\",\"future\":{\"x\":[1]},\"config\":{\"Cmd\":[\"old\"],"
	"\"Entrypoint\":[\"e\"],\"Env\":[\"A=1\",\"B=2\"],\"Labels\":{\"k\":\"v\"},\"OnBuild\":[\"o\"],"
	"\"ExposedPorts\":{\"80/tcp\":{}}},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:" HEX
	"\"]}}";

/* The words of *what, ended by "", joined to its lists by option. */
static void done(struct image_import *what)
{
	strv_done(&what->env);
	strv_done(&what->expose);
	strv_done(&what->labels);
	strv_done(&what->volumes);
}

static int make(const char *from, const struct image_import *what, struct image *ret, char **text,
		struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;

	int r = import_config(from, what, HEX, 1700000000000000000, text, err);
	if (r == 0)
		r = json_parse(*text, strlen(*text), IMAGE_JSON_MAX, "config", &doc, err);
	return r < 0 ? r : image_parse_config(doc, ret, err);
}

TEST(a_new_config_says_what_there_is)
{
	AUTO_IMAGE struct image image = {0};
	AUTO_FREE char *text = NULL;
	struct image_import what = {.name = "a", .platform = "linux/arm/v7"};
	struct err err = ERR_INIT;

	if (make(NULL, &what, &image, &text, &err) < 0)
		FAIL("%s", err.msg);
	EXPECT_STR(image.architecture, "arm");
	EXPECT_STR(image.variant, "v7");
	EXPECT_STR(image.diff_ids.v[0], HEX);
	EXPECT_EQ(image.created_ns, 1700000000000000000);
	EXPECT_EQ(image.config.env.n, 1);
	EXPECT_EQ(image.config.cmd.n, 0);
	EXPECT(!import_changes(&what));
}

TEST(what_the_user_asks_for_changes_only_that)
{
	AUTO_IMAGE struct image image = {0};
	AUTO_FREE char *text = NULL;
	AUTO(done)
	struct image_import what = {.name = "a",
				    .cmd = "[\"new\",\"x y\"]",
				    .workdir = "/w",
				    .user = "u",
				    .stop_signal = "INT"};
	struct err err = ERR_INIT;

	EXPECT_EQ(strv_add(&what.env, "B=3", &err), 0);
	EXPECT_EQ(strv_add(&what.env, "C=4", &err), 0);
	EXPECT_EQ(strv_add(&what.labels, "k=w", &err), 0);
	EXPECT_EQ(strv_add(&what.expose, "80", &err), 0);
	EXPECT_EQ(strv_add(&what.expose, "53/udp", &err), 0);
	EXPECT_EQ(strv_add(&what.volumes, "/data", &err), 0);
	if (make(base, &what, &image, &text, &err) < 0)
		FAIL("%s", err.msg);
	EXPECT(import_changes(&what));
	EXPECT_STR(image.config.cmd.v[1], "x y");
	EXPECT_STR(image.config.entrypoint.v[0], "e");
	EXPECT_EQ(image.config.env.n, 3);
	EXPECT_STR(strv_env(&image.config.env, "B"), "3");
	EXPECT_EQ(image.config.labels.n, 1);
	EXPECT_STR(image.config.labels.v[0], "k=w");
	EXPECT_EQ(image.config.exposed.n, 2);
	EXPECT_STR(image.config.exposed.v[1], "53/udp");
	EXPECT_STR(image.config.volumes.v[0], "/data");
	EXPECT_STR(image.config.workdir, "/w");
	EXPECT_STR(image.config.user, "u");
	EXPECT_STR(image.config.stop_signal, "INT");
	EXPECT_STR(image.architecture, "arm64");
	EXPECT(strstr(text, "\"future\":{\"x\":[1]}") != NULL);
	EXPECT(strstr(text, "\"OnBuild\":[\"o\"]") != NULL);
}

TEST(an_entrypoint_takes_the_command_with_it)
{
	AUTO_IMAGE struct image image = {0};
	AUTO_FREE char *text = NULL;
	struct image_import what = {.name = "a", .entrypoint = "/init"};
	struct err err = ERR_INIT;

	EXPECT_EQ(make(base, &what, &image, &text, &err), 0);
	EXPECT_EQ(image.config.entrypoint.n, 1);
	EXPECT_STR(image.config.entrypoint.v[0], "/init");
	EXPECT_EQ(image.config.cmd.n, 0);
}

TEST(a_line_with_spaces_is_one_for_the_shell)
{
	AUTO_IMAGE struct image image = {0};
	AUTO_FREE char *text = NULL;
	struct image_import what = {.name = "a", .cmd = "echo \"$HOME\""};
	struct err err = ERR_INIT;

	EXPECT_EQ(make(base, &what, &image, &text, &err), 0);
	EXPECT_EQ(image.config.cmd.n, 3);
	EXPECT_STR(image.config.cmd.v[0], "/bin/sh");
	EXPECT_STR(image.config.cmd.v[2], "echo \"$HOME\"");
}

static int check_word(const char *option, const char *word, struct err *err)
{
	AUTO(done) struct image_import what = {.name = "a"};
	struct strv *list = strcmp(option, "env") == 0      ? &what.env
			    : strcmp(option, "expose") == 0 ? &what.expose
			    : strcmp(option, "label") == 0  ? &what.labels
							    : &what.volumes;

	int r = strv_add(list, word, err);
	return r < 0 ? r : import_check(&what, err);
}

TEST(values_are_checked_before_any_work)
{
	static const struct {
		const char *option, *word;
		bool good;
	} cases[] = {
		{"env", "A=", true},
		{"env", "A", false},
		{"env", "=x", false},
		{"expose", "1", true},
		{"expose", "65535/sctp", true},
		{"expose", "1-3", true},
		{"expose", "0", false},
		{"expose", "65536", false},
		{"expose", "3-1", false},
		{"expose", "80/", false},
		{"expose", "80/xyz", false},
		{"expose", "80x", false},
		{"expose", "-1", false},
		{"expose", "1-", false},
		{"expose", "", false},
		{"expose", "999999999999", false},
		{"label", "a", true},
		{"label", "=x", false},
		{"label", "", false},
		{"volume", "/d", true},
		{"volume", "d", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = ERR_INIT;
		int r = check_word(cases[i].option, cases[i].word, &err);
		if ((r == 0) != cases[i].good)
			FAIL("--%s '%s': %d %s", cases[i].option, cases[i].word, r, err.msg);
	}
}

TEST(single_values_are_checked_before_any_work)
{
	const struct image_import bad[] = {
		{.name = "A"},
		{.name = "a@sha256:" HEX},
		{.name = "a", .platform = "amd64"},
		{.name = "a", .cmd = "[\"a\""},
		{.name = "a", .cmd = "[1]"},
		{.name = "a", .cmd = "[\"a\"],\"x\":[\"b\"]"},
		{.name = "a", .entrypoint = "[{}]"},
		{.name = "a", .workdir = "w"},
		{.name = "a", .stop_signal = "NOSUCH"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = ERR_INIT;
		if (import_check(&bad[i], &err) != -EINVAL)
			FAIL("case %zu is taken", i);
		EXPECT(err.msg[0] != '\0');
	}
}
