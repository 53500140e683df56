/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network's nftables table, `inet hull_<bridge>`: made whole by one run of nft, so that it is
 * there whole or not at all, and its map elements (one per published port, with the workload's id
 * as comment) added and removed over netlink. Private to network/.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct err;
struct keeper_port;
struct netlink;
struct network;

/* Opens the socket for the functions below; the caller closes. */
int firewall_open(struct netlink **ret, struct err *err) HULL_MUST_CHECK;

/* Whether the network's table is there: 1 or 0. */
int firewall_present(struct netlink *nl, const struct network *net, struct err *err)
	HULL_MUST_CHECK;

/* Makes the table, by nft (ENOENT when that is not installed), which holds the descriptor `lock`.
 * Harmless when it is there. */
int firewall_create(const struct network *net, int lock, struct err *err) HULL_MUST_CHECK;

/* Removes the table; absent is fine. */
int firewall_remove(struct netlink *nl, const struct network *net, struct err *err) HULL_MUST_CHECK;

/* Adds the elements of n ports; those with the same key are replaced. NETLINK_ABSENT without a
 * table. */
int firewall_publish(struct netlink *nl, const struct network *net, const char *id,
		     const struct keeper_port *ports, size_t n, uint32_t address, struct err *err)
	HULL_MUST_CHECK;

/* Removes all elements of a workload; none, or no table, is fine. */
int firewall_withdraw(struct netlink *nl, const struct network *net, const char *id,
		      struct err *err) HULL_MUST_CHECK;

/* Adds the heads of the ids found in the elements to *ids, each once. */
int firewall_list(struct netlink *nl, const struct network *net, struct strv *ids, struct err *err)
	HULL_MUST_CHECK;
