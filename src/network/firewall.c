/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An element of the maps says: what comes to this protocol and port (and address) goes to that
 * address and port. As nft does, each part of a concatenation stands in 4 bytes of its own, in
 * network order and padded behind.
 */
#include "network/firewall.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/proc.h"
#include "network/netlink.h"
#include "network/network.h"
#include "proto/control.h"

enum {
	TABLE_NAME = 32,
	PART = 4, /* bytes of one part of a key or value */
	KEY_MAX = 3 * PART,
	VALUE_LEN = 2 * PART,
	COMMENT = 0, /* of NFTA_SET_ELEM_USERDATA: nft's type for an element's comment */
	ELEMENT_ROOM = 512, /* more than one element's message takes */
	/* Of each map. A size that is fixed makes it a table that is never rehashed: a listing
	 * would lose elements over that. */
	PORTS_MAX = 8192,
	TRIES = 20,
};

static const char map_any[] = "ports"; /* protocol . port */
static const char map_one[] = "ports_ip"; /* address . protocol . port */

struct element {
	uint8_t key[KEY_MAX];
	size_t key_len; /* tells the map */
	uint8_t value[VALUE_LEN];
	char id[NET_ID_LEN + 1];
};

static void table_name(const struct network *net, char name[TABLE_NAME])
{
	(void)snprintf(name, TABLE_NAME, "hull_%s", net->bridge);
}

static const char *map_of(const struct element *e)
{
	return e->key_len == KEY_MAX ? map_one : map_any;
}

int firewall_open(struct netlink **ret, struct err *err)
{
	return netlink_open(NETLINK_NETFILTER, ret, err);
}

static uint16_t nft_type(int msg)
{
	return (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | msg);
}

static void put_family(struct nlmsghdr *nlh, uint8_t family, uint16_t res_id)
{
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(nlh, sizeof(*g));

	g->nfgen_family = family;
	g->version = NFNETLINK_V0;
	g->res_id = htons(res_id);
}

int firewall_present(struct netlink *nl, const struct network *net, struct err *err)
{
	char table[TABLE_NAME];
	struct nlmsghdr *nlh = netlink_begin(nl, nft_type(NFT_MSG_GETTABLE), 0);

	table_name(net, table);
	put_family(nlh, NFPROTO_INET, 0);
	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, table);
	int r = netlink_ask(nl, nlh, "look up firewall table", err);
	return r < 0 ? r : r == 0;
}

/*
 * Everything is written so that running it again changes nothing. What is not published cannot be
 * reached from beyond the host: that is the forward chain's last rule, and holds between two
 * networks too.
 */
static void ruleset(const struct network *net, struct buf *to)
{
	static const char *const chains[][2] = {
		{"publish", ""},
		{"prerouting", "{ type nat hook prerouting priority -100; policy accept; }"},
		{"output", "{ type nat hook output priority -100; policy accept; }"},
		{"postrouting", "{ type nat hook postrouting priority 100; policy accept; }"},
		{"forward", "{ type filter hook forward priority 0; policy accept; }"},
	};
	char t[TABLE_NAME];
	char subnet[SUBNET_TEXT];

	table_name(net, t);
	subnet_format(&net->subnet, subnet);
	buf_printf(to, "add table inet %s\n", t);
	buf_printf(to, "add map inet %s %s { type inet_proto . inet_service : ", t, map_any);
	buf_printf(to, "ipv4_addr . inet_service; size %d; }\n", PORTS_MAX);
	buf_printf(to, "add map inet %s %s { type ipv4_addr . inet_proto . inet_service : ", t,
		   map_one);
	buf_printf(to, "ipv4_addr . inet_service; size %d; }\n", PORTS_MAX);
	for (size_t i = 0; i < sizeof(chains) / sizeof(chains[0]); i++) {
		buf_printf(to, "add chain inet %s %s %s\n", t, chains[i][0], chains[i][1]);
		buf_printf(to, "flush chain inet %s %s\n", t, chains[i][0]);
	}
	buf_printf(to, "add rule inet %s publish dnat ip to ", t);
	buf_printf(to, "ip daddr . meta l4proto . th dport map @%s\n", map_one);
	buf_printf(to, "add rule inet %s publish dnat ip to meta l4proto . th dport map @%s\n", t,
		   map_any);
	/* What comes from the network itself goes to the keeper's socket: sent straight back over
	 * the port it came from it would be lost, unless that reflects all (hairpin mode). */
	buf_printf(to, "add rule inet %s prerouting iifname != \"%s\" fib daddr type local ", t,
		   net->bridge);
	buf_printf(to, "jump publish\n");
	buf_printf(to, "add rule inet %s output ip daddr != 127.0.0.0/8 fib daddr type local ", t);
	buf_printf(to, "jump publish\n");
	buf_printf(to, "add rule inet %s postrouting ip saddr %s oifname != \"%s\" ", t, subnet,
		   net->bridge);
	buf_printf(to, "ip daddr != %s masquerade\n", subnet);
	buf_printf(to, "add rule inet %s forward iifname \"%s\" accept\n", t, net->bridge);
	buf_printf(to, "add rule inet %s forward oifname \"%s\" ", t, net->bridge);
	buf_printf(to, "ct state established,related accept\n");
	buf_printf(to, "add rule inet %s forward oifname \"%s\" ct status dnat accept\n", t,
		   net->bridge);
	buf_printf(to, "add rule inet %s forward oifname \"%s\" drop\n", t, net->bridge);
}

