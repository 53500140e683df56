/* SPDX-License-Identifier: Apache-2.0 */
#include "network/network.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/proc.h"
#include "network/bridge.h"
#include "network/firewall.h"
#include "network/netlink.h"

enum {
	LOOPBACK_INDEX = 1, /* in every network namespace */
	GRACE_NS = 250 * 1000 * 1000,
};

static const char link_prefix[] = "hl";

void network_link_name(const char *id, unsigned nth, char name[NET_LINK_NAME])
{
	(void)snprintf(name, NET_LINK_NAME, "%s%.*s", link_prefix, NET_ID_LEN, id);
	if (nth > 0)
		(void)snprintf(name + strlen(name), 2, "%u", nth % 10);
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

/* Inside the namespace: address, loopback, and of the first interface the route. */
static int furnish(const struct network *net, int netns_fd, const char *name, uint32_t address,
		   bool first, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	struct link inner;

	int r = netlink_open_in(netns_fd, NETLINK_ROUTE, &nl, err);
	if (r == 0)
		r = link_up(nl, LOOPBACK_INDEX, 0, 0, err);
	if (r == 0)
		r = link_get(nl, name, &inner, err);
	if (r == 0)
		r = address_add(nl, inner.index, address, net->subnet.prefix, err);
	if (r == 0)
		r = link_up(nl, inner.index, 0, 0, err);
	if (r == 0 && first)
		r = route_add_default(nl, inner.index, subnet_gateway(&net->subnet), err);
	return r == NETLINK_ABSENT ? err_set(err, ENODEV, "interface '%s' is gone", name) : r;
}

/* After a failure, with the lock given back: the first failure is the one to tell. */
static void undo_attach(struct netlink *nl, const struct network *net, const char *name, int *lock)
{
	struct err ignored = ERR_INIT;

	auto_close(lock);
	if (!nl || link_delete(nl, name, &ignored) < 0 || bridge_retire(nl, net, &ignored) < 0)
		return;
}

int network_add_container(const struct network *net, const char *id, unsigned nth, int netns_fd,
			  uint32_t address, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	AUTO_CLOSE int lock = -1;
	struct network_report told_by_ensure = {0};
	char name[NET_LINK_NAME], inner[NET_LINK_NAME];
	struct link bridge = {0};
	uint8_t mac[6];

	network_link_name(id, nth, name);
	(void)snprintf(inner, sizeof(inner), "eth%u", nth);
	mac_of(address, mac);
	int r = netlink_open(NETLINK_ROUTE, &nl, err);
	if (r == 0)
		r = bridge_ensure(nl, net, &told_by_ensure, &lock, err);
	if (r == 0)
		r = bridge_find(nl, net, &bridge, err);
	struct veth veth = {.name = name,
			    .master = bridge.index,
			    .netns_fd = netns_fd,
			    .peer = inner,
			    .peer_mac = mac,
			    .mtu = bridge.mtu};
	if (r == 0)
		r = add_veth(nl, &veth, err);
	if (r == 0)
		r = furnish(net, netns_fd, inner, address, nth == 0, err);
	if (r == 0)
		r = link_settle(nl, name, err);
	if (r == 0)
		r = link_settle(nl, net->bridge, err);
	if (r == 0)
		return 0;
	undo_attach(nl, net, name, &lock);
	return err_wrap(err, "attach to network");
}

int network_attach_container(const struct network *net, const char *id, int netns_fd,
			     uint32_t address, struct err *err)
{
	return network_add_container(net, id, 0, netns_fd, address, err);
}

/* Makes the tap, which is gone with *ret's descriptor until TUNSETPERSIST. */
static int open_tap(struct netlink *nl, const char *name, bool many_queues, int *ret,
		    struct err *err)
{
	struct ifreq ifr = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL |
						 (many_queues ? IFF_MULTI_QUEUE : 0))};

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

