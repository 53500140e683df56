/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other programs' firewalls on the same host. A packet must pass all of them, so where docker drops
 * what is forwarded, an accept of ours stands in the chain that docker keeps for others
 * (DOCKER-USER) while the network has workloads. Of the rest we can only tell the user. Private to
 * network/.
 */
#pragma once

#include <stddef.h>

#include "base/attr.h"

struct err;
struct netlink;
struct network;

/* Puts the network's accept into DOCKER-USER where that chain is and the accept is not; else, when
 * somebody drops what is forwarded, writes a line about it to `notice` (size bytes; untouched when
 * all is well). nl is of firewall_open(); what changes rules holds
 * the descriptor `lock`. */
int foreign_allow(struct netlink *nl, const struct network *net, int lock, char *notice,
		  size_t size, struct err *err) HULL_MUST_CHECK;

/* Takes the network's accept out again; none is fine. */
int foreign_forget(struct netlink *nl, const struct network *net, int lock, struct err *err)
	HULL_MUST_CHECK;
