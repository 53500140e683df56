/* SPDX-License-Identifier: Apache-2.0 */
#include "rate.h"

#include <signal.h>

#include "base/buf.h"
#include "base/proc.h"
#include "proto/control.h"

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
	EXPECT_EQ(network_attach_machine(&net, id_b, false, &err), 0);
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

TEST(a_workload_reaches_the_outside_which_knows_no_way_back)
{
	AUTO_WORLD struct world w;
	struct lab_peer peer = {.address = OUTSIDE, .port = 80};

	EXPECT(world_open(&w));
	pid_t server = lab_server(w.outside, &peer);
	int tcp = lab_in(w.a, lab_ask, &peer);
	lab_stop(server);
	peer.udp = true;
	server = lab_server(w.outside, &peer);
	int udp = lab_in(w.a, lab_ask, &peer);
	lab_stop(server);
	EXPECT_EQ(tcp, 0);
	EXPECT_EQ(udp, 0);
}

TEST(what_is_not_published_cannot_be_reached_from_outside)
{
	AUTO_WORLD struct world w;
	struct lab_peer peer = {.address = nth(0), .port = 80};

	EXPECT(world_open(&w));
	pid_t server = lab_server(w.a, &peer);
	int from_outside = lab_in(w.outside, ask_through_host, &peer);
	int from_host = lab_in(-1, lab_ask, &peer);
	lab_stop(server);
	EXPECT_EQ(from_outside, 1);
	EXPECT_EQ(from_host, 0);
}

/* Asks 192.0.2.1:8080 from outside, from the host itself and from the workload itself. */
static void ask_all(const struct world *w, bool udp, int answers[3])
{
	struct lab_peer in = {.address = nth(0), .port = 80, .udp = udp};
	struct lab_peer peer = {.address = OUTSIDE_HOST, .port = 8080, .udp = udp};

	pid_t server = lab_server(w->a, &in);
	answers[0] = lab_in(w->outside, lab_ask, &peer);
	answers[1] = lab_in(-1, lab_ask, &peer);
	answers[2] = lab_in(w->a, lab_ask, &peer);
	lab_stop(server);
}

TEST(a_published_port_is_reached_from_outside_and_from_the_host)
{
	AUTO_WORLD struct world w;
	struct err err = ERR_INIT;
	char ip[] = "192.0.2.1";
	int answers[3];

	EXPECT(world_open(&w));
	for (int i = 0; i < 4; i++) { /* both protocols, all addresses or that one */
		struct keeper_port port = {.host_ip = i & 1 ? ip : NULL,
					   .host_port = 8080,
					   .port = 80,
					   .udp = i & 2};
		EXPECT_EQ(network_publish(&w.net, id_a, &port, 1, nth(0), &err), 0);
		ask_all(&w, port.udp, answers);
		EXPECT_EQ(answers[0], 0);
		EXPECT_EQ(answers[1], 0);
	}
}

TEST(a_workload_reaches_its_own_published_port_over_the_host)
{
	for (int udp = 0; udp < 2; udp++) {
		AUTO_WORLD struct world w;
		struct err err = ERR_INIT;
		struct keeper_port port = {.host_port = 8080, .port = 80, .udp = udp};
		AUTO(auto_ports_free) struct ports *set = NULL;
		int answers[3];

		EXPECT(world_open(&w));
		EXPECT_EQ(ports_bind(&port, 1, &set, &err), 0);
		EXPECT_EQ(network_publish(&w.net, id_a, &port, 1, nth(0), &err), 0);
		pid_t k = lab_keeper(set, nth(0));
		ask_all(&w, udp, answers);
		lab_stop(k);
		for (int i = 0; i < 3; i++)
			EXPECT_EQ(answers[i], 0);
	}
}

TEST(a_port_published_on_one_address_is_not_there_on_another)
{
	AUTO_WORLD struct world w;
	struct err err = ERR_INIT;
	char ip[] = "192.0.2.99";
	struct keeper_port port = {.host_ip = ip, .host_port = 8080, .port = 80};
	int answers[3];

	EXPECT(world_open(&w));
	EXPECT_EQ(network_publish(&w.net, id_a, &port, 1, nth(0), &err), 0);
	ask_all(&w, false, answers);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(answers[i], 1);
}

