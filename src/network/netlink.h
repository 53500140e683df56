/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the kernel over netlink: a thin layer on libmnl that sends, waits for the answer and
 * turns a refusal into an error with the kernel's own words. Private to network/.
 */
#pragma once

#include <libmnl/libmnl.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct err;
struct netlink; /* one socket with its buffers */

/* The one positive answer of this layer: the thing asked for is not there. */
enum { NETLINK_ABSENT = 1 };

/* Opens a socket of `protocol` (NETLINK_ROUTE, NETLINK_NETFILTER) in the caller's network
 * namespace; the caller closes. */
int netlink_open(int protocol, struct netlink **ret, struct err *err) HULL_MUST_CHECK;

/* The same in the namespace of netns_fd (borrowed). The calling thread visits that namespace and
 * comes back; when it cannot come back the error says so, and the process should end. */
int netlink_open_in(int netns_fd, int protocol, struct netlink **ret, struct err *err)
	HULL_MUST_CHECK;

/* NULL is fine. */
void netlink_close(struct netlink *nl);

DEFINE_AUTO(struct netlink, netlink_close)

/* Begins a request in nl's buffer (borrowed until the next request); flags without NLM_F_REQUEST.
 * The caller adds header and attributes with libmnl. */
struct nlmsghdr *netlink_begin(struct netlink *nl, uint16_t type, uint16_t flags);

/* Begins one more request behind what the buffer holds, so that several travel together. */
struct nlmsghdr *netlink_next(struct netlink *nl, struct nlmsghdr *before, uint16_t type,
			      uint16_t flags);

/* Sends the request and waits for the verdict: NETLINK_ABSENT when the kernel answers ENOENT,
 * ENODEV or EADDRNOTAVAIL. `what` is for the error. */
int netlink_ask(struct netlink *nl, struct nlmsghdr *nlh, const char *what, struct err *err)
	HULL_MUST_CHECK;

/* As netlink_ask() for what makes something: every refusal is a failure. */
int netlink_do(struct netlink *nl, struct nlmsghdr *nlh, const char *what, struct err *err)
	HULL_MUST_CHECK;

/*
 * Called for each message of an answer; a negative answer ends the reading with it. With nlh NULL:
 * what was listed changed meanwhile, all comes again.
 */
typedef int netlink_fn(const struct nlmsghdr *nlh, void *ctx, struct err *err);

/* A request with an answer: one message, or a dump when flags held NLM_F_DUMP. NETLINK_ABSENT as in
 * netlink_ask(). */
int netlink_get(struct netlink *nl, struct nlmsghdr *nlh, netlink_fn *fn, void *ctx,
		const char *what, struct err *err) HULL_MUST_CHECK;

/*
 * Sends the messages from `first` to the end of `last` as one transaction and waits for the verdict
 * of `acked`, the only one with NLM_F_ACK (refusals of the others come before it). NETLINK_ABSENT
 * as in netlink_ask().
 */
int netlink_batch(struct netlink *nl, const struct nlmsghdr *first, const struct nlmsghdr *acked,
		  const struct nlmsghdr *last, const char *what, struct err *err) HULL_MUST_CHECK;

/* Room left in the buffer behind nlh. */
size_t netlink_room(const struct netlink *nl, const struct nlmsghdr *nlh);

/* Whether an attribute starts at `attr` and ends no later than `end`. */
static inline bool attr_within(const struct nlattr *attr, const void *end)
{
	return mnl_attr_ok(attr, (int)((const char *)end - (const char *)attr));
}

/* for () over the attributes of a message behind `skip` bytes, and over those of a nest (libmnl's
 * own macros do not survive -Wconversion). */
#define attr_each(attr, nlh, skip)                                                                 \
	for ((attr) = mnl_nlmsg_get_payload_offset(nlh, skip);                                     \
	     attr_within(attr, mnl_nlmsg_get_payload_tail(nlh)); (attr) = mnl_attr_next(attr))
#define attr_each_in(attr, nest)                                                                   \
	for ((attr) = mnl_attr_get_payload(nest);                                                  \
	     attr_within(attr, (const char *)mnl_attr_get_payload(nest) +                          \
				       mnl_attr_get_payload_len(nest));                            \
	     (attr) = mnl_attr_next(attr))

