/* SPDX-License-Identifier: Apache-2.0 */
/* Interfaces, addresses and routes (rtnetlink). */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "network/netlink.h"

enum {
	OPER_UP = 6, /* IF_OPER_UP: linux/if.h does not go together with net/if.h */
	BUCKET_HANDLE = 0x48750000, /* tells hull's queue from another's */
	BURSTS_A_SECOND = 10,
	BURST_MIN = 80 * 1024, /* 64 KiB cut into segments (GSO) and the headers of each, or they
				  would be cut before their time */
};

static struct nlmsghdr *begin_link(struct netlink *nl, uint16_t type, uint16_t flags,
				   struct ifinfomsg **ret)
{
	struct nlmsghdr *nlh = netlink_begin(nl, type, flags);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));

	ifi->ifi_family = AF_UNSPEC;
	*ret = ifi;
	return nlh;
}

static void copy_text(char *to, size_t size, const struct nlattr *attr)
{
	size_t n = strnlen(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr));

	if (n >= size)
		n = size - 1;
	memcpy(to, mnl_attr_get_payload(attr), n);
	to[n] = '\0';
}

static void read_link(const struct nlmsghdr *nlh, struct link *ret)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;

	*ret = (struct link){.index = ifi->ifi_index, .flags = ifi->ifi_flags};
	attr_each (attr, nlh, sizeof(*ifi)) {
		uint16_t type = mnl_attr_get_type(attr);
		if (type == IFLA_IFNAME)
			copy_text(ret->name, sizeof(ret->name), attr);
		else if (type == IFLA_MASTER)
			ret->master = (int)mnl_attr_get_u32(attr);
		else if (type == IFLA_MTU)
			ret->mtu = mnl_attr_get_u32(attr);
		else if (type == IFLA_OPERSTATE)
			ret->running = mnl_attr_get_u8(attr) == OPER_UP;
		else if (type == IFLA_LINKINFO) {
			const struct nlattr *info;
			attr_each_in (info, attr) {
				if (mnl_attr_get_type(info) == IFLA_INFO_KIND)
					copy_text(ret->kind, sizeof(ret->kind), info);
			}
		}
	}
}

static int got_link(const struct nlmsghdr *nlh, void *ctx, struct err *err)
{
	(void)err;
	if (nlh && nlh->nlmsg_type == RTM_NEWLINK)
		read_link(nlh, ctx);
	return 0;
}

int link_get(struct netlink *nl, const char *name, struct link *ret, struct err *err)
{
	struct ifinfomsg *ifi;
	struct nlmsghdr *nlh = begin_link(nl, RTM_GETLINK, 0, &ifi);
	struct link found = {0};
	char what[64];

	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	(void)snprintf(what, sizeof(what), "look up interface '%s'", name);
	int r = netlink_get(nl, nlh, got_link, &found, what, err);
	if (r == 0)
		*ret = found;
	return r;
}

struct link_listing {
	link_fn *fn;
	void *ctx;
	int master;
};

static int list_link(const struct nlmsghdr *nlh, void *ctx, struct err *err)
{
	const struct link_listing *l = ctx;
	struct link link;

	if (!nlh || nlh->nlmsg_type != RTM_NEWLINK)
		return 0;
	read_link(nlh, &link);
	if (l->master && link.master != l->master)
		return 0;
	return l->fn(&link, l->ctx, err);
}

int link_list(struct netlink *nl, int master, link_fn *fn, void *ctx, struct err *err)
{
	struct ifinfomsg *ifi;
	struct nlmsghdr *nlh = begin_link(nl, RTM_GETLINK, NLM_F_DUMP, &ifi);
	struct link_listing l = {fn, ctx, master};

	if (master)
		mnl_attr_put_u32(nlh, IFLA_MASTER, (uint32_t)master);
	int r = netlink_get(nl, nlh, list_link, &l, "list interfaces", err);
	return r == NETLINK_ABSENT ? 0 : r; /* the bridge went away meanwhile: it has none */
}

