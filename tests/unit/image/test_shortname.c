/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "image/image.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* The full name of `text` where /etc/hull/registries is `config`. */
static int full(const char *config, const char *text, char **ret, struct err *err)
{
	char path[] = "/tmp/hull-registries.XXXXXX";
	AUTO_CLOSE int fd = mkostemp(path, O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "make '%s'", path);
	int r = write_all(fd, config, strlen(config), path, err);
	if (r == 0 && setenv("HULL_REGISTRIES", path, 1) == 0)
		r = image_full_name(text, ret, err);
	(void)unlink(path);
	return r;
}

TEST(a_name_means_one_place_or_none)
{
	static const struct {
		const char *config, *text, *full;
	} cases[] = {
		{"", "h.org/a:1", "h.org/a:1"},
		{"", "h.org/a", "h.org/a:latest"},
		{"", "docker.io/debian:12", "docker.io/library/debian:12"},
		{"", "index.docker.io/a/b", "docker.io/a/b:latest"},
		{"", "h.org/a@sha256:" HEX, "h.org/a@sha256:" HEX},
		{"", "h.org/a:1@sha256:" HEX, "h.org/a:1@sha256:" HEX},
		{"search docker.io", "debian", "docker.io/library/debian:latest"},
		{"search docker.io", "me/web:2", "docker.io/me/web:2"},
		{"search h.org:5", "debian", "h.org:5/debian:latest"},
		{"search docker.io\nalias debian h.org/d", "debian:12", "h.org/d:12"},
		{"alias debian docker.io/debian", "debian", "docker.io/library/debian:latest"},
		{"search h.org", "x.org/a:1", "x.org/a:1"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_FREE char *name = NULL;
		struct err err = ERR_INIT;
		EXPECT_EQ(full(cases[i].config, cases[i].text, &name, &err), 0);
		EXPECT_STR(name, cases[i].full);
	}
}

TEST(a_name_that_means_no_place_is_refused)
{
	static const struct {
		const char *config, *text;
	} cases[] = {
		{"", "debian"},
		{"", "me/web:1"},
		{"alias debian h.org/d", "debian2"},
		{"alias debian other", "debian"},
		{"search a b c", "debian"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_FREE char *name = NULL;
		struct err err = ERR_INIT;
		if (full(cases[i].config, cases[i].text, &name, &err) != -EINVAL)
			FAIL("'%s' with '%s' is %s", cases[i].text, cases[i].config, name);
	}
	AUTO_FREE char *name = NULL;
	struct err err = ERR_INIT;
	EXPECT_EQ(full("", "debian", &name, &err), -EINVAL);
	EXPECT(strstr(err.msg, "docker.io/library/debian"));
}
