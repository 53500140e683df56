/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a network itself, between its first workload and its last. Whoever builds on a bridge
 * that is there holds the lock shared; whoever makes or removes one holds it alone. Private to
 * network/.
 */
#pragma once

#include <stdbool.h>

#include "base/attr.h"

struct err;
struct link;
struct netlink;
struct network;
struct network_report;

/* Makes what is missing of the network and takes the lock shared: *lock (owned by the caller) on
 * success. */
int bridge_ensure(struct netlink *nl, const struct network *net, struct network_report *report,
		  int *lock, struct err *err) HULL_MUST_CHECK;

/* Finds the bridge of a network that was ensured (ENODEV). */
int bridge_find(struct netlink *nl, const struct network *net, struct link *ret, struct err *err)
	HULL_MUST_CHECK;

/* After a workload's link went: removes the network when it was the last one. */
int bridge_retire(struct netlink *nl, const struct network *net, struct err *err) HULL_MUST_CHECK;

/* Whether a failure of the firewall's functions means a kernel without nftables. */
bool firewall_is_missing(int r);
