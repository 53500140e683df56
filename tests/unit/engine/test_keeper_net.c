/* SPDX-License-Identifier: Apache-2.0 */
/* What a keeper's workload may carry over its network: set at each start, changed while it runs,
 * for all its interfaces. */
#include "../network/rate.h"

#include "engine/keeper_net.h"
#include "proto/control.h"
#include "proto/isolation.h"
#include "proto/plan.h"

static char bridge[] = "hull0", name[] = "bridge", subnet[] = "10.214.0.0/16",
	    address[] = "10.214.0.2";

/* A workload on its network, with a namespace for a container (-1: a machine). */
struct subject {
	struct keeper_orders orders;
	struct plan plan;
	struct keeper_net *net;
	struct loop *loop;
	int netns;
};

static void subject_done(struct subject *s)
{
	keeper_net_free(s->net);
	loop_free(s->loop);
	free(s->plan.machine.tap);
	auto_close(&s->netns);
}

static bool subject_new(struct subject *s, bool vm, uint32_t accel, uint64_t in, uint64_t out)
{
	AUTO_STRV struct strv ports = {0};
	struct err err = ERR_INIT;

	*s = (struct subject){.orders = {.vm = vm,
					 .network = {.name = name,
						     .bridge = bridge,
						     .subnet = subnet,
						     .address = address}},
			      .plan = {.machine.accel = accel,
				       .limits = {.net_ingress = in, .net_egress = out}},
			      .netns = -1};
	if (!lab_enter() || loop_new(&s->loop, &err) < 0)
		return false;
	s->netns = vm ? -1 : lab_netns();
	return keeper_net_new(&s->net, s->loop, id_a, &s->orders, &err) == 0 &&
	       keeper_net_prepare(s->net, &s->plan, &ports, &err) == 0 &&
	       keeper_net_attach(s->net, s->netns, &err) == 0;
}

static bool add_interface(struct subject *s)
{
	struct isolation_interface made;
	struct err err = ERR_INIT;

	return keeper_net_add(s->net, "eth1", "10.214.0.3", s->netns, &made, &err) == 0;
}

static int change(struct subject *s, uint64_t in, uint64_t out, struct err *err)
{
	*err = ERR_INIT;
	return keeper_net_limit(s->net, &(struct network_rates){in, out}, s->netns, err);
}

TEST(a_container_starts_with_its_limits_and_so_does_a_further_interface)
{
	AUTO(subject_done) struct subject s;

	EXPECT(subject_new(&s, false, 0, 1000, 2000));
	EXPECT_EQ(lab_rate(-1, "hlaaaaaaaaaaaa"), 1000);
	EXPECT_EQ(lab_rate(s.netns, "eth0"), 2000);
	EXPECT(add_interface(&s));
	EXPECT_EQ(lab_rate(-1, "hlaaaaaaaaaaaa1"), 1000);
	EXPECT_EQ(lab_rate(s.netns, "eth1"), 2000);
}

TEST(what_changes_changes_for_all_interfaces)
{
	AUTO(subject_done) struct subject s;
	struct err err;

	EXPECT(subject_new(&s, false, 0, 0, UINT64_MAX));
	EXPECT(add_interface(&s));
	EXPECT_EQ(lab_rate(-1, "hlaaaaaaaaaaaa1"), 0);
	EXPECT_EQ(lab_rate(s.netns, "eth0"), 0);
	EXPECT_EQ(change(&s, 1000, 2000, &err), 0);
	EXPECT_EQ(lab_rate(-1, "hlaaaaaaaaaaaa"), 1000);
	EXPECT_EQ(lab_rate(-1, "hlaaaaaaaaaaaa1"), 1000);
	EXPECT_EQ(lab_rate(s.netns, "eth0"), 2000);
	EXPECT_EQ(lab_rate(s.netns, "eth1"), 2000);
	EXPECT_EQ(keeper_net_rates(s.net).egress, 2000);
	EXPECT_EQ(change(&s, 0, 0, &err), 0);
	EXPECT_EQ(lab_rate(-1, "hlaaaaaaaaaaaa1"), 0);
	EXPECT_EQ(lab_rate(s.netns, "eth0"), 0);
}

TEST(a_change_that_fails_half_way_leaves_all_as_it_was)
{
	AUTO(subject_done) struct subject s;
	struct err err = ERR_INIT;

	EXPECT(subject_new(&s, false, 0, 1000, 2000));
	EXPECT(add_interface(&s));
	EXPECT_EQ(network_take(id_a, 1, &err), 0); /* behind its back */
	EXPECT_EQ(change(&s, 5000, 6000, &err), -ENODEV);
	EXPECT_STR(err.msg, "limit network: interface 'hlaaaaaaaaaaaa1' is gone");
	EXPECT_EQ(lab_rate(-1, "hlaaaaaaaaaaaa"), 1000);
	EXPECT_EQ(lab_rate(s.netns, "eth0"), 2000);
	EXPECT_EQ(keeper_net_rates(s.net).ingress, 1000);
}

TEST(of_an_emulated_machine_the_tap_is_limited)
{
	AUTO(subject_done) struct subject s;
	struct err err;

	EXPECT(subject_new(&s, true, ACCEL_TCG, 1000, 0));
	EXPECT_EQ(lab_rate(-1, "hlaaaaaaaaaaaa"), 1000);
	EXPECT_EQ(change(&s, 0, 0, &err), 0);
	EXPECT_EQ(lab_rate(-1, "hlaaaaaaaaaaaa"), 0);
}

TEST(what_a_monitor_limits_itself_is_left_to_it)
{
	AUTO(subject_done) struct subject s;
	struct err err;

	EXPECT(subject_new(&s, true, ACCEL_KVM, 1000, 2000));
	EXPECT_EQ(lab_rate(-1, "hlaaaaaaaaaaaa"), 0);
	EXPECT(add_interface(&s));
	EXPECT_EQ(lab_rate(-1, "hlaaaaaaaaaaaa1"), 0);
	EXPECT_EQ(change(&s, 5000, 6000, &err), 0);
	EXPECT_EQ(lab_rate(-1, "hlaaaaaaaaaaaa"), 0);
	EXPECT_EQ(keeper_net_rates(s.net).egress, 6000);
}

TEST(without_an_interface_of_its_own_nothing_can_be_limited)
{
	AUTO(subject_done) struct subject s = {.netns = -1};
	struct err err = ERR_INIT;

	EXPECT(lab_enter());
	EXPECT_EQ(loop_new(&s.loop, &err), 0);
	EXPECT_EQ(keeper_net_new(&s.net, s.loop, id_a, &s.orders, &err), 0);
	EXPECT_EQ(change(&s, 1000, 0, &err), -EINVAL);
}