static int add_machine(const struct network *net, const char *id, unsigned nth, bool many_queues,
		       struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	AUTO_CLOSE int lock = -1;
	AUTO_CLOSE int tap = -1;
	struct network_report told_by_ensure = {0};
	char name[NET_LINK_NAME];
	struct link bridge = {0};
	struct link link = {0};

	network_link_name(id, nth, name);
	int r = netlink_open(NETLINK_ROUTE, &nl, err);
	if (r == 0)
		r = bridge_ensure(nl, net, &told_by_ensure, &lock, err);
	if (r == 0)
		r = bridge_find(nl, net, &bridge, err);
	if (r == 0)
		r = open_tap(nl, name, many_queues, &tap, err);
	if (r == 0)
		r = link_get(nl, name, &link, err);
	if (r == 0)
		r = link_up(nl, link.index, bridge.index, bridge.mtu, err);
	if (r == 0 && ioctl(tap, TUNSETPERSIST, 1) < 0)
		r = err_sys(err, "keep tap '%s'", name);
	if (r == NETLINK_ABSENT)
		r = err_set(err, ENODEV, "tap '%s' is gone", name);
	if (r == 0)
		return 0;
	auto_close(&tap);
	undo_attach(nl, net, name, &lock);
	return err_wrap(err, "attach to network");
}

int network_attach_machine(const struct network *net, const char *id, bool many_queues,
			   struct err *err)
{
	return add_machine(net, id, 0, many_queues, err);
}

int network_add_machine(const struct network *net, const char *id, unsigned nth, struct err *err)
{
	return add_machine(net, id, nth, false, err);
}

static int limit_link(struct netlink *nl, const char *name, uint64_t rate, struct err *err)
{
	struct link link = {0};

	int r = link_get(nl, name, &link, err);
	if (r == NETLINK_ABSENT)
		return err_set(err, ENODEV, "interface '%s' is gone", name);
	return r < 0 ? r : link_limit(nl, link.index, rate, err);
}

static int limit_inside(int netns_fd, unsigned nth, uint64_t rate, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	char name[NET_LINK_NAME];

	(void)snprintf(name, sizeof(name), "eth%u", nth);
	int r = netlink_open_in(netns_fd, NETLINK_ROUTE, &nl, err);
	return r < 0 ? r : limit_link(nl, name, rate, err);
}

int network_limit(const char *id, unsigned nth, int netns_fd, const struct network_rates *rates,
		  struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	char name[NET_LINK_NAME];

	network_link_name(id, nth, name);
	if (netns_fd < 0 && rates->egress)
		return err_set(err, ENOTSUP,
			       "what a machine sends is limited by hull-monitor, which needs KVM");
	int r = netlink_open(NETLINK_ROUTE, &nl, err);
	if (r == 0)
		r = limit_link(nl, name, rates->ingress, err);
	if (r == 0 && netns_fd >= 0)
		r = limit_inside(netns_fd, nth, rates->egress, err);
	return r < 0 ? err_wrap(err, "limit network") : 0;
}

int network_take(const char *id, unsigned nth, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	char name[NET_LINK_NAME];

	network_link_name(id, nth, name);
	int r = netlink_open(NETLINK_ROUTE, &nl, err);
	return r < 0 ? r : link_delete(nl, name, err);
}

int network_publish(const struct network *net, const char *id, const struct keeper_port *ports,
		    size_t n_ports, uint32_t address, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	struct err failure = ERR_INIT;

	int r = firewall_open(&nl, &failure);
	if (r == 0)
		r = firewall_publish(nl, net, id, ports, n_ports, address, &failure);
	if (r >= 0 || firewall_is_missing(r)) /* no table: the keepers serve all */
		return 0;
	return err_set(err, failure.code, "network: %s", failure.msg);
}

/* Withdraws the ports of a workload, where there is a firewall. */
static int withdraw(const struct network *net, const char *id, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nft = NULL;
	struct err failure = ERR_INIT;

	int r = firewall_open(&nft, &failure);
	if (r == 0)
		r = firewall_withdraw(nft, net, id, &failure);
	return r >= 0 || firewall_is_missing(r) ? 0 : err_set(err, failure.code, "%s", failure.msg);
}

