/* SPDX-License-Identifier: Apache-2.0 */
#include "network/network.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "network/firewall.h"
#include "network/foreign.h"
#include "network/netlink.h"

enum { LOOPBACK_INDEX = 1 /* in every network namespace */ };

static const char link_prefix[] = "hl";

void network_link_name(const char *id, char name[NET_LINK_NAME])
{
	(void)snprintf(name, NET_LINK_NAME, "%s%.*s", link_prefix, NET_ID_LEN, id);
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

static int create_bridge(struct netlink *nl, const struct network *net, struct err *err)
{
	struct err clash = ERR_INIT;
	uint8_t mac[6];
	int uplink = 0;

	int r = check_subnet(nl, net, 0, &uplink, err);
	if (r < 0)
		return r;
	mac_of(subnet_gateway(&net->subnet), mac);
	r = link_add_bridge(nl, net->bridge, mac, uplink_mtu(nl, uplink), &clash);
	if (r == -EEXIST) /* somebody was quicker with the same */
		return 0;
	return r < 0 ? err_set(err, clash.code, "%s", clash.msg) : 0;
}

/* The bridge is complete when it is up: that comes last. */
static int ensure_bridge(struct netlink *nl, const struct network *net, struct link *ret,
			 bool *created, struct err *err)
{
	uint32_t gateway = subnet_gateway(&net->subnet);
	struct link bridge = {0};
	int uplink;

	int r = link_get(nl, net->bridge, &bridge, err);
	if (r == NETLINK_ABSENT) {
		*created = true;
		r = create_bridge(nl, net, err);
		if (r == 0)
			r = link_get(nl, net->bridge, &bridge, err);
	}
	if (r != 0)
		return r < 0 ? r : err_set(err, ENOENT, "bridge '%s' was removed", net->bridge);
	if (strcmp(bridge.kind, "bridge") != 0)
		return err_set(err, EEXIST, "interface '%s' is there and is not a bridge",
			       net->bridge);

	r = address_present(nl, bridge.index, gateway, err);
	if (r == 0) {
		r = check_subnet(nl, net, bridge.index, &uplink, err);
		if (r == 0)
			r = address_add(nl, bridge.index, gateway, net->subnet.prefix, err);
	}
	if (r >= 0 && !(bridge.flags & IFF_UP))
		r = link_up(nl, bridge.index, 0, 0, err);
	if (r >= 0)
		*ret = bridge;
	return r < 0 ? r : 0;
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

/* Whether a failure of the firewall's functions means a kernel without nftables (EINVAL: netfilter
 * without them). */
static bool is_unsupported(int r)
{
	return r == -EPROTONOSUPPORT || r == -EOPNOTSUPP || r == -EINVAL;
}

static int ensure_table(const struct network *net, struct network_report *report, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	struct err failure = ERR_INIT;

	int r = firewall_open(&nl, &failure);
	if (r == 0)
		r = firewall_present(nl, net, &failure);
	if (r == 0)
		r = firewall_create(net, &failure);
	if (r >= 0)
		r = foreign_allow(nl, net, report->notice, sizeof(report->notice), &failure);
	if (r == -ENOENT || is_unsupported(r)) { /* no program, or no support in the kernel */
		(void)snprintf(report->notice, sizeof(report->notice),
			       "no nftables here (%.100s): workloads have no way out, published "
			       "ports are served by their keepers",
			       failure.msg);
		return 0;
	}
	return r < 0 ? err_set(err, failure.code, "%s", failure.msg) : 0;
}

static int check_name(const struct network *net, struct err *err)
{
	size_t n = strspn(net->bridge, "abcdefghijklmnopqrstuvwxyz0123456789-");

	if (n == 0 || n >= IF_NAMESIZE || net->bridge[n] || !islower((unsigned char)net->bridge[0]))
		return err_set(err, EINVAL, "'%s' cannot be the name of a bridge", net->bridge);
	return 0;
}

int network_ensure(const struct network *net, struct network_report *ret, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	struct network_report report = {0};
	struct link bridge = {0};

	int r = check_name(net, err);
	if (r == 0)
		r = netlink_open(NETLINK_ROUTE, &nl, err);
	if (r == 0)
		r = ensure_bridge(nl, net, &bridge, &report.created, err);
	if (r == 0)
		r = ensure_forwarding(&report.forwarding_enabled, err);
	if (r == 0)
		r = ensure_table(net, &report, err);
	if (r < 0)
		return err_wrap(err, "network");
	report.mtu = bridge.mtu;
	*ret = report;
	return 0;
}

static int find_bridge(struct netlink *nl, const struct network *net, struct link *ret,
		       struct err *err)
{
	int r = link_get(nl, net->bridge, ret, err);

	return r == NETLINK_ABSENT ? err_set(err, ENOENT, "bridge '%s' is gone", net->bridge) : r;
}

static int add_veth(struct netlink *nl, const struct veth *veth, struct err *err)
{
	struct err clash = ERR_INIT;

	int r = link_add_veth(nl, veth, &clash);
	if (r != -EEXIST)
		return r < 0 ? err_set(err, clash.code, "%s", clash.msg) : 0;
	r = link_delete(nl, veth->name, err); /* of the workload's earlier life */
	return r < 0 ? r : link_add_veth(nl, veth, err);
}

/*
 * The accept in another program's firewall stands while the network has ports. Whoever adds a port
 * looks for it afterwards, and whoever takes the last one away looks for ports after removing it:
 * so whatever two of them do at once, it is there when a port is.
 */
static int open_way(const struct network *net, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nft = NULL;
	char told_by_ensure[NET_NOTICE_MAX];
	struct err failure = ERR_INIT;

	if (firewall_open(&nft, &failure) < 0)
		return 0;
	int r = foreign_allow(nft, net, told_by_ensure, sizeof(told_by_ensure), &failure);
	return r >= 0 || is_unsupported(r) ? 0 : err_set(err, failure.code, "%s", failure.msg);
}

static int count_port(const struct link *link, void *ctx, struct err *err)
{
	(void)link;
	(void)err;
	++*(unsigned *)ctx;
	return 0;
}

static int count_ports(struct netlink *nl, const struct network *net, unsigned *ret,
		       struct err *err)
{
	struct link bridge = {0};

	*ret = 0;
	int r = link_get(nl, net->bridge, &bridge, err);
	if (r == 0)
		r = link_list(nl, bridge.index, count_port, ret, err);
	return r < 0 ? r : 0;
}

static int close_way(struct netlink *nl, const struct network *net, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nft = NULL;
	struct err failure = ERR_INIT;
	unsigned ports;

	int r = count_ports(nl, net, &ports, err);
	if (r < 0 || ports > 0 || firewall_open(&nft, &failure) < 0)
		return r;
	r = foreign_forget(nft, net, &failure);
	if (r < 0)
		return is_unsupported(r) ? 0 : err_set(err, failure.code, "%s", failure.msg);
	r = count_ports(nl, net, &ports, err);
	return r == 0 && ports > 0 ? open_way(net, err) : r;
}

/* Inside the namespace: address, route and loopback. */
static int furnish(const struct network *net, int netns_fd, uint32_t address, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	struct link eth0;

	int r = netlink_open_in(netns_fd, NETLINK_ROUTE, &nl, err);
	if (r == 0)
		r = link_up(nl, LOOPBACK_INDEX, 0, 0, err);
	if (r == 0)
		r = link_get(nl, "eth0", &eth0, err);
	if (r == 0)
		r = address_add(nl, eth0.index, address, net->subnet.prefix, err);
	if (r == 0)
		r = link_up(nl, eth0.index, 0, 0, err);
	if (r == 0)
		r = route_add_default(nl, eth0.index, subnet_gateway(&net->subnet), err);
	return r == NETLINK_ABSENT ? err_set(err, ENODEV, "interface 'eth0' is gone") : r;
}

static void undo_attach(struct netlink *nl, const struct network *net, const char *name)
{
	struct err ignored = ERR_INIT; /* the first failure is the one to tell */

	if (link_delete(nl, name, &ignored) < 0 || close_way(nl, net, &ignored) < 0)
		return;
}

int network_attach_container(const struct network *net, const char *id, int netns_fd,
			     uint32_t address, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	char name[NET_LINK_NAME];
	struct link bridge = {0};
	uint8_t mac[6];

	network_link_name(id, name);
	mac_of(address, mac);
	int r = netlink_open(NETLINK_ROUTE, &nl, err);
	if (r == 0)
		r = find_bridge(nl, net, &bridge, err);
	if (r < 0)
		return err_wrap(err, "attach to network");
	struct veth veth = {.name = name,
			    .master = bridge.index,
			    .netns_fd = netns_fd,
			    .peer = "eth0",
			    .peer_mac = mac,
			    .mtu = bridge.mtu};
	r = add_veth(nl, &veth, err);
	if (r == 0) {
		r = open_way(net, err);
		if (r == 0)
			r = furnish(net, netns_fd, address, err);
		if (r == 0)
			r = link_settle(nl, name, err);
		if (r == 0)
			r = link_settle(nl, net->bridge, err);
		if (r < 0)
			undo_attach(nl, net, name);
	}
	return r < 0 ? err_wrap(err, "attach to network") : 0;
}

/* Makes the tap, which is gone with *ret's descriptor until TUNSETPERSIST. */
static int open_tap(struct netlink *nl, const char *name, int *ret, struct err *err)
{
	struct ifreq ifr = {
		.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL)};

	AUTO_CLOSE int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "open /dev/net/tun");
	memcpy(ifr.ifr_name, name, strlen(name) + 1);
	int r = ioctl(fd, TUNSETIFF, &ifr);
	if (r < 0 && errno == EBUSY) { /* of the workload's earlier life */
		r = link_delete(nl, name, err);
		if (r < 0)
			return r;
		r = ioctl(fd, TUNSETIFF, &ifr);
	}
	if (r < 0)
		return err_sys(err, "create tap '%s'", name);
	*ret = TAKE_FD(fd);
	return 0;
}