TEST(a_withdrawn_port_is_not_reached)
{
	AUTO_WORLD struct world w;
	struct err err = ERR_INIT;
	struct keeper_port port = {.host_port = 8080, .port = 80};
	int answers[3];

	EXPECT(world_open(&w));
	EXPECT_EQ(network_publish(&w.net, id_a, &port, 1, nth(0), &err), 0);
	EXPECT_EQ(network_detach(&w.net, id_a, &err), 0);
	ask_all(&w, false, answers);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(answers[i], 1);
}

/* What the table of the network holds, as nft tells it. */
static int elements(const char *bridge)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct err err = ERR_INIT;
	char table[64];
	int n = 0;

	(void)snprintf(table, sizeof(table), "hull_%s", bridge);
	const char *const argv[] = {"nft", "list", "table", "inet", table, NULL};
	if (proc_run(argv, NULL, &text, &err) < 0)
		return -1;
	for (const char *p = text.data; (p = strstr(p, " comment \"")) != NULL; p++)
		n++;
	return n;
}

TEST(the_ports_of_a_workload_are_there_once_and_go_together)
{
	struct err err = ERR_INIT;
	struct network net = net0();
	struct network_report report;
	enum { MANY = 1000 };
	static struct keeper_port ports[MANY];
	struct keeper_port other = {.host_port = 80, .port = 80};

	EXPECT(lab_enter());
	EXPECT_EQ(network_ensure(&net, &report, &err), 0);
	EXPECT_EQ(network_attach_machine(&net, id_c, false, &err), 0); /* keeps the network */
	for (uint32_t i = 0; i < MANY; i++)
		ports[i] = (struct keeper_port){.host_port = 1000 + i, .port = 2000 + i};
	EXPECT_EQ(network_publish(&net, id_a, ports, MANY, nth(0), &err), 0);
	EXPECT_EQ(network_publish(&net, id_b, &other, 1, nth(1), &err), 0);
	EXPECT_EQ(network_publish(&net, id_a, ports, MANY, nth(5), &err), 0);
	EXPECT_EQ(elements("hull0"), MANY + 1);
	EXPECT_EQ(network_detach(&net, id_a, &err), 0);
	EXPECT_EQ(elements("hull0"), 1);
	EXPECT_EQ(network_detach(&net, id_b, &err), 0);
	EXPECT_EQ(elements("hull0"), 0);
}

TEST(a_port_left_by_a_dead_workload_is_taken_over)
{
	AUTO_WORLD struct world w;
	struct err err = ERR_INIT;
	struct keeper_port port = {.host_port = 8080, .port = 80};
	int answers[3];

	EXPECT(world_open(&w));
	EXPECT_EQ(network_publish(&w.net, id_b, &port, 1, nth(7), &err), 0);
	EXPECT_EQ(network_publish(&w.net, id_a, &port, 1, nth(0), &err), 0);
	EXPECT_EQ(elements("hull0"), 1);
	ask_all(&w, false, answers);
	EXPECT_EQ(answers[0], 0);
}

TEST(whatever_is_left_of_a_workload_is_listed_and_removed)
{
	struct err err = ERR_INIT;
	struct network net = net0();
	struct network_report report;
	struct keeper_port port = {.host_port = 8080, .port = 80};
	AUTO_STRV struct strv ids = {0};
	AUTO_STRV struct strv none = {0};

	EXPECT(lab_enter());
	EXPECT_EQ(network_list(&net, &none, &err), 0);
	EXPECT_EQ(network_ensure(&net, &report, &err), 0);
	EXPECT_EQ(network_list(&net, &none, &err), 0);
	EXPECT_EQ(none.n, 0);
	EXPECT_EQ(network_attach_machine(&net, id_a, false, &err), 0); /* a link and a port */
	EXPECT_EQ(network_publish(&net, id_a, &port, 1, nth(0), &err), 0);
	port.host_port = 81;
	EXPECT_EQ(network_publish(&net, id_b, &port, 1, nth(1), &err), 0); /* only a port */
	EXPECT_EQ(network_list(&net, &ids, &err), 0);
	EXPECT_EQ(ids.n, 2);
	EXPECT_STR(ids.v[0], "aaaaaaaaaaaa");
	EXPECT_STR(ids.v[1], "bbbbbbbbbbbb");
	for (size_t i = 0; i < ids.n; i++) /* the head of an id will do */
		EXPECT_EQ(network_detach(&net, ids.v[i], &err), 0);
	EXPECT_EQ(network_list(&net, &none, &err), 0);
	EXPECT_EQ(none.n, 0);
}

