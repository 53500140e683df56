/* SPDX-License-Identifier: Apache-2.0 */
#include "lab.h"

#include <signal.h>

static const char id_a[] = "aaaaaaaaaaaa1111111111111111111111111111111111111111111111111111";
static const char id_b[] = "bbbbbbbbbbbb2222222222222222222222222222222222222222222222222222";

static struct network net0(void)
{
	return (struct network){.bridge = "hull0", .subnet = {.base = 0x0ad60000, .prefix = 16}};
}

static uint32_t nth(uint32_t n)
{
	struct network net = net0();

	return subnet_nth(&net.subnet, n);
}

/* 0 or 1: whether the interface is there. */
static int has_link(const char *name)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	struct err err = ERR_INIT;
	struct link link;

	return netlink_open(NETLINK_ROUTE, &nl, &err) == 0 && link_get(nl, name, &link, &err) == 0;
}

TEST(a_workload_reaches_another_and_the_host_by_address)
{
	struct err err = ERR_INIT;
	struct network net = net0();
	struct network_report report;

	EXPECT(lab_enter());
	AUTO_CLOSE int a = lab_netns();
	AUTO_CLOSE int b = lab_netns();
	EXPECT_EQ(network_ensure(&net, &report, &err), 0);
	EXPECT(report.created);
	EXPECT(report.forwarding_enabled);
	EXPECT_STR(report.notice, "");
	EXPECT_EQ(network_attach_container(&net, id_a, a, nth(0), &err), 0);
	EXPECT_EQ(network_attach_container(&net, id_b, b, nth(1), &err), 0);

	struct lab_peer peer = {.address = nth(1), .port = 80};
	pid_t server = lab_server(b, &peer);
	int from_a = lab_in(a, lab_ask, &peer);
	int from_host = lab_in(-1, lab_ask, &peer);
	lab_stop(server);
	EXPECT_EQ(from_a, 0);
	EXPECT_EQ(from_host, 0);
}

TEST(what_is_there_is_not_made_again)
{
	struct err err = ERR_INIT;
	struct network net = net0();
	struct network_report report;

	EXPECT(lab_enter());
	EXPECT_EQ(network_ensure(&net, &report, &err), 0);
	EXPECT_EQ(network_ensure(&net, &report, &err), 0);
	EXPECT(!report.created);
	EXPECT(!report.forwarding_enabled);
	EXPECT_EQ(report.mtu, 1500);
}

TEST(detaching_leaves_no_link)
{
	struct err err = ERR_INIT;
	struct network net = net0();
	struct network_report report;

	EXPECT(lab_enter());
	AUTO_CLOSE int a = lab_netns();
	EXPECT_EQ(network_ensure(&net, &report, &err), 0);
	EXPECT_EQ(network_attach_container(&net, id_a, a, nth(0), &err), 0);
	EXPECT_EQ(network_attach_machine(&net, id_b, &err), 0);
	EXPECT(has_link("hlaaaaaaaaaaaa"));
	EXPECT(has_link("hlbbbbbbbbbbbb"));
	EXPECT_EQ(network_remove(&net, &err), -EBUSY);
	err = ERR_INIT;
	EXPECT_EQ(network_detach(&net, id_a, &err), 0);
	EXPECT_EQ(network_detach(&net, id_b, &err), 0);
	EXPECT_EQ(network_detach(&net, id_b, &err), 0);
	EXPECT(!has_link("hlaaaaaaaaaaaa"));
	EXPECT(!has_link("hlbbbbbbbbbbbb"));
	EXPECT_EQ(network_remove(&net, &err), 0);
	EXPECT(!has_link("hull0"));
	EXPECT_EQ(network_remove(&net, &err), 0);
}