int firewall_create(const struct network *net, int lock, struct err *err)
{
	static const char *const argv[] = {"nft", "-f", "-", NULL};
	AUTO_BUF struct buf rules = BUF_INIT;

	ruleset(net, &rules);
	int r = buf_check(&rules, err);
	return r < 0 ? r : proc_run_holding(argv, rules.data, lock, err);
}

/* A transaction: its frame, and what waits in it. */
struct batch {
	struct netlink *nl;
	struct nlmsghdr *first, *last; /* first NULL: nothing waits */
};

static struct nlmsghdr *batch_add(struct batch *b, int msg, uint16_t flags)
{
	if (!b->first) {
		b->first = netlink_begin(b->nl, NFNL_MSG_BATCH_BEGIN, 0);
		put_family(b->first, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
		b->last = b->first;
	}
	struct nlmsghdr *nlh = netlink_next(b->nl, b->last, nft_type(msg), flags);
	put_family(nlh, NFPROTO_INET, 0);
	b->last = nlh;
	return nlh;
}

static int batch_send(struct batch *b, const char *what, struct err *err)
{
	if (!b->first)
		return 0;
	struct nlmsghdr *acked = b->last;
	acked->nlmsg_flags |= NLM_F_ACK;
	struct nlmsghdr *end = netlink_next(b->nl, acked, NFNL_MSG_BATCH_END, 0);
	put_family(end, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	const struct nlmsghdr *first = b->first;
	b->first = NULL;
	return netlink_batch(b->nl, first, acked, end, what, err);
}

int firewall_remove(struct netlink *nl, const struct network *net, struct err *err)
{
	char table[TABLE_NAME];
	struct batch b = {.nl = nl};
	struct nlmsghdr *nlh = batch_add(&b, NFT_MSG_DELTABLE, 0);

	table_name(net, table);
	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, table);
	int r = batch_send(&b, "remove firewall table", err);
	return r == NETLINK_ABSENT ? 0 : r;
}

static void put_data(struct nlmsghdr *nlh, uint16_t type, const void *bytes, size_t n)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, type);

	mnl_attr_put(nlh, NFTA_DATA_VALUE, n, bytes);
	mnl_attr_nest_end(nlh, nest);
}

static void put_comment(struct nlmsghdr *nlh, const char *text)
{
	uint8_t tlv[2 + NET_ID_LEN + 1] = {COMMENT, NET_ID_LEN + 1};

	memcpy(tlv + 2, text, NET_ID_LEN);
	mnl_attr_put(nlh, NFTA_SET_ELEM_USERDATA, sizeof(tlv), tlv);
}

static void put_element(struct nlmsghdr *nlh, const struct network *net, const struct element *e,
			bool whole)
{
	char table[TABLE_NAME];

	table_name(net, table);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, table);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, map_of(e));
	struct nlattr *list = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_LIST_ELEMENTS);
	struct nlattr *one = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);
	put_data(nlh, NFTA_SET_ELEM_KEY, e->key, e->key_len);
	if (whole) {
		put_data(nlh, NFTA_SET_ELEM_DATA, e->value, sizeof(e->value));
		put_comment(nlh, e->id);
	}
	mnl_attr_nest_end(nlh, one);
	mnl_attr_nest_end(nlh, list);
}

/* Queues the making (or unmaking) of one element; sends what waits when the buffer is full. */
static int queue_element(struct batch *b, const struct network *net, const struct element *e,
			 bool add, struct err *err)
{
	if (b->first && netlink_room(b->nl, b->last) < ELEMENT_ROOM) {
		int r = batch_send(b, "change firewall elements", err);
		if (r != 0)
			return r;
	}
	struct nlmsghdr *nlh = batch_add(b, add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM,
					 add ? NLM_F_CREATE : 0);
	put_element(nlh, net, e, add);
	return 0;
}