TEST(further_interfaces_are_reached_and_go_alone_or_with_the_workload)
{
	struct err err = ERR_INIT;
	struct network net = net0();
	AUTO_STRV struct strv ids = {0};

	EXPECT(lab_enter());
	AUTO_CLOSE int a = lab_netns();
	AUTO_CLOSE int b = lab_netns();
	EXPECT_EQ(network_attach_container(&net, id_a, a, nth(0), &err), 0);
	EXPECT_EQ(network_attach_container(&net, id_b, b, nth(1), &err), 0);
	EXPECT_EQ(network_add_container(&net, id_a, 1, a, nth(2), &err), 0);
	EXPECT_EQ(network_add_machine(&net, id_a, 2, &err), 0);
	EXPECT(has_link("hlaaaaaaaaaaaa1"));
	EXPECT(has_link("hlaaaaaaaaaaaa2"));
	EXPECT_EQ(network_list(&net, &ids, &err), 0);
	EXPECT_EQ(ids.n, 2); /* one workload, however many interfaces it has */

	struct lab_peer peer = {.address = nth(2), .port = 80};
	pid_t server = lab_server(a, &peer);
	int from_b = lab_in(b, lab_ask, &peer);
	lab_stop(server);
	EXPECT_EQ(from_b, 0);

	EXPECT_EQ(network_take(id_a, 1, &err), 0);
	EXPECT_EQ(network_take(id_a, 1, &err), 0);
	EXPECT(!has_link("hlaaaaaaaaaaaa1"));
	EXPECT(has_link("hlaaaaaaaaaaaa"));
	EXPECT_EQ(network_add_container(&net, id_a, 1, a, nth(2), &err), 0);
	EXPECT_EQ(network_detach(&net, id_a, &err), 0);
	EXPECT(!has_link("hlaaaaaaaaaaaa"));
	EXPECT(!has_link("hlaaaaaaaaaaaa1"));
	EXPECT(!has_link("hlaaaaaaaaaaaa2"));
	EXPECT(has_link("hlbbbbbbbbbbbb"));
}

TEST(each_way_of_an_interface_is_limited_where_it_begins_and_freed)
{
	AUTO_WORLD struct world w;
	struct err err = ERR_INIT;
	struct lab_peer peer = {.address = nth(0), .port = 80};

	EXPECT(world_open(&w));
	EXPECT_EQ(network_limit(id_a, 0, w.a, &(struct network_rates){500000, 2000}, &err), 0);
	EXPECT_EQ(lab_rate(-1, "hlaaaaaaaaaaaa"), 500000);
	EXPECT_EQ(lab_rate(w.a, "eth0"), 2000);
	pid_t server = lab_server(w.a, &peer); /* what is less than the limit passes */
	int from_host = lab_in(-1, lab_ask, &peer);
	lab_stop(server);
	EXPECT_EQ(from_host, 0);

	EXPECT_EQ(network_limit(id_a, 0, w.a, &(struct network_rates){7000, 0}, &err), 0);
	EXPECT_EQ(lab_rate(-1, "hlaaaaaaaaaaaa"), 7000);
	EXPECT_EQ(lab_rate(w.a, "eth0"), 0);
	for (int i = 0; i < 2; i++) /* what has none is free too */
		EXPECT_EQ(network_limit(id_a, 0, w.a, &(struct network_rates){0}, &err), 0);
	EXPECT_EQ(lab_rate(-1, "hlaaaaaaaaaaaa"), 0);
	EXPECT_EQ(lab_rate(w.a, "eth0"), 0);
}

