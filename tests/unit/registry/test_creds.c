/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "registry/base64.h"
#include "registry/creds.h"

static char path[64] = "/tmp/hull-creds.XXXXXX/auth.json";

/* A file of credentials with that text, in a folder of the test's own. */
static int put(const char *text, struct err *err)
{
	if (strstr(path, "XXXXXX")) {
		char folder[] = "/tmp/hull-creds.XXXXXX";
		if (!mkdtemp(folder))
			return err_sys(err, "make a folder");
		(void)snprintf(path, sizeof(path), "%s/auth.json", folder);
		if (setenv("REGISTRY_AUTH_FILE", path, 1) < 0 ||
		    unsetenv("HULL_REGISTRY_CREDS") < 0)
			return err_sys(err, "set the environment");
	}
	return file_replace(AT_FDCWD, path, text, strlen(text), 0600, err);
}

__attribute__((destructor)) static void clean(void)
{
	(void)unlink(path);
	*strrchr(path, '/') = '\0';
	(void)rmdir(path);
}

/* "bTpz" is m:s, "bjp0" is n:t. */
TEST(the_most_particular_entry_is_taken)
{
	static const struct {
		const char *text, *host, *repository, *user;
	} cases[] = {
		{"{\"auths\":{\"h\":{\"auth\":\"bTpz\"}}}", "h", "a/b", "m"},
		{"{\"auths\":{\"https://h/v2/\":{\"auth\":\"bTpz\"}}}", "h", "a", "m"},
		{"{\"auths\":{\"h\":{\"auth\":\"bTpz\"},\"h/a\":{\"auth\":\"bjp0\"}}}", "h", "a/b",
		 "n"},
		{"{\"auths\":{\"h\":{\"auth\":\"bTpz\"},\"h/a\":{\"auth\":\"bjp0\"}}}", "h", "ab",
		 "m"},
		{"{\"auths\":{\"https://index.docker.io/v1/\":{\"auth\":\"bTpz\"}}}", "docker.io",
		 "library/x", "m"},
		{"{\"auths\":{\"docker.io\":{\"auth\":\"bTpz\"}}}", "docker.io", "x/y", "m"},
		{"{\"auths\":{\"h:5000\":{\"auth\":\"bTpz\"}}}", "h", "a", "-"},
		{"{\"auths\":{\"h.evil.net\":{\"auth\":\"bTpz\"}}}", "h", "a", "-"},
		{"{\"auths\":{\"h\":{}}}", "h", "a", "-"},
		{"{}", "h", "a", "-"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO(creds_done) struct creds c = {0};
		struct err err = ERR_INIT;
		EXPECT_EQ(put(cases[i].text, &err), 0);
		int r = creds_find(cases[i].host, cases[i].repository, true, &c, &err);
		EXPECT(r >= 0);
		if (strcmp(r ? c.user : "-", cases[i].user) != 0)
			FAIL("%s: '%s'", cases[i].text, r ? c.user : "-");
	}
}

TEST(an_identity_token_stands_for_both)
{
	AUTO(creds_done) struct creds c = {0};
	struct err err = ERR_INIT;

	EXPECT_EQ(put("{\"auths\":{\"h\":{\"auth\":\"bTpz\",\"identitytoken\":\"tok\"}}}", &err),
		  0);
	EXPECT_EQ(creds_find("h", "a", true, &c, &err), 1);
	EXPECT_STR(c.identity, "tok");
	EXPECT(!c.user && !c.secret);
}

TEST(a_damaged_file_is_told_by_its_name)
{
	static const char *const bad[] = {
		"{\"auths\":{\"h\":{\"auth\":\"***\"}}}",
		"{\"auths\":{\"h\":{\"auth\":\"bXM=\"}}}",
		"{\"auths\":[]}",
		"[]",
		"{",
		"{\"auths\":{\"h\":7}}",
		"{\"credHelpers\":{\"h\":\"../evil\"}}",
		"{\"credsStore\":\"a b\"}",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		AUTO(creds_done) struct creds c = {0};
		struct err err = ERR_INIT;
		EXPECT_EQ(put(bad[i], &err), 0);
		if (creds_find("h", "a", true, &c, &err) >= 0)
			FAIL("'%s' is taken", bad[i]);
		EXPECT(strstr(err.msg, path));
	}
}

TEST(what_is_saved_is_found_and_all_else_stays)
{
	AUTO(creds_done) struct creds found = {0};
	AUTO(creds_done) struct creds other = {0};
	AUTO(creds_done) struct creds mine = {0};
	struct err err = ERR_INIT;
	struct stat st;

	EXPECT_EQ(put("{\"auths\":{\"h\":{\"auth\":\"bTpz\"}},\"HttpHeaders\":{\"a\":\"b\"}}",
		      &err),
		  0);
	EXPECT_EQ(creds_parse("me:pass:word", &mine, &err), 0);
	EXPECT_EQ(creds_save("new:5000", &mine, &err), 0);
	EXPECT_EQ(stat(path, &st), 0);
	EXPECT_EQ(st.st_mode & 0777, 0600);
	EXPECT_EQ(creds_find("new:5000", "a", true, &found, &err), 1);
	EXPECT_STR(found.secret, "pass:word");
	EXPECT_EQ(creds_find("h", "a", true, &other, &err), 1);
	EXPECT_STR(other.user, "m");
	AUTO_BUF struct buf text = BUF_INIT;
	EXPECT_EQ(file_read(AT_FDCWD, path, 4096, &text, &err), 0);
	EXPECT(strstr(text.data, "HttpHeaders"));
	EXPECT_EQ(creds_remove("new:5000", &err), 1);
	EXPECT_EQ(creds_remove("new:5000", &err), 0);
}

TEST(what_was_given_for_the_registry_is_not_for_a_mirror)
{
	AUTO(creds_done) struct creds c = {0};
	AUTO(creds_done) struct creds mirror = {0};
	struct err err = ERR_INIT;

	EXPECT_EQ(put("{}", &err), 0);
	EXPECT_EQ(setenv("HULL_REGISTRY_CREDS", "u:p", 1), 0);
	EXPECT_EQ(creds_find("h", "a", true, &c, &err), 1);
	EXPECT_STR(c.user, "u");
	EXPECT_EQ(creds_find("h", "a", false, &mirror, &err), 0);
	EXPECT_EQ(unsetenv("HULL_REGISTRY_CREDS"), 0);
}

TEST(base64_goes_there_and_back)
{
	struct err err = ERR_INIT;

	for (size_t n = 0; n < 40; n++) {
		AUTO_BUF struct buf text = BUF_INIT;
		AUTO_BUF struct buf back = BUF_INIT;
		unsigned char bytes[40];
		for (size_t i = 0; i < n; i++)
			bytes[i] = (unsigned char)(i * 37 + n * 91);
		buf_str(&text, "");
		base64_encode(&text, bytes, n);
		EXPECT_EQ(base64_decode(&back, text.data ? text.data : "", &err), 0);
		EXPECT_EQ(back.len, n);
		EXPECT(n == 0 || memcmp(back.data, bytes, n) == 0);
	}
	static const char *const bad[] = {"a",    "ab",   "abc",  "====",
					  "a===", "ab=c", "ab c", "YQ==YQ=="};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		AUTO_BUF struct buf back = BUF_INIT;
		struct err refused = ERR_INIT;
		if (base64_decode(&back, bad[i], &refused) != -EINVAL)
			FAIL("'%s' is taken", bad[i]);
	}
}
