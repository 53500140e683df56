/* SPDX-License-Identifier: Apache-2.0 */
/* A host on which dockerd runs, as far as the firewall shows it, in both forms of iptables. */
#include "lab.h"

#include <signal.h>

#include "base/buf.h"
#include "base/proc.h"
#include "proto/control.h"

static const char *const forms[] = {"iptables-nft", "iptables-legacy"};
enum { FORMS = sizeof(forms) / sizeof(forms[0]) };

/* Runs `form` with further rules from text, as iptables-restore takes them. */
static bool rules_load(const char *form, const char *text)
{
	char program[64];
	struct err err = ERR_INIT;

	(void)snprintf(program, sizeof(program), "%s-restore", form);
	const char *const argv[] = {program, "-w", "--noflush", NULL};
	return proc_run(argv, text, NULL, &err) == 0;
}

/* What dockerd sets up when it starts: nothing is forwarded but what its chains accept. */
static bool docker_start(const char *form)
{
	return rules_load(form, "*filter\n"
				":FORWARD DROP [0:0]\n"
				":DOCKER-USER - [0:0]\n"
				":DOCKER - [0:0]\n"
				"-A FORWARD -j DOCKER-USER\n"
				"-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED "
				"-j ACCEPT\n"
				"-A FORWARD -o docker0 -j DOCKER\n"
				"-A FORWARD -i docker0 ! -o docker0 -j ACCEPT\n"
				"-A DOCKER-USER -j RETURN\n"
				"COMMIT\n");
}

/* How often `text` stands in the filter rules; -1 when they cannot be read. */
static int rules_with(const char *form, const char *text)
{
	AUTO_BUF struct buf rules = BUF_INIT;
	const char *const argv[] = {form, "-w", "-S", NULL};
	struct err err = ERR_INIT;
	int n = 0;

	if (proc_run(argv, NULL, &rules, &err) < 0)
		return -1;
	for (const char *p = rules.data; (p = strstr(p, text)) != NULL; p++)
		n++;
	return n;
}

/* World with docker there first, so that the way is opened by the first attach. */
static bool docker_world(struct world *w, const char *form)
{
	struct err err = ERR_INIT;
	struct network_report report;

	*w = (struct world){.outside = -1, .a = -1, .net = net0()};
	if (!lab_enter() || !docker_start(form))
		return false;
	w->outside = outside("up0");
	w->a = lab_netns();
	return w->outside >= 0 && w->a >= 0 && network_ensure(&w->net, &report, &err) == 0 &&
	       report.notice[0] == '\0' &&
	       network_attach_container(&w->net, id_a, w->a, nth(0), &err) == 0;
}

/* From the workload to the outside. */
static int ask_outside(const struct world *w)
{
	struct lab_peer peer = {.address = OUTSIDE, .port = 80};

	pid_t server = lab_server(w->outside, &peer);
	int answer = lab_in(w->a, lab_ask, &peer);
	lab_stop(server);
	return answer;
}

TEST(workloads_have_their_network_while_docker_drops_what_it_does_not_know)
{
	for (int i = 0; i < FORMS; i++) {
		AUTO_WORLD struct world w;
		struct err err = ERR_INIT;
		struct keeper_port port = {.host_port = 8080, .port = 80};
		struct lab_peer in = {.address = nth(0), .port = 80};
		struct lab_peer published = {.address = OUTSIDE_HOST, .port = 8080};

		EXPECT(docker_world(&w, forms[i]));
		EXPECT_EQ(network_publish(&w.net, id_a, &port, 1, nth(0), &err), 0);
		AUTO_CLOSE int b = lab_netns();
		EXPECT_EQ(network_attach_container(&w.net, id_b, b, nth(1), &err), 0);
		pid_t server = lab_server(w.a, &in);
		int answer = lab_in(w.outside, lab_ask, &published);
		int neighbour = lab_in(b, lab_ask, &in);
		lab_stop(server);
		EXPECT_EQ(ask_outside(&w), 0);
		EXPECT_EQ(answer, 0);
		EXPECT_EQ(neighbour, 0);
		/* and it is our accept that does it */
		EXPECT(rules_load(forms[i], "*filter\n-F DOCKER-USER\nCOMMIT\n"));
		EXPECT_EQ(ask_outside(&w), 1);
	}
}

TEST(the_accept_goes_with_the_last_workload)
{
	for (int i = 0; i < FORMS; i++) {
		AUTO_WORLD struct world w;
		struct err err = ERR_INIT;

		EXPECT(docker_world(&w, forms[i]));
		EXPECT_EQ(network_attach_machine(&w.net, id_b, false, &err), 0);
		EXPECT_EQ(rules_with(forms[i], "hull(hull0)"), 3);
		EXPECT_EQ(network_detach(&w.net, id_a, &err), 0);
		EXPECT_EQ(rules_with(forms[i], "hull(hull0)"), 3);
		EXPECT_EQ(network_detach(&w.net, id_b, &err), 0);
		EXPECT_EQ(rules_with(forms[i], "hull"), 0);
		EXPECT_EQ(rules_with(forms[i], "-A DOCKER-USER -j RETURN"), 1);
		EXPECT_EQ(network_remove(&w.net, &err), 0);
	}
}

