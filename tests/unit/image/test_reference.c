/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>

#include "base/err.h"
#include "image/image.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char *or_none(const char *s)
{
	return s ? s : "-";
}

TEST(names_come_apart_as_people_mean_them)
{
	static const struct {
		const char *text, *registry, *repository, *tag, *digest, *name;
	} cases[] = {
		{"nginx", "-", "nginx", "latest", "-", "nginx:latest"},
		{"nginx:1.2-x_Y", "-", "nginx", "1.2-x_Y", "-", "nginx:1.2-x_Y"},
		{"library/nginx", "-", "library/nginx", "latest", "-", "library/nginx:latest"},
		{"localhost/a", "localhost", "a", "latest", "-", "localhost/a:latest"},
		{"example.org/a/b:t", "example.org", "a/b", "t", "-", "example.org/a/b:t"},
		{"host:5000/a", "host:5000", "a", "latest", "-", "host:5000/a:latest"},
		{"[::1]:5000/a:b", "[::1]:5000", "a", "b", "-", "[::1]:5000/a:b"},
		{"10.0.0.1/a", "10.0.0.1", "a", "latest", "-", "10.0.0.1/a:latest"},
		{"Host/a", "Host", "a", "latest", "-", "Host/a:latest"},
		{"a__b/c-d/e--f/g.h", "-", "a__b/c-d/e--f/g.h", "latest", "-",
		 "a__b/c-d/e--f/g.h:latest"},
		{"a@sha256:" HEX, "-", "a", "-", HEX, "a"},
		{"h:1/a:t@sha256:" HEX, "h:1", "a", "t", HEX, "h:1/a:t"},
		{"host:5000", "-", "host", "5000", "-", "host:5000"},
		{"0123abcd", "-", "0123abcd", "latest", "-", "0123abcd:latest"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_REFERENCE struct reference ref = {0};
		struct err err = ERR_INIT;
		if (reference_parse(cases[i].text, &ref, &err) < 0)
			FAIL("%s", err.msg);
		EXPECT_STR(or_none(ref.registry), cases[i].registry);
		EXPECT_STR(ref.repository, cases[i].repository);
		EXPECT_STR(or_none(ref.tag), cases[i].tag);
		EXPECT_STR(or_none(ref.digest), cases[i].digest);
		EXPECT_STR(ref.name, cases[i].name);
	}
}

TEST(what_is_no_name_is_refused)
{
	static const char *const bad[] = {
		"",
		"/",
		"a/",
		"/a",
		"a//b",
		"Upper",
		"a/Upper",
		"a:",
		"a:.x",
		"a:-x",
		"a:b:c",
		"a..b",
		"a._b",
		"a___b",
		"-a",
		"a-",
		"a_",
		".a",
		"../a",
		"a/../b",
		"a b",
		"a\n",
		"a\x1b[31m",
		"\xc3\xa9",
		"a@",
		"a@sha256:12",
		"a@md5:" HEX,
		"a@sha256:" HEX "0",
		HEX,
		"host:/a",
		"host:x/a",
		"host:123456/a",
		"[::1/a",
		"[]/a",
		"ho_st:1/a",
		"-h.x/a",
		"h.x-/a",
		"a:b/",
		"a@sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		AUTO_REFERENCE struct reference ref = {0};
		struct err err = ERR_INIT;
		if (reference_parse(bad[i], &ref, &err) != -EINVAL)
			FAIL("'%s' is taken", bad[i]);
		EXPECT(strncmp(err.msg, "image name", 10) == 0);
		EXPECT(!ref.name);
	}
}

TEST(lengths_are_bounded)
{
	char name[300], tag[200] = "a:";
	AUTO_REFERENCE struct reference ref = {0};
	struct err err = ERR_INIT;

	memset(name, 'a', sizeof(name));
	name[255] = '\0';
	EXPECT_EQ(reference_parse(name, &ref, &err), 0);
	reference_done(&ref);
	name[255] = 'a';
	name[256] = '\0';
	EXPECT_EQ(reference_parse(name, &ref, &err), -EINVAL);
	memset(tag + 2, 't', sizeof(tag) - 2);
	tag[2 + 128] = '\0';
	err = ERR_INIT;
	EXPECT_EQ(reference_parse(tag, &ref, &err), 0);
	reference_done(&ref);
	tag[2 + 128] = 't';
	tag[2 + 129] = '\0';
	EXPECT_EQ(reference_parse(tag, &ref, &err), -EINVAL);
}