TEST(a_machines_tap_is_limited_and_freed)
{
	struct err err = ERR_INIT;
	struct network net = net0();

	EXPECT(lab_enter());
	EXPECT_EQ(network_attach_machine(&net, id_b, false, &err), 0);
	EXPECT_EQ(network_limit(id_b, 0, -1, &(struct network_rates){500000, 0}, &err), 0);
	EXPECT_EQ(lab_rate(-1, "hlbbbbbbbbbbbb"), 500000);
	EXPECT_EQ(network_limit(id_b, 0, -1, &(struct network_rates){0, 1}, &err), -ENOTSUP);
	EXPECT_EQ(lab_rate(-1, "hlbbbbbbbbbbbb"), 500000);
	err = ERR_INIT;
	EXPECT_EQ(network_limit(id_b, 0, -1, &(struct network_rates){0}, &err), 0);
	EXPECT_EQ(lab_rate(-1, "hlbbbbbbbbbbbb"), 0);
	EXPECT_EQ(network_limit(id_b, 0, -1, &(struct network_rates){0}, &err), 0);
}

TEST(an_interface_that_is_gone_cannot_be_limited)
{
	AUTO_WORLD struct world w;
	struct err err = ERR_INIT;

	EXPECT(world_open(&w));
	EXPECT_EQ(network_limit(id_b, 0, -1, &(struct network_rates){1000, 0}, &err), -ENODEV);
	EXPECT_STR(err.msg, "limit network: interface 'hlbbbbbbbbbbbb' is gone");
	err = ERR_INIT;
	EXPECT_EQ(network_limit(id_a, 1, w.a, &(struct network_rates){1000, 0}, &err), -ENODEV);
}

TEST(a_workload_is_attached_again_over_what_its_earlier_life_left)
{
	struct err err = ERR_INIT;
	struct network net = net0();
	struct network_report report;

	EXPECT(lab_enter());
	AUTO_CLOSE int old = lab_netns();
	AUTO_CLOSE int new = lab_netns();
	EXPECT_EQ(network_ensure(&net, &report, &err), 0);
	EXPECT_EQ(network_attach_container(&net, id_a, old, nth(0), &err), 0);
	EXPECT_EQ(network_attach_container(&net, id_a, new, nth(0), &err), 0);
	struct lab_peer peer = {.address = nth(0), .port = 80};
	pid_t server = lab_server(new, &peer);
	int answer = lab_in(-1, lab_ask, &peer);
	lab_stop(server);
	EXPECT_EQ(answer, 0);
	EXPECT_EQ(network_attach_machine(&net, id_a, false, &err), 0);
	EXPECT_EQ(network_attach_machine(&net, id_a, false, &err), 0);
}

TEST(a_failed_attach_leaves_nothing)
{
	struct err err = ERR_INIT;
	struct network net = net0();
	AUTO_STRV struct strv ids = {0};

	EXPECT(lab_enter());
	AUTO_CLOSE int ns = lab_netns();
	AUTO_CLOSE int not_ns = open("/dev/null", O_RDONLY | O_CLOEXEC);
	EXPECT(network_attach_container(&net, id_a, not_ns, nth(0), &err) < 0);
	EXPECT(!has_link("hull0"));
	err = ERR_INIT;
	EXPECT_EQ(network_attach_container(&net, id_a, ns, nth(0), &err), 0);
	EXPECT(network_attach_container(&net, id_b, ns, nth(1), &err) < 0); /* has an eth0 */
	err = ERR_INIT;
	EXPECT_EQ(network_list(&net, &ids, &err), 0);
	EXPECT_EQ(ids.n, 1);
	EXPECT_STR(ids.v[0], "aaaaaaaaaaaa");
}

TEST(the_network_goes_with_its_last_workload)
{
	struct err err = ERR_INIT;
	struct network net = net0();
	struct keeper_port port = {.host_port = 8080, .port = 80};

	EXPECT(lab_enter());
	AUTO_CLOSE int a = lab_netns();
	EXPECT_EQ(network_attach_container(&net, id_a, a, nth(0), &err), 0);
	EXPECT_EQ(network_publish(&net, id_a, &port, 1, nth(0), &err), 0);
	EXPECT_EQ(network_attach_machine(&net, id_b, false, &err), 0);
	EXPECT_EQ(network_detach(&net, id_b, &err), 0);
	EXPECT_EQ(elements("hull0"), 1);
	EXPECT_EQ(network_detach(&net, id_a, &err), 0);
	EXPECT(!has_link("hull0"));
	EXPECT_EQ(elements("hull0"), -1);
}

/* Milliseconds until the interface is gone, at most 2,000. */
static int gone_after(const char *name)
{
	uint64_t start = clock_ms();

	while (has_link(name) && clock_ms() - start < 2000)
		(void)usleep(1000);
	return (int)(clock_ms() - start);
}