int network_attach_machine(const struct network *net, const char *id, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	AUTO_CLOSE int tap = -1;
	char name[NET_LINK_NAME];
	struct link bridge = {0};
	struct link link = {0};

	network_link_name(id, name);
	int r = netlink_open(NETLINK_ROUTE, &nl, err);
	if (r == 0)
		r = find_bridge(nl, net, &bridge, err);
	if (r == 0)
		r = open_tap(nl, name, &tap, err);
	if (r == 0)
		r = link_get(nl, name, &link, err);
	if (r == 0)
		r = link_up(nl, link.index, bridge.index, bridge.mtu, err);
	if (r == 0)
		r = open_way(net, err);
	if (r == 0 && ioctl(tap, TUNSETPERSIST, 1) < 0)
		r = err_sys(err, "keep tap '%s'", name);
	if (r == NETLINK_ABSENT)
		r = err_set(err, ENODEV, "tap '%s' is gone", name);
	return r < 0 ? err_wrap(err, "attach to network") : 0;
}

int network_publish(const struct network *net, const char *id, const struct keeper_port *ports,
		    size_t n_ports, uint32_t address, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	struct err failure = ERR_INIT;

	int r = firewall_open(&nl, &failure);
	if (r == 0)
		r = firewall_publish(nl, net, id, ports, n_ports, address, &failure);
	if (r >= 0 || is_unsupported(r)) /* no table: the keepers serve all */
		return 0;
	return err_set(err, failure.code, "network: %s", failure.msg);
}