/* A network interface as the kernel tells it. */
struct link {
	int index;
	int master; /* index of its bridge; 0: none */
	uint32_t flags; /* IFF_* */
	uint32_t mtu;
	char name[IF_NAMESIZE];
	bool running; /* operational: what is sent is not thrown away */
	char kind[16]; /* "bridge", "veth", "tun"; "" for hardware */
};

/* Finds an interface by name; NETLINK_ABSENT when there is none. */
int link_get(struct netlink *nl, const char *name, struct link *ret, struct err *err)
	HULL_MUST_CHECK;

/* Called for each interface, more than once when they change meanwhile; a negative answer ends the
 * listing with it. */
typedef int link_fn(const struct link *link, void *ctx, struct err *err);

/* Lists all interfaces, or those of one bridge (master not 0). */
int link_list(struct netlink *nl, int master, link_fn *fn, void *ctx, struct err *err)
	HULL_MUST_CHECK;

/* Removes an interface by name; absent is fine. A veth takes its peer along. */
int link_delete(struct netlink *nl, const char *name, struct err *err) HULL_MUST_CHECK;

/* The same by its index. */
int link_delete_index(struct netlink *nl, int index, struct err *err) HULL_MUST_CHECK;

/* Lets nothing pass a bridge's port any more, at once (other ways of ending it take a while); one
 * that is none, or gone, is fine. */
int link_mute(struct netlink *nl, int index, struct err *err) HULL_MUST_CHECK;

/* Sets an interface up, and makes it a port of the bridge `master` with that MTU unless they are
 * 0. */
int link_up(struct netlink *nl, int index, int master, uint32_t mtu, struct err *err)
	HULL_MUST_CHECK;

/*
 * Waits, for some milliseconds at most, until an interface that was set up carries packets: the
 * kernel tells that to the interface's bridge and queues by deferred work (that asking hastens from
 * Linux 6.8 on), and drops what comes before. Then a first packet would only be repeated after a
 * second.
 */
int link_settle(struct netlink *nl, const char *name, struct err *err) HULL_MUST_CHECK;

/*
 * Limits what an interface of this namespace sends, in bytes a second with all headers, by a token
 * bucket (sch_tbf); 0 takes the limit away, and none there is fine. ENOTSUP where the kernel has no
 * such thing.
 */
int link_limit(struct netlink *nl, int index, uint64_t rate, struct err *err) HULL_MUST_CHECK;

/* Makes a bridge (down) with that MAC and MTU (0: the kernel's choice); one that exists already is
 * -EEXIST. */
int link_add_bridge(struct netlink *nl, const char *name, const uint8_t mac[6], uint32_t mtu,
		    struct err *err) HULL_MUST_CHECK;

/* What a veth pair is made of. */
struct veth {
	const char *name; /* the near end */
	int master; /* its bridge */
	int netns_fd; /* where the far end lives, as */
	const char *peer;
	const uint8_t *peer_mac; /* 6 bytes */
	uint32_t mtu;
};

/*
 * Makes the pair in one request: there is never half of it. The near end is up, the far end is not
 * (the kernel refuses that before there is a near end). -EEXIST when the near end's name is taken.
 */
int link_add_veth(struct netlink *nl, const struct veth *veth, struct err *err) HULL_MUST_CHECK;

/* Adds an IPv4 address (host order), or finds it there. */
int address_add(struct netlink *nl, int index, uint32_t address, uint8_t prefix, struct err *err)
	HULL_MUST_CHECK;

/* Whether the interface has that IPv4 address: 1 or 0. */
int address_present(struct netlink *nl, int index, uint32_t address, struct err *err)
	HULL_MUST_CHECK;

/* Adds the default route through `gateway` (host order). */
int route_add_default(struct netlink *nl, int index, uint32_t gateway, struct err *err)
	HULL_MUST_CHECK;

/* An IPv4 route of the main table. */
struct route {
	uint32_t base; /* host order */
	uint8_t prefix; /* 0: a default route */
	int index; /* of the interface; 0: none */
};

/* Called for each route, more than once when they change meanwhile; a negative answer ends the
 * listing with it. */
typedef int route_fn(const struct route *route, void *ctx, struct err *err);

/* Lists the IPv4 routes of all tables but `local`. */
int route_list(struct netlink *nl, route_fn *fn, void *ctx, struct err *err) HULL_MUST_CHECK;
