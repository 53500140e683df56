/* SPDX-License-Identifier: Apache-2.0 */
#include "lab.h"

#include <sys/mount.h>

#include "base/io.h"

TEST(a_subnet_is_read_and_written)
{
	struct err err = ERR_INIT;
	struct subnet s;
	char text[SUBNET_TEXT];

	EXPECT_EQ(subnet_parse("10.214.0.0/16", &s, &err), 0);
	EXPECT_EQ(s.base, 0x0ad60000);
	EXPECT_EQ(s.prefix, 16);
	subnet_format(&s, text);
	EXPECT_STR(text, "10.214.0.0/16");
	EXPECT_EQ(subnet_parse("255.255.255.248/29", &s, &err), 0);
	subnet_format(&s, text);
	EXPECT_STR(text, "255.255.255.248/29");
}

TEST(what_is_no_subnet_is_refused)
{
	static const char *const texts[] = {"",
					    "10.0.0.0",
					    "10.0.0.0/",
					    "10.0.0.0/7",
					    "10.0.0.0/30",
					    "10.0.0.0/16x",
					    "10.0.0.0/-8",
					    "10.0.0.1/16",
					    "10.0.0/16",
					    "/16",
					    "x/16",
					    "1000.1000.1000.1000.1000/16",
					    "fd00::/16"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct err err = ERR_INIT;
		struct subnet s = {.base = 7};
		EXPECT(subnet_parse(texts[i], &s, &err) < 0);
		EXPECT_EQ(s.base, 7);
	}
}

TEST(addresses_of_a_subnet_are_counted_without_net_gateway_and_broadcast)
{
	struct err err = ERR_INIT;
	struct subnet s;
	char text[ADDRESS_TEXT];

	EXPECT_EQ(subnet_parse("10.1.2.0/29", &s, &err), 0);
	EXPECT_EQ(subnet_size(&s), 5);
	address_format(subnet_gateway(&s), text);
	EXPECT_STR(text, "10.1.2.1");
	address_format(subnet_nth(&s, 0), text);
	EXPECT_STR(text, "10.1.2.2");
	address_format(subnet_nth(&s, 4), text);
	EXPECT_STR(text, "10.1.2.6");
	for (uint32_t i = 0; i < subnet_size(&s); i++)
		EXPECT_EQ(subnet_index(&s, subnet_nth(&s, i)), i);
	EXPECT_EQ(subnet_index(&s, s.base + 7), UINT32_MAX);
	EXPECT_EQ(subnet_index(&s, s.base + 1), UINT32_MAX);
	EXPECT_EQ(subnet_index(&s, s.base - 1), UINT32_MAX);
}

TEST(an_address_has_one_mac)
{
	struct err err = ERR_INIT;
	char mac[MAC_TEXT];
	uint32_t address;

	EXPECT_EQ(address_parse("10.214.0.2", &address, &err), 0);
	mac_format(address, mac);
	EXPECT_STR(mac, "02:68:0a:d6:00:02");
	EXPECT_EQ(address_parse("10.214.0.2/16", &address, &err), -EINVAL);
}

/* An interface on the host with that subnet. */
static bool occupy(const char *bridge, const char *subnet)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
	struct err err = ERR_INIT;
	struct link link;
	struct subnet s;

	return subnet_parse(subnet, &s, &err) == 0 && netlink_open(NETLINK_ROUTE, &nl, &err) == 0 &&
	       link_add_bridge(nl, bridge, mac, 0, &err) == 0 &&
	       link_get(nl, bridge, &link, &err) == 0 &&
	       address_add(nl, link.index, subnet_gateway(&s), s.prefix, &err) == 0 &&
	       link_up(nl, link.index, 0, 0, &err) == 0;
}

/* A private resolv.conf. */
static bool name_server(const char *text)
{
	struct err err = ERR_INIT;

	return unshare(CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("tmpfs", "/etc", "tmpfs", 0, NULL) == 0 &&
	       file_replace(AT_FDCWD, "/etc/resolv.conf", text, strlen(text), 0644, &err) == 0;
}

TEST(the_first_subnet_that_nobody_uses_is_chosen)
{
	struct err err = ERR_INIT;
	struct subnet s;
	char text[SUBNET_TEXT];

	EXPECT(lab_enter());
	EXPECT(name_server(""));
	EXPECT_EQ(network_choose_subnet(0, &s, &err), 0);
	subnet_format(&s, text);
	EXPECT_STR(text, "10.214.0.0/16");
	EXPECT(occupy("a", "10.214.7.0/24"));
	EXPECT(name_server("nameserver 10.215.0.53\n"));
	EXPECT_EQ(network_choose_subnet(0, &s, &err), 0);
	subnet_format(&s, text);
	EXPECT_STR(text, "10.216.0.0/16");
	EXPECT_EQ(network_choose_subnet(19, &s, &err), 0);
	subnet_format(&s, text);
	EXPECT_STR(text, "10.233.0.0/16");
	EXPECT(occupy("b", "10.233.0.0/16"));
	EXPECT_EQ(network_choose_subnet(39, &s, &err), 0);
	subnet_format(&s, text);
	EXPECT_STR(text, "10.216.0.0/16");
	EXPECT_EQ(network_choose_subnet(UINT32_MAX, &s, &err), 0);
}

TEST(a_host_that_uses_them_all_is_told)
{
	struct err err = ERR_INIT;
	struct subnet s;

	EXPECT(lab_enter());
	EXPECT(occupy("a", "10.0.0.0/8"));
	EXPECT_EQ(network_choose_subnet(3, &s, &err), -EADDRNOTAVAIL);
	EXPECT(strstr(err.msg, "10.214.0.0/16 to 10.233.0.0/16 are all in use"));
}