TEST(a_lost_or_halved_accept_is_whole_after_the_next_attach)
{
	for (int i = 0; i < FORMS; i++) {
		AUTO_WORLD struct world w;
		struct err err = ERR_INIT;

		EXPECT(docker_world(&w, forms[i]));
		EXPECT(rules_load(forms[i], "*filter\n-D DOCKER-USER 2\nCOMMIT\n"));
		EXPECT_EQ(rules_with(forms[i], "hull(hull0)"), 2);
		EXPECT_EQ(network_attach_machine(&w.net, id_b, false, &err), 0);
		EXPECT_EQ(rules_with(forms[i], "hull(hull0)"), 3);
		EXPECT(rules_load(forms[i], "*filter\n-F DOCKER-USER\nCOMMIT\n"));
		EXPECT_EQ(network_attach_machine(&w.net, id_b, false, &err), 0);
		EXPECT_EQ(rules_with(forms[i], "hull(hull0)"), 3);
		EXPECT_EQ(ask_outside(&w), 0);
	}
}

TEST(the_users_own_rules_come_before_ours)
{
	for (int i = 0; i < FORMS; i++) {
		AUTO_WORLD struct world w;
		struct err err = ERR_INIT;

		EXPECT(docker_world(&w, forms[i]));
		EXPECT_EQ(network_detach(&w.net, id_a, &err), 0);
		EXPECT(rules_load(forms[i],
				  "*filter\n-I DOCKER-USER -p tcp --dport 80 -j DROP\nCOMMIT\n"));
		EXPECT_EQ(network_attach_container(&w.net, id_a, w.a, nth(0), &err), 0);
		EXPECT_EQ(ask_outside(&w), 1);
	}
}

TEST(dockers_containers_are_as_hidden_from_workloads_as_from_others)
{
	for (int i = 0; i < FORMS; i++) {
		struct err err = ERR_INIT;
		struct network net = net0();
		struct network_report report;
		struct lab_peer theirs = {.address = OUTSIDE, .port = 80};
		struct lab_peer ours = {.address = nth(0), .port = 80};

		EXPECT(lab_enter());
		EXPECT(docker_start(forms[i]));
		AUTO_CLOSE int container = outside("docker0");
		AUTO_CLOSE int a = lab_netns();
		EXPECT_EQ(network_ensure(&net, &report, &err), 0);
		EXPECT_EQ(network_attach_container(&net, id_a, a, nth(0), &err), 0);
		pid_t server = lab_server(container, &theirs);
		int hidden = lab_in(a, lab_ask, &theirs);
		EXPECT(rules_load(forms[i], "*filter\n-A DOCKER -d 192.0.2.2 -p tcp --dport 80 "
					    "-j ACCEPT\nCOMMIT\n"));
		int published = lab_in(a, lab_ask, &theirs);
		lab_stop(server);
		server = lab_server(a, &ours);
		int back = lab_in(container, ask_through_host, &ours);
		lab_stop(server);
		EXPECT_EQ(hidden, 1);
		EXPECT_EQ(published, 0);
		EXPECT_EQ(back, 1);
	}
}

TEST(two_networks_each_have_their_own_accept)
{
	AUTO_WORLD struct world w;
	struct err err = ERR_INIT;
	struct network_report report;
	struct network other = {.bridge = "hull-0a1b2c",
				.subnet = {.base = 0x0ad70000, .prefix = 16}};

	EXPECT(docker_world(&w, forms[0]));
	EXPECT_EQ(network_ensure(&other, &report, &err), 0);
	EXPECT_EQ(network_attach_machine(&other, id_b, false, &err), 0);
	EXPECT_EQ(rules_with(forms[0], "hull(hull0)"), 3);
	EXPECT_EQ(rules_with(forms[0], "hull(hull-0a1b2c)"), 3);
	EXPECT_EQ(network_detach(&other, id_b, &err), 0);
	EXPECT_EQ(rules_with(forms[0], "hull(hull0)"), 3);
	EXPECT_EQ(rules_with(forms[0], "hull(hull-0a1b2c)"), 0);
}

TEST(a_firewall_that_drops_and_takes_no_accept_is_told_to_the_user)
{
	struct err err = ERR_INIT;
	struct network net = net0();
	struct network_report report;

	for (int i = 0; i < FORMS; i++) {
		EXPECT(lab_enter());
		EXPECT(rules_load(forms[i], "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n"));
		EXPECT_EQ(network_ensure(&net, &report, &err), 0);
		EXPECT(strstr(report.notice,
			      i ? "'iptables-legacy FORWARD' drops" : "'ip filter FORWARD' drops"));
	}
	static const char *const firewalld[] = {"nft", "-f", "-", NULL};
	EXPECT(lab_enter());
	EXPECT_EQ(proc_run(firewalld,
			   "add table inet firewalld\nadd chain inet firewalld filter_FORWARD "
			   "{ type filter hook forward priority 10; }\n",
			   NULL, &err),
		  0);
	EXPECT_EQ(network_ensure(&net, &report, &err), 0);
	EXPECT(strstr(report.notice, "--zone=trusted --add-interface=hull0"));
}