int network_detach(const struct network *net, const char *id, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	struct err failure = ERR_INIT;
	char name[NET_LINK_NAME];

	int ports = withdraw(net, id, &failure);
	int r = netlink_open(NETLINK_ROUTE, &nl, err); /* tried whatever became of the ports */
	for (unsigned nth = 0; r == 0 && nth <= NET_MORE_MAX; nth++) {
		network_link_name(id, nth, name);
		r = link_delete(nl, name, err);
	}
	if (r == 0)
		r = bridge_retire(nl, net, err);
	if (r == 0 && ports < 0)
		r = err_set(err, failure.code, "%s", failure.msg);
	return r < 0 ? err_wrap(err, "detach from network") : 0;
}

/* The rest of a detachment, in a process of its own that holds nothing of its parent's. What fails
 * here, or is killed, repair finds by the workload's id. */
static void detach_rest(const struct network *net, const int index[NET_MORE_MAX + 1])
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	struct timespec grace = {.tv_nsec = GRACE_NS};
	struct err ignored = ERR_INIT;

	(void)setsid();
	(void)close_range(0, UINT_MAX, 0);
	for (int i = 0; i < 3; i++)
		(void)open("/dev/null", O_RDWR | O_CLOEXEC);
	if (netlink_open(NETLINK_ROUTE, &nl, &ignored) < 0)
		return;
	for (unsigned nth = 0; nth <= NET_MORE_MAX; nth++) {
		if (index[nth] && link_delete_index(nl, index[nth], &ignored) < 0)
			return;
	}
	(void)nanosleep(&grace, NULL);
	if (bridge_retire(nl, net, &ignored) < 0)
		return;
}

static int detach_in_background(const struct network *net, const int index[NET_MORE_MAX + 1],
				struct err *err)
{
	pid_t pid = fork();

	if (pid < 0)
		return err_sys(err, "start a process");
	if (pid == 0) {
		if (fork() == 0) /* an orphan: nobody has to reap it */
			detach_rest(net, index);
		_exit(0);
	}
	int r = proc_wait(pid, err);
	return r < 0 ? r : 0;
}

/* Lets nothing pass an interface any more; *index stays 0 when it is not there. */
static int mute(struct netlink *nl, const char *id, unsigned nth, int *index, struct err *err)
{
	struct link link = {0};
	char name[NET_LINK_NAME];

	network_link_name(id, nth, name);
	int r = link_get(nl, name, &link, err);
	if (r == NETLINK_ABSENT)
		return 0;
	*index = link.index;
	return r < 0 ? r : link_mute(nl, link.index, err);
}

int network_detach_soon(const struct network *net, const char *id, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	struct err failure = ERR_INIT;
	int index[NET_MORE_MAX + 1] = {0};

	int ports = withdraw(net, id, &failure);
	int r = netlink_open(NETLINK_ROUTE, &nl, err);
	for (unsigned nth = 0; r == 0 && nth <= NET_MORE_MAX; nth++)
		r = mute(nl, id, nth, &index[nth], err);
	if (r == 0)
		r = detach_in_background(net, index, err);
	if (r == 0 && ports < 0)
		r = err_set(err, failure.code, "%s", failure.msg);
	return r < 0 ? err_wrap(err, "detach from network") : 0;
}

static int list_id(const struct link *link, void *ctx, struct err *err)
{
	struct strv *ids = ctx;
	char head[NET_ID_LEN + 1];
	const char *id;

	if (!str_prefix(link->name, link_prefix, &id) || strlen(id) < NET_ID_LEN ||
	    strlen(id) > NET_ID_LEN + 1)
		return 0;
	(void)snprintf(head, sizeof(head), "%.*s", NET_ID_LEN, id);
	return ids->n && str_in(head, (const char *const *)ids->v) ? 0 : strv_add(ids, head, err);
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
	return r >= 0 || firewall_is_missing(r) ? 0 : err_set(err, failure.code, "%s", failure.msg);
}
