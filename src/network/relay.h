/* SPDX-License-Identifier: Apache-2.0 */
/* How a set of ports copies what arrives on its sockets. Private to network/. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct err;
struct loop;
struct timer;
struct watch;

enum {
	RELAY_CHUNK = 64 * 1024, /* read at once; also the largest datagram */
	RELAY_CONNECTIONS_MAX = 400, /* each takes two of the usual 1,024 descriptors */
	RELAY_SESSIONS_MAX = 128, /* of UDP; the longest idle makes room */
	RELAY_SESSION_IDLE_MS = 60000,
	RELAY_PAUSE_MS = 200, /* before accepting again when descriptors are out */
};

/* One bound socket. */
struct endpoint {
	struct ports *set;
	int fd; /* owned */
	uint16_t port; /* the workload's */
	bool udp;
	struct watch *watch; /* NULL: not served at the moment */
};

struct connection; /* TCP, owned by the set */
struct session; /* UDP, likewise */

struct ports {
	struct endpoint *endpoints; /* owned */
	size_t n_endpoints;
	struct loop *loop; /* borrowed; NULL: not serving */
	uint32_t address; /* the workload's, host order */
	char *scratch; /* RELAY_CHUNK bytes, from the first use until the stop; owned */
	struct connection *connections;
	size_t n_connections;
	struct session *sessions; /* the latest used first */
	size_t n_sessions;
	struct timer *pause; /* no TCP endpoint is watched while it runs */
	struct timer *sweep; /* of idle sessions */
};

/* scratch, made when it is not there. */
char *relay_scratch(struct ports *set, struct err *err) HULL_MUST_CHECK;

/* Watches an endpoint of either kind. */
int relay_tcp_watch(struct endpoint *e, struct err *err) HULL_MUST_CHECK;
int relay_udp_watch(struct endpoint *e, struct err *err) HULL_MUST_CHECK;

/* Ends all connections or sessions of the set. */
void relay_tcp_stop(struct ports *set);
void relay_udp_stop(struct ports *set);
