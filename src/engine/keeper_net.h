/* SPDX-License-Identifier: Apache-2.0 */
/* A workload's place on its network, as its keeper holds it: attached at each start, its ports
 * bound from the first start to the end. */
#pragma once

#include "base/attr.h"
#include "network/network.h"

struct err;
struct isolation_interface;
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

/*
 * A further interface for a workload that runs, "eth1" to "eth2" (NET_MORE_MAX), until it ends or
 * the interface is removed. Of a container (netns, borrowed) it is furnished by this; of a machine
 * (-1) its tap is made, and *ret, whose texts are borrowed until the next call, is for who sets it
 * up inside. EEXIST, EINVAL for another name.
 */
int keeper_net_add(struct keeper_net *n, const char *name, const char *address, int netns,
		   struct isolation_interface *ret, struct err *err) HULL_MUST_CHECK;

/* What each interface may carry now. */
struct network_rates keeper_net_rates(const struct keeper_net *n);

/*
 * Changes that, for those that it has and those that come: by the host's kernel, inside a
 * container's namespace too (netns, borrowed; -1: a machine). On failure all is as it was. What a
 * machine's monitor limits itself is only noted.
 */
int keeper_net_limit(struct keeper_net *n, const struct network_rates *rates, int netns,
		     struct err *err) HULL_MUST_CHECK;

/* ENOENT when no interface of this name was added. */
int keeper_net_has(const struct keeper_net *n, const char *name, struct err *err) HULL_MUST_CHECK;

/* Removes the host's side of such an interface, and with it the container's; whatever else name is
 * is none. */
int keeper_net_remove(struct keeper_net *n, const char *name, struct err *err) HULL_MUST_CHECK;

/* Replaces *list by what was added, "eth1 10.214.0.3" each. */
int keeper_net_list(const struct keeper_net *n, struct strv *list, struct err *err) HULL_MUST_CHECK;

/* What the network had to say to the user at the last prepare, "" when nothing; borrowed. */
const char *keeper_net_notice(const struct keeper_net *n);

/* Takes the workload off its network; its ports stay bound for the next start. Nothing there is
 * fine. */
void keeper_net_detach(struct keeper_net *n);

/* Gives the ports back; NULL is fine. */
void keeper_net_free(struct keeper_net *n);
