/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>

#include "base/err.h"
#include "base/str.h"
#include "registry/challenge.h"

static int pick(const char *one, const char *two, struct challenge *ret, struct err *err)
{
	AUTO_STRV struct strv headers = {0};

	int r = one ? strv_add(&headers, one, err) : 0;
	if (r == 0 && two)
		r = strv_add(&headers, two, err);
	return r == 0 ? challenge_pick(&headers, ret, err) : r;
}

TEST(challenges_come_apart)
{
	static const struct {
		const char *one, *two;
		bool bearer;
		const char *realm, *service;
	} cases[] = {
		{"Bearer realm=\"https://a/t\",service=\"a b\",scope=\"x:y:pull,push\"", NULL, true,
		 "https://a/t", "a b"},
		{"bearer realm=https://a/t", NULL, true, "https://a/t", "-"},
		{"Bearer realm = \"https://a/\\\"t\" , Service=s", NULL, true, "https://a/\"t",
		 "s"},
		{"Basic realm=\"x\"", NULL, false, "x", "-"},
		{"Basic", NULL, false, "-", "-"},
		{"Basic realm=\"x\", Bearer realm=\"y\",service=\"z\"", NULL, true, "y", "z"},
		{"Negotiate", "Bearer realm=\"y\"", true, "y", "-"},
		{"Negotiate abcd==, Basic realm=\"x\"", NULL, false, "x", "-"},
		{"Basic realm=\"x\"", "Digest realm=\"q\", nonce=\"n\"", false, "x", "-"},
		{"Bearer error=\"invalid_token\", realm=\"r\"", NULL, true, "r", "-"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO(challenge_done) struct challenge c = {0};
		struct err err = ERR_INIT;
		EXPECT_EQ(pick(cases[i].one, cases[i].two, &c, &err), 0);
		EXPECT_EQ(c.bearer, cases[i].bearer);
		EXPECT_STR(c.realm ? c.realm : "-", cases[i].realm);
		EXPECT_STR(c.service ? c.service : "-", cases[i].service);
	}
}

TEST(what_is_no_challenge_is_refused)
{
	static const char *const bad[] = {
		"",
		"Bearer",
		"Bearer service=\"x\"",
		"Bearer realm=\"unfinished",
		"Digest realm=\"x\"",
		"\"\"",
		"Bearer realm=\"x\", =",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		AUTO(challenge_done) struct challenge c = {0};
		struct err err = ERR_INIT;
		if (pick(bad[i], NULL, &c, &err) != -EPROTO)
			FAIL("'%s' is taken", bad[i]);
		EXPECT(err.msg[0] != '\0');
	}
	AUTO(challenge_done) struct challenge c = {0};
	struct err err = ERR_INIT;
	EXPECT_EQ(pick(NULL, NULL, &c, &err), -EPROTO);
}

TEST(credentials_go_to_the_registry_and_its_own_domain)
{
	static const struct {
		const char *host, *realm;
		bool near;
	} cases[] = {
		{"registry-1.docker.io", "auth.docker.io", true},
		{"registry.example.org", "example.org", true},
		{"registry.example.org", "login.example.org", true},
		{"registry.example.org", "a.b.example.org", true},
		{"registry.example.org", "evilexample.org", false},
		{"registry.example.org", "example.org.evil.net", false},
		{"registry.example.org", "example.com", false},
		{"example.org", "example.org", true},
		{"example.org", "evil.org", false},
		{"example.org", "login.example.org", false},
		{"ghcr.io", "GHCR.io", true},
		{"firm.co.uk", "evil.co.uk", false},
		{"hub.firm.co.uk", "login.firm.co.uk", true},
		{"10.0.0.1", "10.0.0.2", false},
		{"127.0.0.1", "127.0.0.1", true},
		{"[::1]", "[::2]", false},
		{"localhost", "127.0.0.1", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (challenge_realm_is_near(cases[i].host, cases[i].realm) != cases[i].near)
			FAIL("%s -> %s is %d", cases[i].host, cases[i].realm, !cases[i].near);
	}
}
