/* SPDX-License-Identifier: Apache-2.0 */
/* A small world for network tests: the test process becomes the host, in a network namespace of its
 * own, and makes further namespaces for workloads and for the outside. */
#pragma once

#include "../test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/loop.h"
#include "network/netlink.h"
#include "network/network.h"

/* Leaves for a fresh network namespace with lo up, which forwards nothing (it would begin as the
 * host's is); false when not allowed to. */
static inline bool lab_enter(void)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	struct err err = ERR_INIT;

	if (unshare(CLONE_NEWNET) < 0 || netlink_open(NETLINK_ROUTE, &nl, &err) < 0)
		return false;
	return file_put(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", "0", &err) == 0 &&
	       link_up(nl, 1, 0, 0, &err) == 0;
}

/* A further namespace, lo down; the caller closes. */
static inline int lab_netns(void)
{
	AUTO_CLOSE int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return setns(home, CLONE_NEWNET) == 0 ? fd : -1;
}

/* Runs fn(arg) in a child inside a namespace (-1: here); returns its answer, at most 255. */
static inline int lab_in(int netns, int (*fn)(const void *), const void *arg)
{
	int status;

	(void)fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		(void)alarm(20);
		if (netns >= 0 && setns(netns, CLONE_NEWNET) < 0)
			_exit(200);
		_exit(fn(arg));
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return 201;
	return WEXITSTATUS(status);
}

struct lab_peer {
	uint32_t address; /* host order */
	uint16_t port;
	bool udp;
};

static inline struct sockaddr_in lab_sockaddr(uint32_t address, uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons(port),
				    .sin_addr.s_addr = htonl(address)};
}

/*
 * Asks a lab_server(): 0 when it answered with the asker's address as it saw it, written to nobody;
 * 1 no connection, 2 no answer, 3 answered but not by a lab_server.
 */
static inline int lab_ask(const void *arg)
{
	const struct lab_peer *to = arg;
	struct sockaddr_in sin = lab_sockaddr(to->address, to->port);
	struct timeval limit = {.tv_sec = 1};
	char reply[16] = "";

	AUTO_CLOSE int fd = socket(AF_INET, (to->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (const struct sockaddr *)&sin, sizeof(sin)) < 0)
		return 1;
	if (send(fd, "hello", 5, MSG_NOSIGNAL) != 5 || recv(fd, reply, sizeof(reply), 0) < 5)
		return 2;
	return memcmp(reply, "HELLO", 5) == 0 ? 0 : 3;
}

/* Answers one connection (or datagram) after the other with HELLO, for ever. */
static inline int lab_serve(const void *arg)
{
	const struct lab_peer *at = arg;
	struct sockaddr_in sin = lab_sockaddr(at->address, at->port);
	int on = 1;

	int fd = socket(AF_INET, (at->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&sin, sizeof(sin)) < 0 ||
	    (!at->udp && listen(fd, 8) < 0))
		return 1;
	for (;;) {
		char text[16];
		struct sockaddr_storage from;
		socklen_t from_len = sizeof(from);
		if (at->udp) {
			if (recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&from,
				     &from_len) > 0)
				(void)sendto(fd, "HELLO", 5, 0, (struct sockaddr *)&from, from_len);
			continue;
		}
		AUTO_CLOSE int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (c >= 0 && recv(c, text, sizeof(text), 0) > 0)
			(void)send(c, "HELLO", 5, MSG_NOSIGNAL);
	}
}

/* Starts lab_serve() in a namespace and waits until it can be asked there; returns its pid, for
 * lab_stop(). */
static inline pid_t lab_server(int netns, const struct lab_peer *at)
{
	struct lab_peer local = *at;

	(void)fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		(void)alarm(60);
		if (netns >= 0 && setns(netns, CLONE_NEWNET) < 0)
			_exit(200);
		_exit(lab_serve(at));
	}
	if (!local.address)
		local.address = INADDR_LOOPBACK;
	for (int i = 0; i < 100 && lab_in(netns, lab_ask, &local) != 0; i++)
		(void)usleep(10000);
	return pid;
}

