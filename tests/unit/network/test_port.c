/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>

#include "base/err.h"
#include "network/network.h"
#include "proto/control.h"

static void list_done(struct list *list)
{
	struct keeper_port *ports = list->items;

	for (size_t i = 0; i < list->n; i++)
		record_done(&keeper_port_record, &ports[i]);
	free(list->items);
	*list = (struct list){0};
}

#define AUTO_PORTS AUTO(list_done)

/* One -p and what it becomes: the first port and the last, as port_format() writes them. */
static const struct {
	const char *text;
	size_t n;
	const char *first, *last;
} good[] = {
	{"80", 1, "0.0.0.0:0->80/tcp", NULL},
	{"80/udp", 1, "0.0.0.0:0->80/udp", NULL},
	{"8080:80", 1, "0.0.0.0:8080->80/tcp", NULL},
	{"8080:80/tcp", 1, "0.0.0.0:8080->80/tcp", NULL},
	{":80", 1, "0.0.0.0:0->80/tcp", NULL},
	{"::80", 1, "0.0.0.0:0->80/tcp", NULL},
	{"127.0.0.1:8080:80", 1, "127.0.0.1:8080->80/tcp", NULL},
	{"127.0.0.1::80", 1, "127.0.0.1:0->80/tcp", NULL},
	{"0.0.0.0:1:65535", 1, "0.0.0.0:1->65535/tcp", NULL},
	{"[::1]:8080:80/udp", 1, "[::1]:8080->80/udp", NULL},
	{"[::]::80", 1, "[::]:0->80/tcp", NULL},
	{"8000-8002:80-82", 3, "0.0.0.0:8000->80/tcp", "0.0.0.0:8002->82/tcp"},
	{"127.0.0.1:8000-8001:80-81/udp", 2, "127.0.0.1:8000->80/udp", "127.0.0.1:8001->81/udp"},
	{"80-82", 3, "0.0.0.0:0->80/tcp", "0.0.0.0:0->82/tcp"},
	{"80-80", 1, "0.0.0.0:0->80/tcp", NULL},
	{"1-1024:1-1024", 1024, "0.0.0.0:1->1/tcp", "0.0.0.0:1024->1024/tcp"},
};

TEST(every_form_of_a_published_port_is_read)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		AUTO_PORTS struct list list = {0};
		struct err err = ERR_INIT;
		char text[PORT_TEXT];

		EXPECT_EQ(port_parse(good[i].text, &list, &err), 0);
		const struct keeper_port *ports = list.items;
		EXPECT_EQ(list.n, good[i].n);
		port_format(&ports[0], text);
		EXPECT_STR(text, good[i].first);
		port_format(&ports[list.n - 1], text);
		EXPECT_STR(text, good[i].last ? good[i].last : good[i].first);
	}
}

static const struct {
	const char *text, *why;
} bad[] = {
	{"", "ports are numbers"},
	{"http", "ports are numbers"},
	{"80/", "tcp or udp"},
	{"80/sctp", "tcp or udp"},
	{"80/tcp/udp", "tcp or udp"},
	{"0", "from 1 to 65535"},
	{"0:80", "from 1 to 65535"},
	{"65536", "from 1 to 65535"},
	{"99999:80", "from 1 to 65535"},
	{"123456:80", "ports are numbers"},
	{"-1:80", "ports are numbers"},
	{"+80", "ports are numbers"},
	{" 80", "ports are numbers"},
	{"80 ", "ports are numbers"},
	{"8080:", "ports are numbers"},
	{"8080:80:", "not an IPv4 address"},
	{"localhost:8080:80", "not an IPv4 address"},
	{"127.1:8080:80", "not an IPv4 address"},
	{"::1:8080:80", "ports are numbers"},
	{"[::1:8080:80", "]:"},
	{"[::1]8080:80", "]:"},
	{"[::1]:80", "the workload's port is missing"},
	{"[127.0.0.1]:80:80", "not an IPv6 address"},
	{"80-", "ports are numbers"},
	{"80-81-82", "ports are numbers"},
	{"90-80", "ends before"},
	{"8000-8001:80", "same length"},
	{"8000:80-81", "same length"},
	{"1-1025", "at most 1024"},
	{"0-5", "from 1 to 65535"},
	{"65535-65536", "from 1 to 65535"},
};

TEST(what_is_no_port_is_refused_with_the_reason_and_leaves_the_list)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		AUTO_PORTS struct list list = {0};
		struct err err = ERR_INIT;

		EXPECT_EQ(port_parse("1:1", &list, &err), 0);
		EXPECT(port_parse(bad[i].text, &list, &err) < 0);
		if (!strstr(err.msg, bad[i].why))
			FAIL("'%s' gives \"%s\", without \"%s\"", bad[i].text, err.msg, bad[i].why);
		EXPECT_EQ(list.n, 1);
	}
}

TEST(a_port_of_any_length_is_refused)
{
	AUTO_PORTS struct list list = {0};
	char text[4096];
	struct err err = ERR_INIT;

	memset(text, '1', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	EXPECT(port_parse(text, &list, &err) < 0);
	EXPECT(strlen(err.msg) < 200);
}

TEST(the_firewall_has_to_do_with_ports_that_others_can_reach)
{
	static const struct {
		const char *ip;
		bool forwarded;
		uint32_t address;
	} cases[] = {
		{NULL, true, 0},         {"0.0.0.0", true, 0},    {"192.0.2.1", true, 0xc0000201},
		{"127.0.0.1", false, 0}, {"127.9.9.9", false, 0}, {"::1", false, 0},
		{"::", false, 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char ip[40] = "";
		uint32_t address = 0;
		struct keeper_port port = {.port = 80};

		if (cases[i].ip) {
			(void)snprintf(ip, sizeof(ip), "%s", cases[i].ip);
			port.host_ip = ip;
		}
		EXPECT_EQ(port_address(&port, &address), cases[i].forwarded);
		EXPECT_EQ(address, cases[i].address);
	}
}