static void copy_data(void *to, size_t size, size_t *len, const struct nlattr *nest)
{
	const struct nlattr *attr;

	attr_each_in (attr, nest) {
		if (mnl_attr_get_type(attr) == NFTA_DATA_VALUE &&
		    mnl_attr_get_payload_len(attr) <= size) {
			*len = mnl_attr_get_payload_len(attr);
			memcpy(to, mnl_attr_get_payload(attr), *len);
		}
	}
}

static void copy_comment(char id[NET_ID_LEN + 1], const struct nlattr *attr)
{
	const uint8_t *tlv = mnl_attr_get_payload(attr);
	size_t left = mnl_attr_get_payload_len(attr);

	while (left >= 2 && left >= 2U + tlv[1]) {
		if (tlv[0] == COMMENT && tlv[1] > NET_ID_LEN) {
			memcpy(id, tlv + 2, NET_ID_LEN);
			id[NET_ID_LEN] = '\0';
		}
		left -= 2U + tlv[1];
		tlv += 2 + tlv[1];
	}
}

/* The elements of one map. */
struct elements {
	struct element *v; /* owned */
	size_t n;
};

static void elements_done(struct elements *list)
{
	free(list->v);
	*list = (struct elements){0};
}

static void both_done(struct elements (*maps)[2])
{
	elements_done(&(*maps)[0]);
	elements_done(&(*maps)[1]);
}

static int collect_one(struct elements *to, const struct nlattr *elem, struct err *err)
{
	struct element e = {0};
	const struct nlattr *attr;
	size_t value_len = 0;

	attr_each_in (attr, elem) {
		uint16_t type = mnl_attr_get_type(attr);
		if (type == NFTA_SET_ELEM_KEY)
			copy_data(e.key, sizeof(e.key), &e.key_len, attr);
		else if (type == NFTA_SET_ELEM_DATA)
			copy_data(e.value, sizeof(e.value), &value_len, attr);
		else if (type == NFTA_SET_ELEM_USERDATA)
			copy_comment(e.id, attr);
	}
	struct element *v = reallocarray(to->v, to->n + 1, sizeof(*v));
	if (!v)
		return err_set(err, ENOMEM, "out of memory");
	to->v = v;
	v[to->n++] = e;
	return 0;
}

static int collect(const struct nlmsghdr *nlh, void *ctx, struct err *err)
{
	const struct nlattr *list;
	int r = 0;

	if (!nlh) {
		elements_done(ctx);
		return 0;
	}
	attr_each (list, nlh, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(list) != NFTA_SET_ELEM_LIST_ELEMENTS)
			continue;
		const struct nlattr *elem;
		attr_each_in (elem, list) {
			r = r < 0 ? r : collect_one(ctx, elem, err);
		}
	}
	return r;
}

static int keep_generation(const struct nlmsghdr *nlh, void *ctx, struct err *err)
{
	const struct nlattr *attr;

	(void)err;
	if (!nlh)
		return 0;
	attr_each (attr, nlh, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(attr) == NFTA_GEN_ID)
			*(uint32_t *)ctx = mnl_attr_get_u32(attr);
	}
	return 0;
}

/* The number of the last change to any table of the host. */
static int generation(struct netlink *nl, uint32_t *ret, struct err *err)
{
	struct nlmsghdr *nlh = netlink_begin(nl, nft_type(NFT_MSG_GETGEN), 0);

	put_family(nlh, AF_UNSPEC, 0);
	int r = netlink_get(nl, nlh, keep_generation, ret, "look at firewall", err);
	return r < 0 ? r : 0;
}

/* The elements of one map; none when there is no table. */
static int map_read(struct netlink *nl, const struct network *net, const char *map,
		    struct elements *ret, struct err *err)
{
	char table[TABLE_NAME];
	struct nlmsghdr *nlh = netlink_begin(nl, nft_type(NFT_MSG_GETSETELEM), NLM_F_DUMP);

	table_name(net, table);
	put_family(nlh, NFPROTO_INET, 0);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, table);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, map);
	int r = netlink_get(nl, nlh, collect, ret, "list firewall elements", err);
	return r < 0 ? r : 0;
}

/* The elements of both maps. The kernel goes on with a listing by counting, so one is only whole
 * when nothing changed between its parts. */
