/* SPDX-License-Identifier: Apache-2.0 */
#include "network/bridge.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "network/firewall.h"
#include "network/foreign.h"
#include "network/netlink.h"
#include "network/network.h"

static const char lock_path[] = "/run/hull-network.lock";

/*
 * Takes the host's one lock for networks; the caller closes the descriptor returned. The programs
 * that run under it (nft, iptables) hold it too: when hull is killed it stands until they are done.
 */
static int take_lock(bool alone, struct err *err)
{
	enum { PAUSE_NS = 2000000, PAUSES = 5000 };
	struct timespec pause = {.tv_nsec = PAUSE_NS};

	AUTO_CLOSE int fd = open(lock_path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, "open '%s'", lock_path);
	for (int i = 0; i < PAUSES; i++) {
		if (flock(fd, (alone ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0)
			return TAKE_FD(fd);
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_sys(err, "lock '%s'", lock_path);
		(void)nanosleep(&pause, NULL);
	}
	return err_set(err, ETIMEDOUT, "'%s' is locked by another process", lock_path);
}

/* What the routes of the host say about a subnet. */
struct survey {
	struct subnet subnet;
	int own; /* index of the network's own bridge, passed over */
	int taken_by; /* index of the interface whose route overlaps; 0: none */
	int uplink; /* index of the first default route's interface; 0: none */
};

static bool overlaps(const struct subnet *s, uint32_t base, uint8_t prefix)
{
	uint8_t shorter = prefix < s->prefix ? prefix : s->prefix;

	return ((s->base ^ base) & ~(UINT32_MAX >> shorter)) == 0;
}

static int survey_route(const struct route *route, void *ctx, struct err *err)
{
	struct survey *s = ctx;

	(void)err;
	if (route->prefix == 0) {
		if (!s->uplink)
			s->uplink = route->index;
	} else if (route->index != s->own && !s->taken_by &&
		   overlaps(&s->subnet, route->base, route->prefix)) {
		s->taken_by = route->index ? route->index : -1;
	}
	return 0;
}

static int check_subnet(struct netlink *nl, const struct network *net, int own, int *uplink,
			struct err *err)
{
	struct survey s = {.subnet = net->subnet, .own = own};
	char subnet[SUBNET_TEXT];
	char name[IF_NAMESIZE];

	int r = route_list(nl, survey_route, &s, err);
	if (r < 0)
		return r;
	subnet_format(&net->subnet, subnet);
	if (s.taken_by)
		return err_set(err, EADDRINUSE, "subnet %s is in use by interface '%s'", subnet,
			       s.taken_by > 0 && if_indextoname((unsigned)s.taken_by, name) ? name
											    : "?");
	*uplink = s.uplink;
	return 0;
}

/* The MTU towards the outside, 0 when there is no outside: larger packets would be lost on the
 * way where path MTU discovery does not work. */
static uint32_t uplink_mtu(struct netlink *nl, int uplink)
{
	struct err ignored = ERR_INIT; /* it went away: the kernel's default will do */
	char name[IF_NAMESIZE];
	struct link link;

	if (uplink <= 0 || !if_indextoname((unsigned)uplink, name) ||
	    link_get(nl, name, &link, &ignored) != 0)
		return 0;
	return link.mtu < 1500 ? link.mtu : 0;
}

static int add_bridge(struct netlink *nl, const struct network *net, struct err *err)
{
	uint8_t mac[6];
	int uplink = 0;

	int r = check_subnet(nl, net, 0, &uplink, err);
	if (r < 0)
		return r;
	mac_of(subnet_gateway(&net->subnet), mac);
	return link_add_bridge(nl, net->bridge, mac, uplink_mtu(nl, uplink), err);
}

static int ensure_forwarding(bool *changed, struct err *err)
{
	static const char path[] = "/proc/sys/net/ipv4/ip_forward";
	AUTO_BUF struct buf now = BUF_INIT;

	int r = file_read(AT_FDCWD, path, 16, &now, err);
	if (r < 0 || (now.len && now.data[0] != '0'))
		return r;
	r = file_put(AT_FDCWD, path, "1", err);
	*changed = r == 0;
	return r;
}

bool firewall_is_missing(int r)
{
	/* EINVAL: netfilter without nftables */
	return r == -EPROTONOSUPPORT || r == -EOPNOTSUPP || r == -EINVAL;
}

static int check_name(const struct network *net, struct err *err)
{
	size_t n = strspn(net->bridge, "abcdefghijklmnopqrstuvwxyz0123456789-");

	if (n == 0 || n >= IF_NAMESIZE || net->bridge[n] || !islower((unsigned char)net->bridge[0]))
		return err_set(err, EINVAL, "'%s' cannot be the name of a bridge", net->bridge);
	return 0;
}

static int count_port(const struct link *link, void *ctx, struct err *err)
{
	(void)link;
	(void)err;
	++*(unsigned *)ctx;
	return 0;
}

/* How many interfaces are on the bridge; none when there is no bridge. */
static int count_ports(struct netlink *nl, const struct network *net, unsigned *ret,
		       struct err *err)
{
	struct link bridge = {0};
	unsigned n = 0;

	int r = link_get(nl, net->bridge, &bridge, err);
	if (r == 0)
		r = link_list(nl, bridge.index, count_port, &n, err);
	if (r >= 0)
		*ret = n;
	return r < 0 ? r : 0;
}

/* Takes down what there is, held alone and without ports. */
static int dismantle(struct netlink *nl, const struct network *net, int lock, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nft = NULL;
	struct err failure = ERR_INIT;

	int r = firewall_open(&nft, &failure);
	if (r == 0)
		r = foreign_forget(nft, net, lock, &failure);
	if (r == 0)
		r = firewall_remove(nft, net, &failure);
	if (r < 0 && !firewall_is_missing(r))
		return err_set(err, failure.code, "%s", failure.msg);
	return link_delete(nl, net->bridge, err);
}

/* What there is of a network. */
struct condition {
	struct link bridge; /* index 0: none */
	bool addressed; /* the bridge has the gateway's address */
	bool has_table;
};

static bool is_whole(const struct condition *c)
{
	return c->bridge.index && c->addressed && (c->bridge.flags & IFF_UP);
}

static int look_at_table(const struct network *net, bool *ret, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nft = NULL;
	struct err failure = ERR_INIT;

	int r = firewall_open(&nft, &failure);
	if (r == 0)
		r = firewall_present(nft, net, &failure);
	if (r < 0 && !firewall_is_missing(r))
		return err_set(err, failure.code, "%s", failure.msg);
	*ret = r == 1;
	return 0;
}

static int look(struct netlink *nl, const struct network *net, struct condition *ret,
		struct err *err)
{
	struct condition c = {.addressed = false};

	int r = link_get(nl, net->bridge, &c.bridge, err);
	if (r == 0 && strcmp(c.bridge.kind, "bridge") != 0)
		return err_set(err, EEXIST, "interface '%s' is there and is not a bridge",
			       net->bridge);
	if (r == 0) {
		r = address_present(nl, c.bridge.index, subnet_gateway(&net->subnet), err);
		c.addressed = r == 1;
	}
	if (r >= 0)
		r = look_at_table(net, &c.has_table, err);
	if (r == 0)
		*ret = c;
	return r;
}

/* Makes the bridge, held alone: one that was not finished, or served another subnet, goes first. */
static int make_bridge(struct netlink *nl, const struct network *net, int lock,
		       const struct condition *c, struct err *err)
{
	struct link bridge = {0};
	unsigned ports;

	int r = count_ports(nl, net, &ports, err);
	if (r == 0 && ports > 0)
		return err_set(err, EADDRINUSE, "bridge '%s' is in use with another subnet",
			       net->bridge);
	if (r == 0 && (c->bridge.index || c->has_table))
		r = dismantle(nl, net, lock, err);
	if (r == 0)
		r = add_bridge(nl, net, err);
	if (r == 0)
		r = link_get(nl, net->bridge, &bridge, err);
	if (r == 0)
		r = address_add(nl, bridge.index, subnet_gateway(&net->subnet), net->subnet.prefix,
				err);
	if (r == 0)
		r = link_up(nl, bridge.index, 0, 0, err);
	return r == NETLINK_ABSENT ? err_set(err, ENODEV, "bridge '%s' was removed", net->bridge)
				   : r;
}

static int make(struct netlink *nl, const struct network *net, struct network_report *report,
		struct err *err)
{
	struct err failure = ERR_INIT;
	struct condition c;

	AUTO_CLOSE int lock = take_lock(true, err);
	if (lock < 0)
		return lock;
	int r = look(nl, net, &c, err);
	if (r == 0 && !is_whole(&c)) {
		r = make_bridge(nl, net, lock, &c, err);
		report->created = r == 0;
		c.has_table = false;
	}
	if (r < 0 || c.has_table)
		return r;
	r = firewall_create(net, lock, &failure);
	if (r == -ENOENT || firewall_is_missing(r)) /* no program, or no support in the kernel */
		(void)snprintf(report->notice, sizeof(report->notice),
			       "no nftables here (%.100s): workloads have no way out, published "
			       "ports are served by their keepers",
			       failure.msg);
	else if (r < 0)
		return err_set(err, failure.code, "%s", failure.msg);
	return 0;
}

static int open_way(const struct network *net, int lock, struct network_report *report,
		    struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nft = NULL;
	struct err failure = ERR_INIT;

	int r = firewall_open(&nft, &failure);
	if (r == 0)
		r = foreign_allow(nft, net, lock, report->notice, sizeof(report->notice), &failure);
	return r >= 0 || firewall_is_missing(r) ? 0 : err_set(err, failure.code, "%s", failure.msg);
}

int bridge_ensure(struct netlink *nl, const struct network *net, struct network_report *report,
		  int *lock, struct err *err)
{
	enum { TRIES = 8 };
	struct condition c;

	int r = check_name(net, err);
	for (int i = 0; i < TRIES && r == 0; i++) {
		AUTO_CLOSE int shared = take_lock(false, err);
		if (shared < 0)
			return shared;
		r = look(nl, net, &c, err);
		/* made a moment ago without a table: there will not be one */
		if (r == 0 && is_whole(&c) && (c.has_table || i > 0)) {
			report->mtu = c.bridge.mtu;
			r = ensure_forwarding(&report->forwarding_enabled, err);
			if (r == 0 && c.has_table)
				r = open_way(net, shared, report, err);
			if (r == 0)
				*lock = TAKE_FD(shared);
			return r;
		}
		auto_close(&shared);
		if (r == 0)
			r = make(nl, net, report, err);
	}
	return r < 0 ? r : err_set(err, EAGAIN, "bridge '%s' is removed all the time", net->bridge);
}

int bridge_find(struct netlink *nl, const struct network *net, struct link *ret, struct err *err)
{
	int r = link_get(nl, net->bridge, ret, err);

	return r == NETLINK_ABSENT ? err_set(err, ENODEV, "bridge '%s' is gone", net->bridge) : r;
}

int bridge_retire(struct netlink *nl, const struct network *net, struct err *err)
{
	unsigned ports;

	int r = count_ports(nl, net, &ports, err);
	if (r < 0 || ports > 0)
		return r;
	AUTO_CLOSE int lock = take_lock(true, err);
	if (lock < 0)
		return lock;
	r = count_ports(nl, net, &ports, err);
	return r < 0 || ports > 0 ? r : dismantle(nl, net, lock, err);
}

int network_ensure(const struct network *net, struct network_report *ret, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	AUTO_CLOSE int lock = -1;
	struct network_report report = {0};

	int r = netlink_open(NETLINK_ROUTE, &nl, err);
	if (r == 0)
		r = bridge_ensure(nl, net, &report, &lock, err);
	if (r < 0)
		return err_wrap(err, "network");
	*ret = report;
	return 0;
}

int network_remove(const struct network *net, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	unsigned ports;

	int r = netlink_open(NETLINK_ROUTE, &nl, err);
	if (r < 0)
		return r;
	AUTO_CLOSE int lock = take_lock(true, err);
	if (lock < 0)
		return lock;
	r = count_ports(nl, net, &ports, err);
	if (r == 0 && ports > 0)
		return err_set(err, EBUSY, "network '%s' is in use", net->bridge);
	return r < 0 ? r : dismantle(nl, net, lock, err);
}

int network_is_displaced(const struct network *net, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	struct survey s = {.subnet = net->subnet};
	struct link bridge = {0};
	unsigned ports = 0;

	int r = netlink_open(NETLINK_ROUTE, &nl, err);
	if (r == 0)
		r = link_get(nl, net->bridge, &bridge, err);
	s.own = bridge.index;
	if (r >= 0)
		r = route_list(nl, survey_route, &s, err);
	if (r == 0)
		r = count_ports(nl, net, &ports, err);
	if (r < 0)
		return err_wrap(err, "network");
	return s.taken_by && ports == 0;
}
