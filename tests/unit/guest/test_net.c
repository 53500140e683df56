/* SPDX-License-Identifier: Apache-2.0 */
/* In a network namespace of its own, with a veth pair for the machine's interface. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/proc.h"
#include "guest/net.h"
#include "proto/plan.h"

#define MAC "02:00:00:00:be:ef"

/* A fresh namespace whose /sys shows it; false where that is not allowed. */
static bool enter(void)
{
	struct err err = ERR_INIT;
	static const char *const pair[] = {"ip",   "link", "add",  "wire0", "address", MAC,
					   "type", "veth", "peer", "name",  "wire1",   NULL};
	static const char *const up[] = {"ip", "link", "set", "wire1", "up", NULL};

	return unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("sysfs", "/sys", "sysfs", 0, NULL) == 0 &&
	       proc_run(pair, NULL, NULL, &err) == 0 && proc_run(up, NULL, NULL, &err) == 0;
}

static bool shows(const char *object, const char *want)
{
	AUTO_BUF struct buf out = BUF_INIT;
	struct err err = ERR_INIT;
	const char *argv[] = {"ip", "-4", object, "show", NULL};

	if (proc_run(argv, NULL, &out, &err) < 0)
		return false;
	bool found = out.len > 0 && strstr(out.data, want);
	if (!found)
		printf("# no '%s' in: %s\n", want, out.len ? out.data : "");
	return found;
}

static struct plan_net net_of(char *address, char *gateway, char *mac)
{
	return (struct plan_net){.kind = NET_BRIDGE,
				 .address = address,
				 .gateway = gateway,
				 .mac = mac,
				 .mtu = 1400};
}

static char address[] = "10.99.0.7/20", gateway[] = "10.99.0.1", mac[] = MAC;

TEST(the_interface_gets_its_name_address_and_route)
{
	struct plan_net net = net_of(address, gateway, mac);
	struct err err = ERR_INIT;

	if (!enter()) {
		printf("# skipped: no network namespace of its own\n");
		return;
	}
	EXPECT_EQ(net_setup(&net, &err), 0);
	EXPECT(shows("address", "inet 127.0.0.1/8 scope host lo"));
	EXPECT(shows("address", "inet 10.99.0.7/20 brd 10.99.15.255 scope global eth0"));
	EXPECT(shows("address", "mtu 1400"));
	EXPECT(shows("route", "default via 10.99.0.1 dev eth0"));
	EXPECT(shows("route", "10.99.0.0/20 dev eth0"));
	/* a machine set up again is as before */
	EXPECT_EQ(net_setup(&net, &err), 0);
}

TEST(without_an_address_only_loopback_comes_up)
{
	struct plan_net none = {0};
	struct err err = ERR_INIT;

	if (!enter())
		return;
	EXPECT_EQ(net_setup(&none, &err), 0);
	EXPECT(shows("address", "inet 127.0.0.1/8"));
	EXPECT(shows("link", "wire0@wire1"));
}

TEST(what_is_no_address_is_refused_by_name)
{
	static char bad[][24] = {"10.99.0.7/33", "10.99.0/16", "x",
				 "10.99.0.7/",   "::1/64",     "255.255.255.2555/8"};

	if (!enter())
		return;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct plan_net net = net_of(bad[i], gateway, mac);
		struct err err = ERR_INIT;
		EXPECT(net_setup(&net, &err) < 0);
		EXPECT(strncmp(err.msg, "network: ", 9) == 0);
	}
}

TEST(a_gateway_that_cannot_be_reached_says_so)
{
	static char far[] = "192.0.2.1";
	struct plan_net net = net_of(address, far, mac);
	struct err err = ERR_INIT;

	if (!enter())
		return;
	EXPECT_EQ(net_setup(&net, &err), -ENETUNREACH);
	EXPECT_STR(err.msg, "network: set the default route: Network is unreachable");
}

TEST(a_further_interface_gets_its_own_name_and_no_route)
{
	struct plan_net net = net_of(address, NULL, mac);
	struct err err = ERR_INIT;

	if (!enter()) {
		printf("# skipped: no network namespace of its own\n");
		return;
	}
	EXPECT_EQ(net_add("eth1", &net, &err), 0);
	EXPECT(shows("address", "inet 10.99.0.7/20 brd 10.99.15.255 scope global eth1"));
	EXPECT(shows("route", "10.99.0.0/20 dev eth1"));
	EXPECT(!shows("route", "default"));
}