TEST(a_workload_detached_soon_is_silent_at_once_and_gone_in_a_moment)
{
	AUTO_WORLD struct world w;
	struct err err = ERR_INIT;
	struct keeper_port port = {.host_port = 8080, .port = 80};
	struct lab_peer peer = {.address = nth(0), .port = 80};
	struct lab_peer published = {.address = OUTSIDE_HOST, .port = 8080};

	EXPECT(world_open(&w));
	EXPECT_EQ(network_publish(&w.net, id_a, &port, 1, nth(0), &err), 0);
	pid_t server = lab_server(w.a, &peer);
	EXPECT_EQ(lab_in(-1, lab_ask, &peer), 0);
	EXPECT_EQ(network_detach_soon(&w.net, id_a, &err), 0);
	EXPECT_EQ(elements("hull0"), 0);
	int direct = lab_in(-1, lab_ask, &peer);
	int outside_in = lab_in(w.outside, lab_ask, &published);
	lab_stop(server);
	EXPECT_EQ(direct, 1);
	EXPECT_EQ(outside_in, 1);
	EXPECT(gone_after("hlaaaaaaaaaaaa") < 1000);
	EXPECT(gone_after("hull0") < 2000);
	EXPECT_EQ(elements("hull0"), -1);
	EXPECT_EQ(network_detach_soon(&w.net, id_a, &err), 0);
}

static int index_of(const char *name)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	struct err err = ERR_INIT;
	struct link link = {0};

	if (netlink_open(NETLINK_ROUTE, &nl, &err) < 0 || link_get(nl, name, &link, &err) != 0)
		return -1;
	return link.index;
}

/* That the bridge stays is a matter of a quarter of a second, which a busy host may let pass: once
 * is proof. That every life is served is not. */
TEST(a_workload_that_follows_finds_the_network_of_the_one_before)
{
	struct err err = ERR_INIT;
	struct network net = net0();
	struct lab_peer peer = {.address = nth(0), .port = 80};
	int before = 0;
	int kept = 0;

	EXPECT(lab_enter());
	AUTO_CLOSE int next = lab_netns();
	for (int i = 0; i < 8; i++) { /* the same workload, started again at once */
		AUTO_CLOSE int ns = TAKE_FD(next);
		EXPECT_EQ(network_attach_container(&net, id_a, ns, nth(0), &err), 0);
		kept += index_of("hull0") == before;
		before = index_of("hull0");
		pid_t server = lab_server(ns, &peer);
		int answer = lab_in(-1, lab_ask, &peer);
		lab_stop(server);
		EXPECT_EQ(answer, 0);
		next = lab_netns(); /* slow to make, so not between one life and the next */
		EXPECT_EQ(network_detach_soon(&net, id_a, &err), 0);
	}
	EXPECT(kept > 0);
	EXPECT(gone_after("hull0") < 2000);
}

TEST(a_network_is_made_again_with_another_subnet_when_nobody_is_on_it)
{
	struct err err = ERR_INIT;
	struct network old = net0();
	struct network new = {.bridge = "hull0", .subnet = {.base = 0x0ad70000, .prefix = 16}};
	struct network_report report;
	struct lab_peer peer = {.address = OUTSIDE, .port = 80};

	EXPECT(lab_enter());
	AUTO_CLOSE int out = outside("up0");
	AUTO_CLOSE int a = lab_netns();
	EXPECT_EQ(network_attach_machine(&old, id_b, false, &err), 0);
	EXPECT_EQ(network_ensure(&new, &report, &err), -EADDRINUSE);
	EXPECT_STR(err.msg, "network: bridge 'hull0' is in use with another subnet");
	err = ERR_INIT;
	EXPECT_EQ(network_detach(&old, id_b, &err), 0);
	EXPECT_EQ(network_ensure(&old, &report, &err), 0);
	EXPECT_EQ(network_ensure(&new, &report, &err), 0);
	EXPECT(report.created);
	EXPECT_EQ(network_attach_container(&new, id_a, a, subnet_nth(&new.subnet, 0), &err), 0);
	pid_t server = lab_server(out, &peer);
	int answer = lab_in(a, lab_ask, &peer);
	lab_stop(server);
	EXPECT_EQ(answer, 0); /* so the table too is of the new one */
}

