/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "registry/registry.h"

/* Loads a file with that text. */
static int load(const char *text, struct registry_config *ret, struct err *err)
{
	char path[] = "/tmp/hull-registries.XXXXXX";
	AUTO_CLOSE int fd = mkostemp(path, O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "make '%s'", path);
	int r = write_all(fd, text, strlen(text), path, err);
	if (r == 0 && setenv("HULL_REGISTRIES", path, 1) == 0)
		r = registry_config_load(ret, err);
	(void)unlink(path);
	return r;
}

TEST(the_file_says_what_its_lines_say)
{
	AUTO(registry_config_done) struct registry_config c = {0};
	struct err err = ERR_INIT;

	EXPECT_EQ(
		load("# a comment\n\n search docker.io # behind\r\nalias web h/team/web\nmirror docker.io m:5/hub\n"
		     "insecure 10.0.0.1:5000\nrealm h login.net\ncerts /c\npatience 7",
		     &c, &err),
		0);
	EXPECT_STR(c.search, "docker.io");
	EXPECT_STR(c.aliases.v[0], "web=h/team/web");
	EXPECT_STR(c.mirrors.v[0], "docker.io=m:5/hub");
	EXPECT_STR(c.insecure.v[0], "10.0.0.1:5000");
	EXPECT_STR(c.realms.v[0], "h=login.net");
	EXPECT_STR(c.certs.v[0], "/c");
	EXPECT_EQ(c.patience_s, 7);
}

TEST(an_empty_file_sets_nothing)
{
	AUTO(registry_config_done) struct registry_config c = {0};
	struct err err = ERR_INIT;

	EXPECT_EQ(load("", &c, &err), 0);
	EXPECT(!c.search && c.mirrors.n == 0);
	EXPECT_EQ(c.patience_s, 30);
}

TEST(a_wrong_line_is_told_by_its_number)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"search a\nsearch b\n", "line 2: 'search' a second time"},
		{"search\n", "line 1: 'search' takes 1 more word"},
		{"search a b\n", "line 1: 'search' takes 1 more word"},
		{"\nmirror a\n", "line 2: 'mirror' takes 2 more words"},
		{"find a\n", "line 1: 'find' is unknown"},
		{"patience 0\n", "line 1: patience"},
		{"patience x\n", "line 1: patience"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO(registry_config_done) struct registry_config c = {0};
		struct err err = ERR_INIT;
		EXPECT(load(cases[i].text, &c, &err) < 0);
		if (!strstr(err.msg, cases[i].says))
			FAIL("'%s' says: %s", cases[i].text, err.msg);
	}
}

TEST(a_named_file_has_to_be_there)
{
	AUTO(registry_config_done) struct registry_config c = {0};
	struct err err = ERR_INIT;

	EXPECT_EQ(setenv("HULL_REGISTRIES", "/nowhere/at/all", 1), 0);
	EXPECT_EQ(registry_config_load(&c, &err), -ENOENT);
}
