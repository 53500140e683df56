/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A socket speaks for the network namespace it was made in: one for the host's, one for the
 * workload's, made by this (single-threaded) process while it is in there for a moment. The kernel
 * takes an interface's addresses away when it moves; they are read before, and given back as the
 * same messages.
 */
#include "container/netdev.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "proto/plan.h"

enum { ANSWER_MAX = 32768 };

/* One request with its attributes. */
struct request {
	struct nlmsghdr head;
	char body[512];
};

static void request_init(struct request *r, uint16_t type, const void *body, size_t n)
{
	memset(r, 0, sizeof(*r));
	r->head.nlmsg_type = type;
	r->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	r->head.nlmsg_len = (uint32_t)NLMSG_LENGTH(n);
	memcpy(r->body, body, n);
}

static void request_put(struct request *r, uint16_t type, const void *value, size_t n)
{
	size_t at = NLMSG_ALIGN(r->head.nlmsg_len) - sizeof(r->head);
	struct rtattr attr = {(uint16_t)RTA_LENGTH(n), type};

	if (at + RTA_SPACE(n) > sizeof(r->body))
		return; /* no attribute of ours is that long */
	memcpy(r->body + at, &attr, sizeof(attr));
	memcpy(r->body + at + RTA_LENGTH(0), value, n);
	r->head.nlmsg_len = (uint32_t)(sizeof(r->head) + at + RTA_LENGTH(n));
}

static int route_socket(struct err *err)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	return fd < 0 ? err_sys(err, "open a socket for links") : fd;
}

/* Sends it, and waits for the acknowledgement. */
static int ask(int sock, struct request *r, const char *what, const char *name, struct err *err)
{
	union {
		struct nlmsghdr head;
		char bytes[4096];
	} answer;

	if (send(sock, r, r->head.nlmsg_len, 0) < 0 ||
	    recv(sock, &answer, sizeof(answer), 0) < (ssize_t)NLMSG_LENGTH(sizeof(int)))
		return err_sys(err, "%s '%s'", what, name);
	int code = ((const struct nlmsgerr *)NLMSG_DATA(&answer.head))->error;
	if (answer.head.nlmsg_type != NLMSG_ERROR)
		return err_set(err, EPROTO, "%s '%s': no answer", what, name);
	return code ? err_set(err, -code, "%s '%s': %s", what, name, strerrordesc_np(-code)) : 0;
}

static int index_of(int sock, const char *name, struct err *err)
{
	struct ifreq req = {.ifr_ifindex = 0};

	(void)snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	if (ioctl(sock, SIOCGIFINDEX, &req) < 0)
		return err_sys(err, "interface '%s'", name);
	return req.ifr_ifindex;
}

static bool is_up(int sock, const char *name)
{
	struct ifreq req = {.ifr_flags = 0};

	(void)snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	return ioctl(sock, SIOCGIFFLAGS, &req) == 0 && req.ifr_flags & IFF_UP;
}

/* Appends the request that gives this address again, when it is one to keep: of no link alone, and
 * nobody's lease. */
static void keep_address(struct nlmsghdr *head, int index, struct buf *to)
{
	struct ifaddrmsg *a = NLMSG_DATA(head);
	size_t left = IFA_PAYLOAD(head);
	struct request r;

	if ((int)a->ifa_index != index || a->ifa_scope == RT_SCOPE_LINK ||
	    !(a->ifa_flags & IFA_F_PERMANENT))
		return;
	struct ifaddrmsg plain = {
		.ifa_family = a->ifa_family,
		.ifa_prefixlen = a->ifa_prefixlen,
		.ifa_scope = a->ifa_scope,
	};
	request_init(&r, RTM_NEWADDR, &plain, sizeof(plain));
	for (struct rtattr *at = IFA_RTA(a); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
		if (at->rta_type == IFA_LOCAL || at->rta_type == IFA_ADDRESS ||
		    at->rta_type == IFA_BROADCAST)
			request_put(&r, at->rta_type, RTA_DATA(at), RTA_PAYLOAD(at));
	}
	buf_add(to, &r, sizeof(r));
}

/* The addresses of one interface, as requests that give them again: struct request[]. */
static int read_addresses(int sock, int index, struct buf *to, struct err *err)
{
	static union {
		struct nlmsghdr head;
		char bytes[ANSWER_MAX];
	} answer;
	struct ifaddrmsg all = {.ifa_family = AF_UNSPEC};
	struct request r;

	request_init(&r, RTM_GETADDR, &all, sizeof(all));
	r.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	if (send(sock, &r, r.head.nlmsg_len, 0) < 0)
		return err_sys(err, "list addresses");
	for (;;) {
		ssize_t n = recv(sock, &answer, sizeof(answer), 0);
		if (n < 0)
			return err_sys(err, "list addresses");
		size_t left = (size_t)n;
		for (struct nlmsghdr *h = &answer.head; NLMSG_OK(h, left);
		     h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return buf_check(to, err);
			if (h->nlmsg_type == NLMSG_ERROR)
				return err_set(err, EIO, "list addresses");
			if (h->nlmsg_type == RTM_NEWADDR)
				keep_address(h, index, to);
		}
	}
}