int link_delete(struct netlink *nl, const char *name, struct err *err)
{
	struct ifinfomsg *ifi;
	struct nlmsghdr *nlh = begin_link(nl, RTM_DELLINK, 0, &ifi);
	char what[64];

	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	(void)snprintf(what, sizeof(what), "remove interface '%s'", name);
	int r = netlink_ask(nl, nlh, what, err);
	return r == NETLINK_ABSENT ? 0 : r;
}

int link_delete_index(struct netlink *nl, int index, struct err *err)
{
	struct ifinfomsg *ifi;
	struct nlmsghdr *nlh = begin_link(nl, RTM_DELLINK, 0, &ifi);

	ifi->ifi_index = index;
	int r = netlink_ask(nl, nlh, "remove interface", err);
	return r == NETLINK_ABSENT ? 0 : r;
}

int link_mute(struct netlink *nl, int index, struct err *err)
{
	struct err failure = ERR_INIT;
	struct ifinfomsg *ifi;
	struct nlmsghdr *nlh = begin_link(nl, RTM_SETLINK, 0, &ifi);

	ifi->ifi_family = AF_BRIDGE;
	ifi->ifi_index = index;
	struct nlattr *port = mnl_attr_nest_start(nlh, IFLA_PROTINFO);
	mnl_attr_put_u8(nlh, IFLA_BRPORT_STATE, BR_STATE_DISABLED);
	mnl_attr_nest_end(nlh, port);
	int r = netlink_ask(nl, nlh, "disable bridge port", &failure);
	if (r >= 0 || r == -EINVAL || r == -EOPNOTSUPP) /* it is on no bridge */
		return 0;
	return r == -ENETDOWN ? 0 : err_set(err, failure.code, "%s", failure.msg);
}

int link_up(struct netlink *nl, int index, int master, uint32_t mtu, struct err *err)
{
	struct ifinfomsg *ifi;
	struct nlmsghdr *nlh = begin_link(nl, RTM_NEWLINK, 0, &ifi);

	ifi->ifi_index = index;
	ifi->ifi_flags = IFF_UP;
	ifi->ifi_change = IFF_UP;
	if (mtu)
		mnl_attr_put_u32(nlh, IFLA_MTU, mtu);
	if (master)
		mnl_attr_put_u32(nlh, IFLA_MASTER, (uint32_t)master);
	return netlink_do(nl, nlh, "set interface up", err);
}

int link_settle(struct netlink *nl, const char *name, struct err *err)
{
	enum { PAUSE_NS = 500000, PAUSES = 100 };
	struct timespec pause = {.tv_nsec = PAUSE_NS};
	struct link link = {0};

	for (int i = 0; i < PAUSES; i++) {
		int r = link_get(nl, name, &link, err);
		if (r != 0)
			return r < 0 ? r : err_set(err, ENODEV, "interface '%s' is gone", name);
		if (link.running)
			return 0;
		(void)nanosleep(&pause, NULL);
	}
	return 0; /* its first packets may be late then */
}

static struct nlmsghdr *begin_bucket(struct netlink *nl, uint16_t type, uint16_t flags, int index)
{
	struct nlmsghdr *nlh = netlink_begin(nl, type, flags);
	struct tcmsg *tcm = mnl_nlmsg_put_extra_header(nlh, sizeof(*tcm));

	tcm->tcm_family = AF_UNSPEC;
	tcm->tcm_ifindex = index;
	tcm->tcm_handle = BUCKET_HANDLE;
	tcm->tcm_parent = TC_H_ROOT;
	mnl_attr_put_strz(nlh, TCA_KIND, "tbf");
	return nlh;
}

static int remove_bucket(struct netlink *nl, int index, struct err *err)
{
	struct err failure = ERR_INIT;
	struct nlmsghdr *nlh = begin_bucket(nl, RTM_DELQDISC, 0, index);
	int r = netlink_ask(nl, nlh, "free interface of its limit", &failure);

	if (r >= 0 || r == -EINVAL) /* none there, or somebody else's queue is */
		return 0;
	return err_set(err, failure.code, "%s", failure.msg);
}

