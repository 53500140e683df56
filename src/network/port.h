/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published ports, as the keeper holds them: every port's sockets are bound for as long as the set
 * lives, so nobody else can take them, and connections that the host's firewall did not already
 * send to the workload (loopback, IPv6, or all of them where there is no nft) are copied by the
 * keeper's own loop. Needs neither libmnl nor another thread.
 *
 * A port is a struct keeper_port (proto/control.h): host_ip NULL stands for all addresses of both
 * families, host_port 0 for the kernel's choice.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct err;
struct keeper_port;
struct list;
struct loop;
struct ports; /* bound sockets and the connections over them */

enum {
	PORT_TEXT = 96,
	PORT_RANGE_MAX = 1024, /* of one -p */
};

/*
 * Reads one -p: [[IP]:[HOSTPORT]:]PORT[/tcp|/udp], where both ports may be ranges of the same
 * length, an IPv6 address stands in brackets and an empty host port is the kernel's choice. Appends
 * to *ports (struct keeper_port; unchanged on failure).
 */
int port_parse(const char *text, struct list *ports, struct err *err) HULL_MUST_CHECK;

/* Writes "127.0.0.1:8080->80/tcp", with 0.0.0.0 for all addresses. */
void port_format(const struct keeper_port *port, char text[PORT_TEXT]);

/* Whether the host's firewall can send it on: an IPv4 port that does not stand on loopback. On true
 * *ret is its address in host order, 0: all. */
bool port_address(const struct keeper_port *port, uint32_t *ret);

/*
 * Binds the n ports and writes the host_port the kernel chose where it was 0. All or none;
 * EADDRINUSE says which. The caller frees with ports_free(). Callers queue from now on, and are
 * served when ports_serve() is called.
 */
int ports_bind(struct keeper_port *ports, size_t n, struct ports **ret, struct err *err)
	HULL_MUST_CHECK;

/* Copies what arrives to the same ports of `address` (IPv4, host order) and back, from the loop
 * (borrowed until ports_stop()). */
int ports_serve(struct ports *set, struct loop *loop, uint32_t address, struct err *err)
	HULL_MUST_CHECK;

/* Ends all connections and serves no more; the ports stay bound. Fine when it does not serve. */
void ports_stop(struct ports *set);

/* Stops and gives the ports back; NULL is fine. */
void ports_free(struct ports *set);

DEFINE_AUTO(struct ports, ports_free)
