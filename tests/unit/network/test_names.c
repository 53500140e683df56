/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/path.h"
#include "network/network.h"

TEST(hosts_names_loopback_and_the_workload)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct err err = ERR_INIT;

	EXPECT_EQ(hosts_text(&text, "web", NULL, 0x0ad60002, NULL, &err), 0);
	EXPECT(strstr(text.data, "127.0.0.1\tlocalhost\n") == text.data);
	EXPECT(strstr(text.data, "\n::1\tlocalhost "));
	EXPECT(strstr(text.data, "\n10.214.0.2\tweb\n"));
}

TEST(hosts_names_the_domain_and_further_hosts)
{
	AUTO_BUF struct buf text = BUF_INIT;
	AUTO_STRV struct strv extra = {0};
	struct err err = ERR_INIT;

	EXPECT_EQ(strv_add(&extra, "db:192.0.2.7", &err), 0);
	EXPECT_EQ(strv_add(&extra, "db6:2001:db8::7", &err), 0);
	EXPECT_EQ(hosts_text(&text, "web", "example.org", 0, &extra, &err), 0);
	EXPECT(strstr(text.data, "\n192.0.2.7\tdb\n"));
	EXPECT(strstr(text.data, "\n2001:db8::7\tdb6\n"));
	EXPECT(strstr(text.data, "\n127.0.1.1\tweb.example.org web\n"));
}

TEST(names_cannot_add_lines_or_columns)
{
	static const char *const names[] = {"", "a b", "a\nb", "a#b", "a\tb", "a\x7f"};
	static const char *const extras[] = {
		"x", "x:", ":192.0.2.7", "x y:192.0.2.7", "x:y", "x:192.0.2.7\n", "x:192.0.2.256"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		AUTO_BUF struct buf text = BUF_INIT;
		struct err err = ERR_INIT;
		EXPECT_EQ(hosts_text(&text, names[i], NULL, 0, NULL, &err), -EINVAL);
		err = ERR_INIT;
		if (*names[i])
			EXPECT_EQ(hosts_text(&text, "web", names[i], 0, NULL, &err), -EINVAL);
	}
	for (size_t i = 0; i < sizeof(extras) / sizeof(extras[0]); i++) {
		AUTO_BUF struct buf text = BUF_INIT;
		AUTO_STRV struct strv extra = {0};
		struct err err = ERR_INIT;
		EXPECT_EQ(strv_add(&extra, extras[i], &err), 0);
		EXPECT_EQ(hosts_text(&text, "web", NULL, 0, &extra, &err), -EINVAL);
	}
}

static const struct {
	const char *from, *to;
	int servers;
} filtered[] = {
	{"", "", 0},
	{"nameserver 192.0.2.53\n", "nameserver 192.0.2.53\n", 1},
	{"nameserver 192.0.2.53", "nameserver 192.0.2.53\n", 1},
	{"nameserver 127.0.0.53\n", "", 0},
	{"nameserver\t127.0.0.1\nnameserver 192.0.2.53\n", "nameserver 192.0.2.53\n", 1},
	{"nameserver ::1\nnameserver 2001:db8::53\n", "nameserver 2001:db8::53\n", 1},
	{"nameserver fe80::1%eth0\n", "nameserver fe80::1%eth0\n", 1},
	{"# a comment\n; another\n\nsearch example.org\noptions ndots:2\n",
	 "search example.org\noptions ndots:2\n", 0},
	{"nameservers 127.0.0.1\n", "nameservers 127.0.0.1\n", 0},
	{"nameserver 127.0.0.53 # stub\nnameserver 1.2.3.4 # real\n", "nameserver 1.2.3.4 # real\n",
	 1},
};

TEST(name_servers_on_the_hosts_loopback_are_left_out)
{
	for (size_t i = 0; i < sizeof(filtered) / sizeof(filtered[0]); i++) {
		AUTO_BUF struct buf text = BUF_INIT;

		EXPECT_EQ(resolv_filter(&text, filtered[i].from), filtered[i].servers);
		EXPECT_STR(text.data ? text.data : "", filtered[i].to);
	}
}

/* A private /etc and /run with these two files (NULL: absent). */
static bool with_files(const char *own, const char *upstream)
{
	static const char up[] = "/run/systemd/resolve/resolv.conf";
	struct err err = ERR_INIT;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/etc", "tmpfs", 0, NULL) < 0 ||
	    mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0)
		return false;
	if (own && file_replace(AT_FDCWD, "/etc/resolv.conf", own, strlen(own), 0644, &err) < 0)
		return false;
	return !upstream ||
	       (path_mkdir_all(AT_FDCWD, "/run/systemd/resolve", 0755, &err) == 0 &&
		file_replace(AT_FDCWD, up, upstream, strlen(upstream), 0644, &err) == 0);
}

static const struct {
	const char *own, *upstream;
	bool whole;
	const char *expect;
} resolved[] = {
	{"nameserver 192.0.2.1\n", "nameserver 192.0.2.2\n", false, "nameserver 192.0.2.1\n"},
	{"nameserver 127.0.0.53\n", "nameserver 192.0.2.2\n", false, "nameserver 192.0.2.2\n"},
	{"nameserver 127.0.0.53\n", "nameserver 192.0.2.2\n", true, "nameserver 127.0.0.53\n"},
	{NULL, "nameserver 192.0.2.2\n", false, "nameserver 192.0.2.2\n"},
	{"nameserver 127.0.0.1\n", NULL, false,
	 "# The host names no name server that can be reached from here.\n"},
	{NULL, NULL, false, "# The host names no name server that can be reached from here.\n"},
	{NULL, NULL, true, ""},
};

TEST(a_workload_gets_name_servers_that_it_can_reach)
{
	for (size_t i = 0; i < sizeof(resolved) / sizeof(resolved[0]); i++) {
		AUTO_BUF struct buf text = BUF_INIT;
		struct err err = ERR_INIT;

		EXPECT(with_files(resolved[i].own, resolved[i].upstream));
		EXPECT_EQ(resolv_text(&text, resolved[i].whole, &err), 0);
		EXPECT_STR(text.data ? text.data : "", resolved[i].expect);
	}
}