static inline void lab_stop(pid_t pid)
{
	if (pid > 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}
}

/* A keeper: serves `set` in a loop of its own until lab_stop(). */
static inline pid_t lab_keeper(struct ports *set, uint32_t address)
{
	(void)fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		AUTO(auto_loop_free) struct loop *loop = NULL;
		struct err err = ERR_INIT;
		(void)alarm(60);
		_exit(loop_new(&loop, &err) < 0 || ports_serve(set, loop, address, &err) < 0 ||
		      loop_run(loop, &err) < 0);
	}
	return pid;
}

static const char *const id_a = "aaaaaaaaaaaa1111111111111111111111111111111111111111111111111111";
static const char *const id_c = "cccccccccccc3333333333333333333333333333333333333333333333333333";
static const char *const id_b = "bbbbbbbbbbbb2222222222222222222222222222222222222222222222222222";

static inline struct network net0(void)
{
	return (struct network){.bridge = "hull0", .subnet = {.base = 0x0ad60000, .prefix = 16}};
}

static inline uint32_t nth(uint32_t n)
{
	struct network net = net0();

	return subnet_nth(&net.subnet, n);
}

/* The outside: a namespace behind a bridge of the host's own, as a router's other side. */
enum { OUTSIDE_HOST = 0xc0000201 /* 192.0.2.1, the host's */, OUTSIDE = 0xc0000202 };

static inline int outside(const char *bridge)
{
	static const uint8_t bridge_mac[6] = {2, 0, 0, 0, 0, 1};
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 2};
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	AUTO(auto_netlink_close) struct netlink *far = NULL;
	struct err err = ERR_INIT;
	struct link link;

	AUTO_CLOSE int fd = lab_netns();
	if (netlink_open(NETLINK_ROUTE, &nl, &err) < 0 ||
	    link_add_bridge(nl, bridge, bridge_mac, 0, &err) < 0 ||
	    link_get(nl, bridge, &link, &err) != 0 ||
	    address_add(nl, link.index, OUTSIDE_HOST, 24, &err) < 0 ||
	    link_up(nl, link.index, 0, 0, &err) < 0)
		return -1;
	struct veth veth = {.name = "outside",
			    .master = link.index,
			    .netns_fd = fd,
			    .peer = "eth0",
			    .peer_mac = mac,
			    .mtu = 1500};
	if (link_add_veth(nl, &veth, &err) < 0 ||
	    netlink_open_in(fd, NETLINK_ROUTE, &far, &err) < 0 || link_up(far, 1, 0, 0, &err) < 0 ||
	    link_get(far, "eth0", &link, &err) != 0 ||
	    address_add(far, link.index, OUTSIDE, 24, &err) < 0 ||
	    link_up(far, link.index, 0, 0, &err) < 0 || link_settle(nl, "outside", &err) < 0 ||
	    link_settle(nl, bridge, &err) < 0)
		return -1;
	return TAKE_FD(fd);
}

/* A host with an outside and one workload. */
struct world {
	int outside, a;
	struct network net;
};

static inline bool world_open(struct world *w)
{
	struct err err = ERR_INIT;
	struct network_report report;

	*w = (struct world){.outside = -1, .a = -1, .net = net0()};
	if (!lab_enter())
		return false;
	w->outside = outside("up0");
	w->a = lab_netns();
	return w->outside >= 0 && w->a >= 0 && network_ensure(&w->net, &report, &err) == 0 &&
	       network_attach_container(&w->net, id_a, w->a, nth(0), &err) == 0;
}

static inline void world_close(struct world *w)
{
	auto_close(&w->outside);
	auto_close(&w->a);
}

#define AUTO_WORLD AUTO(world_close)

/* Asks from the outside over a route through the host. */
static inline int ask_through_host(const void *arg)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	struct err err = ERR_INIT;
	struct link link;

	if (netlink_open(NETLINK_ROUTE, &nl, &err) < 0 || link_get(nl, "eth0", &link, &err) != 0 ||
	    route_add_default(nl, link.index, OUTSIDE_HOST, &err) < 0)
		return 50;
	return lab_ask(arg);
}
