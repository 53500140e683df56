/* SPDX-License-Identifier: Apache-2.0 */
/* A workload's place on its network, as its keeper holds it: attached at each start, its ports
 * bound from the first start to the end. */
#pragma once

#include "base/attr.h"

struct err;
struct keeper_net;
struct keeper_orders;
struct loop;
struct plan;
struct strv;

/* Reads the orders (borrowed until freed); touches nothing yet. */
int keeper_net_new(struct keeper_net **ret, struct loop *loop, const char *id,
		   struct keeper_orders *orders, struct err *err) HULL_MUST_CHECK;

/* Before the box is made: the network is there, ports are bound (*ports lists them as text), a
 * machine's tap exists and stands in the plan. */
int keeper_net_prepare(struct keeper_net *n, struct plan *plan, struct strv *ports, struct err *err)
	HULL_MUST_CHECK;

/* Between create and start: furnishes the namespace (borrowed; -1: a machine, which has its tap)
 * and opens the ports. */
int keeper_net_attach(struct keeper_net *n, int netns, struct err *err) HULL_MUST_CHECK;

/* What the network had to say to the user at the last prepare, "" when nothing; borrowed. */
const char *keeper_net_notice(const struct keeper_net *n);

/* Takes the workload off its network; its ports stay bound for the next start. Nothing there is
 * fine. */
void keeper_net_detach(struct keeper_net *n);

/* Gives the ports back; NULL is fine. */
void keeper_net_free(struct keeper_net *n);
