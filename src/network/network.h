/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host's side of a workload's network: one bridge and one nftables table per network, a veth or a
 * tap per workload. Everything a workload has outside itself carries the first NET_ID_LEN digits of
 * its id (links by name, firewall elements by comment), so that network_list() finds what a
 * killed process left and network_detach() removes it; both may be repeated at will.
 *
 * Nothing is remembered here: each call looks at what the kernel has. Calls are made in the host's
 * network namespace, as root, from a process with one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "network/names.h"
#include "network/port.h"
#include "network/subnet.h"

struct err;
struct keeper_port;

enum {
	NET_ID_LEN = 12, /* of the workload's id, in names */
	NET_LINK_NAME = 16, /* size of an interface's name with its NUL */
	NET_NOTICE_MAX = 256,
	NET_MORE_MAX = 2, /* interfaces that a running workload may get beside its first */
};

/* One network. The bridge's name belongs to one store: its table, and whatever else is shared with
 * the host, is named after it. */
struct network {
	const char *bridge; /* "hull0"; at most 15 of [a-z0-9-] */
	struct subnet subnet;
};

/* What network_ensure() did to the host, and what the user should know. */
struct network_report {
	bool created; /* the bridge was not there */
	bool forwarding_enabled; /* net.ipv4.ip_forward was 0 and is 1 now; it stays */
	uint32_t mtu; /* of the bridge, for both ends of what is attached */
	char notice[NET_NOTICE_MAX]; /* one line for the user, "" when all is well */
};

/*
 * Chooses a subnet that no route and no name server of the host lies in, from a fixed list of
 * /16s, beginning at `seed` (0 for the default store, a hash for others). EADDRNOTAVAIL when all
 * are taken.
 */
int network_choose_subnet(uint32_t seed, struct subnet *ret, struct err *err) HULL_MUST_CHECK;

/*
 * Makes what is missing of the network: bridge with the gateway's address, table, forwarding, and
 * a way through another program's firewall. Quick when all is there (attaching does it too; this is
 * to hear the report). A bridge left with another subnet is replaced. EADDRINUSE when the subnet is
 * another interface's by now, or workloads are on such a bridge.
 */
int network_ensure(const struct network *net, struct network_report *ret, struct err *err)
	HULL_MUST_CHECK;

/* Whether the network has to choose another subnet: a route of another interface lies in its own by
 * now, and no workload stands on its bridge. Answers 1 or 0. */
int network_is_displaced(const struct network *net, struct err *err) HULL_MUST_CHECK;

/* The name of a workload's interface on the host: "hl" and the head of its id, and behind that the
 * number `nth` of an interface that is not its first (0). */
void network_link_name(const char *id, unsigned nth, char name[NET_LINK_NAME]);

/*
 * Gives the namespace netns_fd (borrowed) its eth0 on the network, with `address`, the default
 * route and lo up. What an earlier life of the workload left is replaced. On failure nothing is
 * left.
 */
int network_attach_container(const struct network *net, const char *id, int netns_fd,
			     uint32_t address, struct err *err) HULL_MUST_CHECK;

/*
 * Makes the tap for a machine, named network_link_name(), on the network: it persists until
 * network_detach(), and is opened by name (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, and
 * IFF_MULTI_QUEUE if it has many queues). On failure nothing is left.
 */
int network_attach_machine(const struct network *net, const char *id, bool many_queues,
			   struct err *err) HULL_MUST_CHECK;

/*
 * The same two for a further interface of a workload that runs: eth1 up to eth<NET_MORE_MAX>
 * inside, and no route but to the network. They go with all else that the workload has, or by
 * network_take().
 */
int network_add_container(const struct network *net, const char *id, unsigned nth, int netns_fd,
			  uint32_t address, struct err *err) HULL_MUST_CHECK;
int network_add_machine(const struct network *net, const char *id, unsigned nth, struct err *err)
	HULL_MUST_CHECK;

/* What may pass an interface of a workload in a second, in bytes; 0: as much as there is. */
struct network_rates {
	uint64_t ingress, egress; /* to the workload, from it */
};

/*
 * Sets both limits of a workload's interface: of what comes to it at its end on the host, of what
 * it sends at the end inside, which is in the namespace netns_fd (borrowed; -1: a machine's, whose
 * egress cannot be limited here: ENOTSUP). After a failure one of them may be set. ENOTSUP as in
 * link_limit() too.
 */
int network_limit(const char *id, unsigned nth, int netns_fd, const struct network_rates *rates,
		  struct err *err) HULL_MUST_CHECK;

/* Takes a further interface away; nothing there is fine. */
int network_take(const char *id, unsigned nth, struct err *err) HULL_MUST_CHECK;

/*
 * Sends what arrives at the ports (bound by ports_bind(), so that host_port is final) to `address`,
 * by the host's firewall. Loopback destinations, IPv6 and callers on the network itself are not
 * touched: ports_serve() does those. Where nft is missing it does nothing, and ports_serve() does
 * all. Ports that the firewall still sends elsewhere for a workload that is gone are taken over.
 */
int network_publish(const struct network *net, const char *id, const struct keeper_port *ports,
		    size_t n_ports, uint32_t address, struct err *err) HULL_MUST_CHECK;

/*
 * Removes all that the workload has on the network; nothing there is fine. With the last workload
 * goes the network, and what stands in other programs' firewalls. Takes some tens of milliseconds:
 * the kernel waits for its readers at each interface that goes.
 */
int network_detach(const struct network *net, const char *id, struct err *err) HULL_MUST_CHECK;

/*
 * The same for a workload that has ended, without the wait: at once the ports are withdrawn and
 * nothing passes the link any more; a process of its own, which the caller need not reap, removes
 * the rest. It leaves an idle network in place for a moment, since often the next workload follows.
 */
int network_detach_soon(const struct network *net, const char *id, struct err *err) HULL_MUST_CHECK;

/* Adds to *ids the head (NET_ID_LEN digits) of the id of each workload that has anything on the
 * network, each once; for repair. */
int network_list(const struct network *net, struct strv *ids, struct err *err) HULL_MUST_CHECK;

/* Removes bridge, table and what was put in other programs' firewalls. EBUSY while a workload is
 * attached; absent is fine. */
int network_remove(const struct network *net, struct err *err) HULL_MUST_CHECK;
