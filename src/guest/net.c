/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"
#include "guest/sysfs.h"
#include "proto/plan.h"

enum { INTERFACE_MS = 10000 };

/* One request; attributes are appended with add(). */
struct request {
	struct nlmsghdr head;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg address;
		struct rtmsg route;
		char room[256];
	};
};

static void add(struct request *r, uint16_t type, const void *data, size_t n)
{
	size_t at = NLMSG_ALIGN(r->head.nlmsg_len);
	struct rtattr a = {.rta_len = (unsigned short)(RTA_LENGTH(0) + n), .rta_type = type};

	memcpy((char *)r + at, &a, sizeof(a));
	memcpy((char *)r + at + RTA_LENGTH(0), data, n);
	r->head.nlmsg_len = (uint32_t)(at + RTA_ALIGN(a.rta_len));
}

/* Sends the request and waits for the kernel's word. */
static int ask(int nl, struct request *r, const char *what, struct err *err)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr word;
		char rest[512];
	} answer = {0};

	r->head.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	if (send(nl, r, r->head.nlmsg_len, 0) < 0)
		return err_sys(err, "%s", what);
	ssize_t n = recv(nl, &answer, sizeof(answer), 0);
	if (n < 0)
		return err_sys(err, "%s", what);
	if ((size_t)n < NLMSG_LENGTH(sizeof(answer.word)) || answer.head.nlmsg_type != NLMSG_ERROR)
		return err_set(err, EPROTO, "%s: no answer of the kernel's", what);
	int code = -answer.word.error;
	return code ? err_set(err, code, "%s: %s", what, strerrordesc_np(code)) : 0;
}

static struct request link_request(unsigned index)
{
	return (struct request){.head = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
					 .nlmsg_type = RTM_NEWLINK},
				.link = {.ifi_index = (int)index}};
}

static int link_up(int nl, unsigned index, uint32_t mtu, struct err *err)
{
	struct request r = link_request(index);

	r.link.ifi_flags = IFF_UP;
	r.link.ifi_change = IFF_UP;
	if (mtu)
		add(&r, IFLA_MTU, &mtu, sizeof(mtu));
	return ask(nl, &r, "bring the network interface up", err);
}

static int link_rename(int nl, unsigned index, const char *name, struct err *err)
{
	struct request r = link_request(index);

	add(&r, IFLA_IFNAME, name, strlen(name) + 1);
	return ask(nl, &r, "name the network interface", err);
}

/* "10.214.0.2/16"; *prefix stays as it is when none is named. */
static int parse(const char *text, struct in_addr *address, int64_t *prefix, struct err *err)
{
	char host[INET_ADDRSTRLEN] = "";
	size_t n = strcspn(text, "/");

	if (n < sizeof(host))
		memcpy(host, text, n);
	if (inet_pton(AF_INET, host, address) != 1)
		return err_set(err, EINVAL, "'%s' is no address", text);
	return text[n] ? parse_int(text + n + 1, 0, 32, "prefix", prefix, err) : 0;
}

static int add_address(int nl, unsigned index, const char *text, struct err *err)
{
	struct in_addr address;
	int64_t prefix = 32;

	int r = parse(text, &address, &prefix, err);
	if (r < 0)
		return r;
	struct request q = {.head = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg)),
				     .nlmsg_type = RTM_NEWADDR,
				     .nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE},
			    .address = {.ifa_family = AF_INET,
					.ifa_prefixlen = (uint8_t)prefix,
					.ifa_index = index}};
	add(&q, IFA_LOCAL, &address, sizeof(address));
	add(&q, IFA_ADDRESS, &address, sizeof(address));
	if (prefix < 31) {
		struct in_addr all = {address.s_addr | htonl(UINT32_MAX >> prefix)};
		add(&q, IFA_BROADCAST, &all, sizeof(all));
	}
	return ask(nl, &q, "set the network address", err);
}

static int add_default_route(int nl, unsigned index, const char *text, struct err *err)
{
	struct in_addr gateway;
	int64_t prefix = 32;

	int r = parse(text, &gateway, &prefix, err);
	if (r < 0)
		return r;
	struct request q = {.head = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg)),
				     .nlmsg_type = RTM_NEWROUTE,
				     .nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE},
			    .route = {.rtm_family = AF_INET,
				      .rtm_table = RT_TABLE_MAIN,
				      .rtm_protocol = RTPROT_BOOT,
				      .rtm_scope = RT_SCOPE_UNIVERSE,
				      .rtm_type = RTN_UNICAST}};
	add(&q, RTA_GATEWAY, &gateway, sizeof(gateway));
	add(&q, RTA_OIF, &index, sizeof(index));
	return ask(nl, &q, "set the default route", err);
}

static int setup_interface(int nl, const char *wanted, const struct plan_net *net, struct err *err)
{
	char name[SYSFS_NAME] = "eth0"; /* without a MAC the only one */
	int r = 0;

	if (net->mac)
		r = sysfs_find("/sys/class/net", "address", net->mac, "network interface",
			       INTERFACE_MS, name, err);
	if (r < 0)
		return r;
	unsigned index = if_nametoindex(name);
	if (strcmp(name, wanted) != 0)
		r = link_rename(nl, index, wanted, err);
	if (r == 0)
		r = add_address(nl, index, net->address, err);
	if (r == 0)
		r = link_up(nl, index, net->mtu, err);
	if (r == 0 && net->gateway)
		r = add_default_route(nl, index, net->gateway, err);
	return r;
}

static int open_netlink(struct err *err)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	return fd < 0 ? err_sys(err, "open netlink") : fd;
}

int net_setup(const struct plan_net *net, struct err *err)
{
	AUTO_CLOSE int nl = open_netlink(err);
	if (nl < 0)
		return nl;
	int r = link_up(nl, if_nametoindex("lo"), 0, err);
	if (r < 0 || !net->address)
		return r;
	r = setup_interface(nl, "eth0", net, err);
	return r < 0 ? err_wrap(err, "network") : 0;
}

int net_add(const char *name, const struct plan_net *net, struct err *err)
{
	AUTO_CLOSE int nl = open_netlink(err);
	if (nl < 0)
		return nl;
	int r = setup_interface(nl, name, net, err);
	return r < 0 ? err_wrap(err, "network") : 0;
}