/* Whether the gateway answers: by refusing, since nobody listens there. */
static int ask_gateway(const void *arg)
{
	const struct lab_peer *to = arg;

	return lab_ask(to) == 1 && errno == ECONNREFUSED ? 0 : 1;
}

/* Attaches and detaches one workload again and again; 0 when its network worked each time. */
static int come_and_go(const void *arg)
{
	const struct network net = net0();
	struct lab_peer gateway = {.address = subnet_gateway(&net.subnet), .port = 9};
	const char *id = arg;

	for (int i = 0; i < 12; i++) {
		struct err err = ERR_INIT;
		AUTO_CLOSE int ns = lab_netns();
		if (network_attach_container(&net, id, ns, nth(id == id_a ? 0 : 1), &err) < 0) {
			printf("# %s\n", err.msg);
			(void)fflush(stdout);
			return 1;
		}
		if (lab_in(ns, ask_gateway, &gateway) != 0)
			return 2;
		if (network_detach(&net, id, &err) < 0)
			return 3;
	}
	return 0;
}

static int come_and_go_in_the_background(const void *arg)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(come_and_go(id_b));
	int own = come_and_go(arg);
	int status = 0;
	(void)waitpid(pid, &status, 0);
	return own != 0 ? own : WIFEXITED(status) ? 10 * WEXITSTATUS(status) : 100;
}

TEST(workloads_come_while_the_network_goes_with_others)
{
	EXPECT(lab_enter());
	EXPECT_EQ(lab_in(-1, come_and_go_in_the_background, id_a), 0);
	EXPECT(!has_link("hull0"));
}

TEST(half_a_bridge_is_finished_by_the_next)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	struct err err = ERR_INIT;
	struct network net = net0();
	struct network_report report;

	EXPECT(lab_enter());
	AUTO_CLOSE int a = lab_netns();
	EXPECT_EQ(netlink_open(NETLINK_ROUTE, &nl, &err), 0);
	EXPECT_EQ(link_add_bridge(nl, "hull0", mac, 0, &err), 0);
	EXPECT_EQ(network_ensure(&net, &report, &err), 0);
	EXPECT_EQ(network_attach_container(&net, id_a, a, nth(0), &err), 0);
	struct lab_peer peer = {.address = subnet_gateway(&net.subnet), .port = 80};
	pid_t server = lab_server(-1, &peer);
	int answer = lab_in(a, lab_ask, &peer);
	lab_stop(server);
	EXPECT_EQ(answer, 0);
}

TEST(a_lost_table_is_made_again)
{
	AUTO_WORLD struct world w;
	struct err err = ERR_INIT;
	struct network_report report;
	static const char *const flush[] = {"nft", "flush", "ruleset", NULL};
	struct lab_peer peer = {.address = OUTSIDE, .port = 80};

	EXPECT(world_open(&w));
	EXPECT_EQ(proc_run(flush, NULL, NULL, &err), 0);
	EXPECT_EQ(elements("hull0"), -1);
	EXPECT_EQ(network_ensure(&w.net, &report, &err), 0);
	EXPECT_EQ(elements("hull0"), 0);
	pid_t server = lab_server(w.outside, &peer);
	int answer = lab_in(w.a, lab_ask, &peer);
	lab_stop(server);
	EXPECT_EQ(answer, 0);
}

TEST(a_subnet_of_somebody_else_is_refused_by_name)
{
	struct err err = ERR_INIT;
	struct network net = {.bridge = "hull0"};
	struct network_report report;

	EXPECT(lab_enter());
	AUTO_CLOSE int out = outside("up0");
	EXPECT(out >= 0);
	EXPECT_EQ(subnet_parse("192.0.2.128/25", &net.subnet, &err), 0);
	EXPECT_EQ(network_ensure(&net, &report, &err), -EADDRINUSE);
	EXPECT_STR(err.msg, "network: subnet 192.0.2.128/25 is in use by interface 'up0'");
	err = ERR_INIT;
	EXPECT_EQ(subnet_parse("192.0.0.0/16", &net.subnet, &err), 0);
	EXPECT_EQ(network_ensure(&net, &report, &err), -EADDRINUSE);
	EXPECT(!has_link("hull0"));
}