static int elements_read(struct netlink *nl, const struct network *net, struct elements ret[2],
			 struct err *err)
{
	uint32_t before = 0;
	uint32_t after = 0;

	for (int i = 0; i < TRIES; i++) {
		elements_done(&ret[0]);
		elements_done(&ret[1]);
		int r = generation(nl, &before, err);
		if (r == 0)
			r = map_read(nl, net, map_any, &ret[0], err);
		if (r == 0)
			r = map_read(nl, net, map_one, &ret[1], err);
		if (r == 0)
			r = generation(nl, &after, err);
		if (r < 0 || before == after)
			return r;
	}
	return err_set(err, EAGAIN, "list firewall elements: they change all the time");
}

static void put_u16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void put_u32(uint8_t *at, uint32_t v)
{
	put_u16(at, v >> 16);
	put_u16(at + 2, v);
}

/* The element of a port; false when the firewall has nothing to do with it. */
static bool element_of(const struct keeper_port *port, const char *id, uint32_t address,
		       struct element *ret)
{
	struct element e = {0};
	uint32_t host;

	if (!port_address(port, &host))
		return false;
	uint8_t *at = e.key;
	if (host) {
		put_u32(at, host);
		at += PART;
	}
	at[0] = port->udp ? IPPROTO_UDP : IPPROTO_TCP;
	put_u16(at + PART, port->host_port);
	e.key_len = (size_t)(at - e.key) + 2 * (size_t)PART;
	put_u32(e.value, address);
	put_u16(e.value + PART, port->port);
	(void)snprintf(e.id, sizeof(e.id), "%.*s", NET_ID_LEN, id);
	*ret = e;
	return true;
}

static bool in_the_way(const struct element *there, const char *id, const struct keeper_port *ports,
		       size_t n)
{
	struct element ours;

	if (strncmp(there->id, id, NET_ID_LEN) == 0)
		return true;
	for (size_t i = 0; i < n; i++) {
		if (element_of(&ports[i], id, 0, &ours) && ours.key_len == there->key_len &&
		    memcmp(ours.key, there->key, ours.key_len) == 0)
			return true;
	}
	return false;
}

/* Queues the removal of the elements that were there and that `ports` (n, may be 0) or the
 * workload's own replace. */
static int queue_removals(struct batch *b, const struct network *net, const char *id,
			  const struct keeper_port *ports, size_t n, struct err *err)
{
	AUTO(both_done) struct elements there[2] = {{0}, {0}};

	int r = elements_read(b->nl, net, there, err);
	for (int map = 0; map < 2; map++) {
		for (size_t i = 0; i < there[map].n && r == 0; i++) {
			if (in_the_way(&there[map].v[i], id, ports, n))
				r = queue_element(b, net, &there[map].v[i], false, err);
		}
	}
	return r;
}

int firewall_publish(struct netlink *nl, const struct network *net, const char *id,
		     const struct keeper_port *ports, size_t n, uint32_t address, struct err *err)
{
	struct err failure = ERR_INIT;
	struct batch b = {.nl = nl};

	int r = queue_removals(&b, net, id, ports, n, &failure);
	for (size_t i = 0; i < n && r == 0; i++) {
		struct element e;
		if (element_of(&ports[i], id, address, &e))
			r = queue_element(&b, net, &e, true, &failure);
	}
	if (r == 0)
		r = batch_send(&b, "publish ports", &failure);
	if (r == -ENFILE)
		return err_set(err, ENFILE, "publish ports: a network has %d at most", PORTS_MAX);
	return r < 0 ? err_set(err, failure.code, "%s", failure.msg) : r;
}

int firewall_withdraw(struct netlink *nl, const struct network *net, const char *id,
		      struct err *err)
{
	struct batch b = {.nl = nl};

	int r = queue_removals(&b, net, id, NULL, 0, err);
	if (r == 0)
		r = batch_send(&b, "withdraw ports", err);
	return r == NETLINK_ABSENT ? 0 : r;
}

int firewall_list(struct netlink *nl, const struct network *net, struct strv *ids, struct err *err)
{
	AUTO(both_done) struct elements there[2] = {{0}, {0}};

	int r = elements_read(nl, net, there, err);
	for (int map = 0; map < 2; map++) {
		for (size_t i = 0; i < there[map].n && r == 0; i++) {
			const char *id = there[map].v[i].id;
			if (id[0] && !(ids->n && str_in(id, (const char *const *)ids->v)))
				r = strv_add(ids, id, err);
		}
	}
	return r;
}