static int give_addresses(int sock, int index, const struct buf *requests, const char *name,
			  struct err *err)
{
	int r = 0;

	for (size_t at = 0; r == 0 && at < requests->len; at += sizeof(struct request)) {
		struct request again;
		struct ifaddrmsg head;
		memcpy(&again, requests->data + at, sizeof(again));
		memcpy(&head, again.body, sizeof(head));
		head.ifa_index = (uint32_t)index;
		memcpy(again.body, &head, sizeof(head));
		again.head.nlmsg_flags |= NLM_F_CREATE | NLM_F_REPLACE;
		r = ask(sock, &again, "give its address to interface", name, err);
	}
	return r;
}

/* Brings the interface `name` of one side to the other, as `new_name`. */
static int bring(int from, int to, int to_netns, const char *name, const char *new_name, bool up,
		 struct err *err)
{
	AUTO_BUF struct buf addresses = BUF_INIT;
	struct err free_name = ERR_INIT; /* that there is none is what is wanted */
	struct request r;
	struct ifinfomsg link = {.ifi_family = AF_UNSPEC, .ifi_index = index_of(from, name, err)};

	if (link.ifi_index < 0)
		return link.ifi_index;
	if (index_of(to, new_name, &free_name) >= 0)
		return err_set(err, EEXIST, "interface '%s': there is one of this name already",
			       new_name);
	int result = read_addresses(from, link.ifi_index, &addresses, err);
	if (result < 0)
		return result;
	/* without these flags the kernel would move it as it is: up */
	link.ifi_change = IFF_UP;
	request_init(&r, RTM_NEWLINK, &link, sizeof(link));
	result = ask(from, &r, "set down interface", name, err);
	if (result < 0)
		return result;
	link.ifi_change = 0;
	request_init(&r, RTM_NEWLINK, &link, sizeof(link));
	request_put(&r, IFLA_NET_NS_FD, &to_netns, sizeof(to_netns));
	request_put(&r, IFLA_IFNAME, new_name, strlen(new_name) + 1);
	result = ask(from, &r, "move interface", name, err);
	if (result < 0)
		return result;
	link.ifi_index = index_of(to, new_name, err);
	if (link.ifi_index < 0)
		return link.ifi_index;
	result = give_addresses(to, link.ifi_index, &addresses, new_name, err);
	link.ifi_flags = link.ifi_change = IFF_UP;
	request_init(&r, RTM_NEWLINK, &link, sizeof(link));
	return result < 0 || !up ? result : ask(to, &r, "set up interface", new_name, err);
}

/* A socket of that namespace. */
static int socket_in(int netns, int home, struct err *err)
{
	if (setns(netns, CLONE_NEWNET) < 0)
		return err_sys(err, "enter the network namespace");
	AUTO_CLOSE int sock = route_socket(err);
	if (setns(home, CLONE_NEWNET) < 0)
		return err_sys(err, "go back to the own network namespace");
	return sock < 0 ? sock : TAKE_FD(sock);
}

static const char *inner(const struct plan_text_pair *device)
{
	return *device->value ? device->value : device->name;
}

int netdev_move(struct netdevs *n, const struct list *devices, pid_t pid, struct err *err)
{
	const struct plan_text_pair *d = devices->items;
	char path[64];

	*n = (struct netdevs){devices, -1, 0};
	if (devices->n == 0)
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	n->netns = open(path, O_RDONLY | O_CLOEXEC);
	AUTO_CLOSE int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (n->netns < 0 || home < 0)
		return err_sys(err, "open the network namespace");
	AUTO_CLOSE int here = route_socket(err);
	AUTO_CLOSE int there = here < 0 ? -1 : socket_in(n->netns, home, err);
	int r = here < 0 || there < 0 ? -err->code : 0;
	while (r == 0 && n->moved < devices->n) {
		const struct plan_text_pair *next = &d[n->moved];
		r = bring(here, there, n->netns, next->name, inner(next), true, err);
		/* what fails behind the move itself comes back with the others */
		struct err ignored = ERR_INIT;
		n->moved += r == 0 || index_of(here, next->name, &ignored) < 0;
	}
	if (r < 0)
		netdev_return(n);
	return r < 0 ? err_wrap(err, "linux.netDevices") : 0;
}

void netdev_keep(struct netdevs *n)
{
	auto_close(&n->netns);
	n->moved = 0;
}

static void bring_back(struct netdevs *n)
{
	const struct plan_text_pair *d = n->devices->items;
	struct err ignored = ERR_INIT; /* the failure that brought us here is the one to tell */
	AUTO_CLOSE int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	AUTO_CLOSE int here = route_socket(&ignored);
	AUTO_CLOSE int there = socket_in(n->netns, home, &ignored);

	while (n->moved > 0 && here >= 0 && there >= 0) {
		const struct plan_text_pair *last = &d[--n->moved];
		ignored = ERR_INIT;
		if (bring(there, here, home, inner(last), last->name, is_up(there, inner(last)),
			  &ignored) < 0)
			continue; /* the others may come back yet */
	}
}

void netdev_return(struct netdevs *n)
{
	if (n->moved > 0)
		bring_back(n);
	netdev_keep(n);
}