TEST(a_network_gives_way_when_its_subnet_went_to_somebody_else_and_nobody_is_on_it)
{
	struct err err = ERR_INIT;
	struct network mine = net0();
	struct network other = {.bridge = "hull1", .subnet = mine.subnet};
	struct network_report report;

	EXPECT(lab_enter());
	EXPECT_EQ(network_is_displaced(&mine, &err), 0);
	EXPECT_EQ(network_attach_machine(&mine, id_a, false, &err), 0);
	EXPECT_EQ(network_is_displaced(&mine, &err), 0);
	EXPECT_EQ(network_is_displaced(&other, &err), 1);
	EXPECT_EQ(network_detach(&mine, id_a, &err), 0);
	EXPECT_EQ(network_ensure(&other, &report, &err), 0);
	EXPECT_EQ(network_is_displaced(&mine, &err), 1);
	EXPECT_EQ(network_remove(&other, &err), 0);
	EXPECT_EQ(network_is_displaced(&mine, &err), 0);
}

TEST(a_name_that_is_no_bridge_is_refused)
{
	static const char *const names[] = {"", "hull0; flush", "a/b", "sixteen-letters-", "-x",
					    "7"};
	struct network_report report;
	struct network net = net0();

	EXPECT(lab_enter());
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct err err = ERR_INIT;
		net.bridge = names[i];
		EXPECT_EQ(network_ensure(&net, &report, &err), -EINVAL);
	}
	struct err err = ERR_INIT;
	net.bridge = "lo";
	EXPECT_EQ(network_ensure(&net, &report, &err), -EEXIST);
	EXPECT_STR(err.msg, "network: interface 'lo' is there and is not a bridge");
}

TEST(two_networks_side_by_side_do_not_touch_each_other)
{
	AUTO_WORLD struct world w;
	struct err err = ERR_INIT;
	struct network_report report;
	struct network other = {.bridge = "hull-0a1b2c",
				.subnet = {.base = 0x0ad70000, .prefix = 16}};
	struct keeper_port port = {.host_port = 9090, .port = 80};
	AUTO_STRV struct strv ids = {0};

	EXPECT(world_open(&w));
	AUTO_CLOSE int b = lab_netns();
	uint32_t b_address = subnet_nth(&other.subnet, 0);
	EXPECT_EQ(network_ensure(&other, &report, &err), 0);
	EXPECT_EQ(network_attach_container(&other, id_b, b, b_address, &err), 0);
	EXPECT_EQ(network_publish(&other, id_b, &port, 1, b_address, &err), 0);

	struct lab_peer direct = {.address = b_address, .port = 80};
	struct lab_peer published = {.address = OUTSIDE_HOST, .port = 9090};
	pid_t server = lab_server(b, &direct);
	int hidden = lab_in(w.a, lab_ask, &direct);
	int over_host = lab_in(w.a, lab_ask, &published);
	EXPECT_EQ(network_list(&w.net, &ids, &err), 0);
	size_t n_first = ids.n;
	EXPECT_EQ(network_detach(&w.net, id_a, &err), 0);
	EXPECT_EQ(network_remove(&w.net, &err), 0);
	int from_outside = lab_in(w.outside, lab_ask, &published);
	lab_stop(server);
	EXPECT_EQ(hidden, 1);
	EXPECT_EQ(over_host, 0);
	EXPECT_EQ(n_first, 1);
	EXPECT_EQ(from_outside, 0);
}

TEST(a_host_without_nft_is_told_and_attaches_all_the_same)
{
	struct err err = ERR_INIT;
	struct network net = net0();
	struct network_report report;
	struct keeper_port port = {.host_port = 8080, .port = 80};

	EXPECT(lab_enter());
	AUTO_CLOSE int a = lab_netns();
	char *path = strdup(getenv("PATH"));
	(void)setenv("PATH", "/proc/self/nowhere", 1);
	int r = network_ensure(&net, &report, &err);
	(void)setenv("PATH", path, 1);
	free(path);
	EXPECT_EQ(r, 0);
	EXPECT(strstr(report.notice, "no nftables here"));
	EXPECT_EQ(network_attach_container(&net, id_a, a, nth(0), &err), 0);
	EXPECT_EQ(network_publish(&net, id_a, &port, 1, nth(0), &err), 0);
	EXPECT_EQ(network_detach(&net, id_a, &err), 0);
	EXPECT_EQ(network_remove(&net, &err), 0);
}