static int set_bucket(struct netlink *nl, int index, uint64_t rate, struct err *err)
{
	struct nlmsghdr *nlh = begin_bucket(nl, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, index);
	uint64_t burst = rate / BURSTS_A_SECOND;

	if (burst < BURST_MIN)
		burst = BURST_MIN;
	if (burst > UINT32_MAX / 2)
		burst = UINT32_MAX / 2;
	const struct tc_tbf_qopt q = {
		.rate = {.linklayer = TC_LINKLAYER_ETHERNET,
			 .rate = rate < UINT32_MAX ? (uint32_t)rate : UINT32_MAX},
		.limit = (uint32_t)burst * 2, /* as much again may wait */
	};
	struct nlattr *options = mnl_attr_nest_start(nlh, TCA_OPTIONS);
	mnl_attr_put(nlh, TCA_TBF_PARMS, sizeof(q), &q);
	mnl_attr_put_u32(nlh, TCA_TBF_BURST, (uint32_t)burst);
	if (rate >= UINT32_MAX)
		mnl_attr_put_u64(nlh, TCA_TBF_RATE64, rate);
	mnl_attr_nest_end(nlh, options);
	int r = netlink_ask(nl, nlh, "limit interface", err);
	return r == NETLINK_ABSENT
		       ? err_set(err, ENOTSUP,
				 "the host's kernel cannot limit an interface (it has no sch_tbf)")
		       : r;
}

int link_limit(struct netlink *nl, int index, uint64_t rate, struct err *err)
{
	return rate ? set_bucket(nl, index, rate, err) : remove_bucket(nl, index, err);
}

int link_add_bridge(struct netlink *nl, const char *name, const uint8_t mac[6], uint32_t mtu,
		    struct err *err)
{
	struct ifinfomsg *ifi;
	struct nlmsghdr *nlh = begin_link(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifi);
	char what[64];

	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	mnl_attr_put(nlh, IFLA_ADDRESS, 6, mac);
	if (mtu)
		mnl_attr_put_u32(nlh, IFLA_MTU, mtu);
	struct nlattr *info = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, "bridge");
	mnl_attr_nest_end(nlh, info);
	(void)snprintf(what, sizeof(what), "create bridge '%s'", name);
	return netlink_do(nl, nlh, what, err);
}

int link_add_veth(struct netlink *nl, const struct veth *veth, struct err *err)
{
	struct ifinfomsg *ifi;
	struct nlmsghdr *nlh = begin_link(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifi);
	char what[64];

	ifi->ifi_flags = IFF_UP;
	ifi->ifi_change = IFF_UP;
	mnl_attr_put_strz(nlh, IFLA_IFNAME, veth->name);
	mnl_attr_put_u32(nlh, IFLA_MASTER, (uint32_t)veth->master);
	mnl_attr_put_u32(nlh, IFLA_MTU, veth->mtu);
	struct nlattr *info = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, "veth");
	struct nlattr *data = mnl_attr_nest_start(nlh, IFLA_INFO_DATA);
	struct nlattr *peer = mnl_attr_nest_start(nlh, VETH_INFO_PEER);
	(void)mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(nlh, IFLA_IFNAME, veth->peer);
	mnl_attr_put(nlh, IFLA_ADDRESS, 6, veth->peer_mac);
	mnl_attr_put_u32(nlh, IFLA_MTU, veth->mtu);
	mnl_attr_put_u32(nlh, IFLA_NET_NS_FD, (uint32_t)veth->netns_fd);
	mnl_attr_nest_end(nlh, peer);
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, info);
	(void)snprintf(what, sizeof(what), "create interface '%s'", veth->name);
	return netlink_do(nl, nlh, what, err);
}

