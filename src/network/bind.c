/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets of published ports. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "network/port.h"
#include "network/relay.h"
#include "proto/control.h"

enum {
	BACKLOG = 128,
	CHOICES = 32, /* of the kernel, until one is free in both families */
};

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t address_len(const union address *a)
{
	return a->any.sa_family == AF_INET ? sizeof(a->v4) : sizeof(a->v6);
}

/* ip NULL: all of that family. */
static bool address_set(union address *a, sa_family_t family, const char *ip, uint32_t port)
{
	*a = (union address){.any.sa_family = family};
	if (family == AF_INET) {
		a->v4.sin_port = htons((uint16_t)port);
		return !ip || inet_pton(AF_INET, ip, &a->v4.sin_addr) == 1;
	}
	a->v6.sin6_port = htons((uint16_t)port);
	return !ip || inet_pton(AF_INET6, ip, &a->v6.sin6_addr) == 1;
}

static int refuse(const struct keeper_port *port, int code, struct err *err)
{
	const char *ip = port->host_ip ? port->host_ip : "0.0.0.0";
	bool v6 = strchr(ip, ':');
	char name[PORT_TEXT];

	(void)snprintf(name, sizeof(name), "port %s%.46s%s:%u/%s", v6 ? "[" : "", ip, v6 ? "]" : "",
		       port->host_port, port->udp ? "udp" : "tcp");
	if (code == EADDRINUSE)
		return err_set(err, code, "%s is in use", name);
	if (code == EADDRNOTAVAIL)
		return err_set(err, code, "%s: this host has no such address", name);
	return err_set(err, code, "%s: %s", name, strerrordesc_np(code));
}

static void set_option(int fd, int level, int name)
{
	int on = 1;

	(void)setsockopt(fd, level, name, &on, sizeof(on));
}

/*
 * A bound (and listening) socket, or a negative errno. TCP ports must be free again at once after
 * connections over them ended; a second listener is refused all the same. Listening from here on is
 * what keeps others out who set SO_REUSEADDR too.
 */
static int open_bound(const union address *a, bool udp)
{
	AUTO_CLOSE int fd = socket(a->any.sa_family,
				   (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK,
				   0);
	if (fd < 0)
		return -errno;
	if (a->any.sa_family == AF_INET6) {
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
		set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO);
	} else if (udp) {
		set_option(fd, IPPROTO_IP, IP_PKTINFO);
	}
	if (!udp)
		set_option(fd, SOL_SOCKET, SO_REUSEADDR);
	if (bind(fd, &a->any, address_len(a)) < 0 || (!udp && listen(fd, BACKLOG) < 0))
		return -errno;
	return TAKE_FD(fd);
}

static uint32_t bound_port(int fd)
{
	union address a = {.any.sa_family = AF_UNSPEC};
	socklen_t len = sizeof(a);

	if (getsockname(fd, &a.any, &len) < 0)
		return 0;
	return ntohs(a.any.sa_family == AF_INET ? a.v4.sin_port : a.v6.sin6_port);
}

/* Binds one family of a port; fd -1 when the host lacks IPv6 and nobody asked for it by address. */
static int bind_family(const struct keeper_port *port, sa_family_t family, uint32_t number, int *fd)
{
	union address a;

	if (!address_set(&a, family, port->host_ip, number))
		return -EINVAL;
	int r = open_bound(&a, port->udp);
	if (family == AF_INET6 && !port->host_ip && (r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL))
		r = -1;
	else if (r < 0)
		return r;
	*fd = r;
	return 0;
}

static void add_endpoint(struct ports *set, const struct keeper_port *port, int fd)
{
	if (fd >= 0)
		set->endpoints[set->n_endpoints++] = (struct endpoint){.set = set,
								       .fd = fd,
								       .port = (uint16_t)port->port,
								       .udp = port->udp};
}

/* Binds one port, in both families when no address is given. */
static int bind_port(struct ports *set, struct keeper_port *port, struct err *err)
{
	bool is_v6 = port->host_ip && strchr(port->host_ip, ':');
	int r = 0;

	for (int i = 0; i < CHOICES; i++) {
		AUTO_CLOSE int first = -1;
		AUTO_CLOSE int second = -1;
		r = bind_family(port, is_v6 ? AF_INET6 : AF_INET, port->host_port, &first);
		if (r < 0)
			break;
		uint32_t number = bound_port(first);
		r = port->host_ip ? 0 : bind_family(port, AF_INET6, number, &second);
		if (r == 0) {
			port->host_port = number;
			add_endpoint(set, port, TAKE_FD(first));
			add_endpoint(set, port, TAKE_FD(second));
			return 0;
		}
		if (r != -EADDRINUSE || port->host_port)
			break;
	}
	return refuse(port, -r, err);
}

int ports_bind(struct keeper_port *ports, size_t n, struct ports **ret, struct err *err)
{
	AUTO(auto_ports_free) struct ports *set = calloc(1, sizeof(*set));
	if (!set)
		return err_set(err, ENOMEM, "out of memory");
	set->endpoints = calloc(2 * n + 1, sizeof(*set->endpoints));
	if (!set->endpoints)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		int r = bind_port(set, &ports[i], err);
		if (r < 0)
			return r;
	}
	*ret = TAKE_PTR(set);
	return 0;
}

int ports_serve(struct ports *set, struct loop *loop, uint32_t address, struct err *err)
{
	int r = 0;

	ports_stop(set);
	set->loop = loop;
	set->address = address;
	for (size_t i = 0; i < set->n_endpoints && r == 0; i++) {
		struct endpoint *e = &set->endpoints[i];
		r = e->udp ? relay_udp_watch(e, err) : relay_tcp_watch(e, err);
	}
	if (r < 0)
		ports_stop(set);
	return r;
}

void ports_stop(struct ports *set)
{
	for (size_t i = 0; set->loop && i < set->n_endpoints; i++)
		watch_remove(&set->endpoints[i].watch);
	relay_tcp_stop(set);
	relay_udp_stop(set);
	free(set->scratch);
	set->scratch = NULL;
	set->loop = NULL;
}

void ports_free(struct ports *set)
{
	if (!set)
		return;
	ports_stop(set);
	for (size_t i = 0; i < set->n_endpoints; i++)
		auto_close(&set->endpoints[i].fd);
	free(set->endpoints);
	free(set);
}

char *relay_scratch(struct ports *set, struct err *err)
{
	if (!set->scratch) {
		set->scratch = malloc(RELAY_CHUNK);
		if (!set->scratch)
			(void)err_set(err, ENOMEM, "out of memory");
	}
	return set->scratch;
}
