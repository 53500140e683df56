/* SPDX-License-Identifier: Apache-2.0 */
/* The choice of a subnet for a new network. */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "network/netlink.h"
#include "network/network.h"

/* 10.214.0.0/16 to 10.233.0.0/16: docker (172.17 on), podman (10.88), libvirt (192.168.122), lxd
 * and the usual cluster networks (10.0, 10.42, 10.96, 10.244) lie elsewhere. */
enum { FIRST = 10 << 24 | 214 << 16, CANDIDATES = 20, STEP = 1 << 16, PREFIX = 16 };

static uint32_t candidate(unsigned i)
{
	return FIRST + i % CANDIDATES * STEP;
}

/* Marks the candidates that overlap base/prefix as taken. */
static void take(bool taken[CANDIDATES], uint32_t base, uint8_t prefix)
{
	uint32_t mask = ~(UINT32_MAX >> (prefix < PREFIX ? prefix : PREFIX));

	for (unsigned i = 0; i < CANDIDATES; i++)
		taken[i] |= ((candidate(i) ^ base) & mask) == 0;
}

static int take_route(const struct route *route, void *ctx, struct err *err)
{
	(void)err;
	if (route->prefix > 0)
		take(ctx, route->base, route->prefix);
	return 0;
}

/* A name server behind the default route would vanish behind the bridge. */
static void take_name_servers(bool taken[CANDIDATES])
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct err ignored = ERR_INIT; /* unreadable: then nobody is served by it */

	if (resolv_text(&text, false, &ignored) < 0 || !text.data)
		return;
	for (char *line = text.data; line && *line;) {
		struct err not_v4 = ERR_INIT;
		uint32_t address;
		const char *value;
		char *end = strchr(line, '\n');
		if (end)
			*end = '\0';
		if (str_prefix(line, "nameserver", &value) &&
		    address_parse(value + strspn(value, " \t"), &address, &not_v4) == 0)
			take(taken, address, 32);
		line = end ? end + 1 : NULL;
	}
}

int network_choose_subnet(uint32_t seed, struct subnet *ret, struct err *err)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	bool taken[CANDIDATES] = {false};

	int r = netlink_open(NETLINK_ROUTE, &nl, err);
	if (r == 0)
		r = route_list(nl, take_route, taken, err);
	if (r < 0)
		return err_wrap(err, "choose subnet");
	take_name_servers(taken);
	for (unsigned i = 0; i < CANDIDATES; i++) {
		unsigned at = (seed % CANDIDATES + i) % CANDIDATES;
		if (!taken[at]) {
			*ret = (struct subnet){.base = candidate(at), .prefix = PREFIX};
			return 0;
		}
	}
	return err_set(err, EADDRNOTAVAIL,
		       "choose subnet: 10.214.0.0/16 to 10.233.0.0/16 are all in use on this host");
}