int network_detach(const struct network *net, const char *id, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nft = NULL;
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	struct err failure = ERR_INIT;
	char name[NET_LINK_NAME];

	int r = firewall_open(&nft, &failure);
	if (r == 0)
		r = firewall_withdraw(nft, net, id, &failure);
	network_link_name(id, name);
	int r2 = netlink_open(NETLINK_ROUTE, &nl, err); /* tried whatever became of the ports */
	if (r2 == 0)
		r2 = link_delete(nl, name, err);
	if (r2 == 0)
		r2 = close_way(nl, net, err);
	if (r2 == 0 && r < 0 && !is_unsupported(r))
		r2 = err_set(err, failure.code, "%s", failure.msg);
	return r2 < 0 ? err_wrap(err, "detach from network") : 0;
}

static int list_id(const struct link *link, void *ctx, struct err *err)
{
	struct strv *ids = ctx;
	const char *id;

	if (!str_prefix(link->name, link_prefix, &id) || strlen(id) != NET_ID_LEN ||
	    (ids->n && str_in(id, (const char *const *)ids->v)))
		return 0;
	return strv_add(ids, id, err);
}

int network_list(const struct network *net, struct strv *ids, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nft = NULL;
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	struct err failure = ERR_INIT;
	struct link bridge = {0};

	int r = netlink_open(NETLINK_ROUTE, &nl, err);
	if (r == 0)
		r = link_get(nl, net->bridge, &bridge, err);
	if (r == 0)
		r = link_list(nl, bridge.index, list_id, ids, err);
	if (r < 0)
		return err_wrap(err, "network");
	r = firewall_open(&nft, &failure);
	if (r == 0)
		r = firewall_list(nft, net, ids, &failure);
	return r >= 0 || is_unsupported(r) ? 0 : err_set(err, failure.code, "%s", failure.msg);
}

static int refuse_port(const struct link *link, void *ctx, struct err *err)
{
	const struct network *net = ctx;

	return err_set(err, EBUSY, "network '%s' is in use by interface '%s'", net->bridge,
		       link->name);
}

int network_remove(const struct network *net, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nft = NULL;
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	struct err failure = ERR_INIT;
	struct network mine = *net;
	struct link bridge = {0};

	int r = netlink_open(NETLINK_ROUTE, &nl, err);
	if (r == 0)
		r = link_get(nl, net->bridge, &bridge, err);
	if (r == 0)
		r = link_list(nl, bridge.index, refuse_port, &mine, err);
	if (r >= 0)
		r = link_delete(nl, net->bridge, err);
	if (r < 0)
		return r;
	r = firewall_open(&nft, &failure);
	if (r == 0)
		r = foreign_forget(nft, net, &failure);
	if (r == 0)
		r = firewall_remove(nft, net, &failure);
	return r >= 0 || is_unsupported(r) ? 0 : err_set(err, failure.code, "%s", failure.msg);
}