int address_add(struct netlink *nl, int index, uint32_t address, uint8_t prefix, struct err *err)
{
	struct nlmsghdr *nlh = netlink_begin(nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
	struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifa));
	uint32_t broadcast = prefix >= 31 ? address : address | (UINT32_MAX >> prefix);

	ifa->ifa_family = AF_INET;
	ifa->ifa_prefixlen = prefix;
	ifa->ifa_index = (uint32_t)index;
	mnl_attr_put_u32(nlh, IFA_LOCAL, htonl(address));
	mnl_attr_put_u32(nlh, IFA_ADDRESS, htonl(address));
	mnl_attr_put_u32(nlh, IFA_BROADCAST, htonl(broadcast));
	return netlink_do(nl, nlh, "set address", err);
}

struct address_search {
	uint32_t index, address;
	bool found;
};

static int match_address(const struct nlmsghdr *nlh, void *ctx, struct err *err)
{
	struct address_search *s = ctx;
	const struct ifaddrmsg *ifa = nlh ? mnl_nlmsg_get_payload(nlh) : NULL;
	const struct nlattr *attr;

	(void)err;
	if (!nlh || nlh->nlmsg_type != RTM_NEWADDR || ifa->ifa_index != s->index)
		return 0;
	attr_each (attr, nlh, sizeof(*ifa)) {
		if (mnl_attr_get_type(attr) == IFA_LOCAL &&
		    ntohl(mnl_attr_get_u32(attr)) == s->address)
			s->found = true;
	}
	return 0;
}

int address_present(struct netlink *nl, int index, uint32_t address, struct err *err)
{
	struct nlmsghdr *nlh = netlink_begin(nl, RTM_GETADDR, NLM_F_DUMP);
	struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifa));
	struct address_search s = {.index = (uint32_t)index, .address = address};

	ifa->ifa_family = AF_INET;
	ifa->ifa_index = (uint32_t)index;
	int r = netlink_get(nl, nlh, match_address, &s, "list addresses", err);
	return r < 0 ? r : s.found;
}

int route_add_default(struct netlink *nl, int index, uint32_t gateway, struct err *err)
{
	struct nlmsghdr *nlh = netlink_begin(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));

	rtm->rtm_family = AF_INET;
	rtm->rtm_table = RT_TABLE_MAIN;
	rtm->rtm_protocol = RTPROT_STATIC;
	rtm->rtm_scope = RT_SCOPE_UNIVERSE;
	rtm->rtm_type = RTN_UNICAST;
	mnl_attr_put_u32(nlh, RTA_GATEWAY, htonl(gateway));
	mnl_attr_put_u32(nlh, RTA_OIF, (uint32_t)index);
	return netlink_do(nl, nlh, "set default route", err);
}

struct route_listing {
	route_fn *fn;
	void *ctx;
};

static int list_route(const struct nlmsghdr *nlh, void *ctx, struct err *err)
{
	const struct route_listing *l = ctx;
	const struct rtmsg *rtm = nlh ? mnl_nlmsg_get_payload(nlh) : NULL;
	const struct nlattr *attr;

	if (!nlh || nlh->nlmsg_type != RTM_NEWROUTE || rtm->rtm_family != AF_INET ||
	    rtm->rtm_table == RT_TABLE_LOCAL)
		return 0;
	struct route route = {.prefix = rtm->rtm_dst_len};
	attr_each (attr, nlh, sizeof(*rtm)) {
		if (mnl_attr_get_type(attr) == RTA_DST)
			route.base = ntohl(mnl_attr_get_u32(attr));
		else if (mnl_attr_get_type(attr) == RTA_OIF)
			route.index = (int)mnl_attr_get_u32(attr);
	}
	return l->fn(&route, l->ctx, err);
}

int route_list(struct netlink *nl, route_fn *fn, void *ctx, struct err *err)
{
	struct nlmsghdr *nlh = netlink_begin(nl, RTM_GETROUTE, NLM_F_DUMP);
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	struct route_listing l = {fn, ctx};

	rtm->rtm_family = AF_INET;
	int r = netlink_get(nl, nlh, list_route, &l, "list routes", err);
	return r == NETLINK_ABSENT ? 0 : r;
}
