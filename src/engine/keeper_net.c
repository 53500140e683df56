/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/keeper_net.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "network/network.h"
#include "proto/control.h"

struct keeper_net {
	struct loop *loop;
	const char *id;
	struct keeper_orders *orders;
	struct network network;
	struct network_report report;
	uint32_t address;
	struct ports *ports; /* NULL: none asked for, or not bound yet */
	bool attached;
};

static int read_network(struct keeper_net *n, struct err *err)
{
	const struct keeper_network *o = &n->orders->network;

	if (!o->name)
		return 0;
	if (!o->bridge || !o->subnet || !o->address)
		return err_set(err, EINVAL,
			       "network '%s': the orders lack bridge, subnet or address", o->name);
	n->network.bridge = o->bridge;
	int r = subnet_parse(o->subnet, &n->network.subnet, err);
	return r == 0 ? address_parse(o->address, &n->address, err) : r;
}

int keeper_net_new(struct keeper_net **ret, struct loop *loop, const char *id,
		   struct keeper_orders *orders, struct err *err)
{
	AUTO_FREE struct keeper_net *n = calloc(1, sizeof(*n));
	if (!n)
		return err_set(err, ENOMEM, "out of memory");
	n->loop = loop;
	n->id = id;
	n->orders = orders;
	int r = read_network(n, err);
	if (r == 0)
		*ret = TAKE_PTR(n);
	return r;
}

static int bind_ports(struct keeper_net *n, struct strv *texts, struct err *err)
{
	struct keeper_port *ports = n->orders->ports.items;
	char text[PORT_TEXT];

	if (n->ports || n->orders->ports.n == 0)
		return 0;
	int r = ports_bind(ports, n->orders->ports.n, &n->ports, err);
	for (size_t i = 0; i < n->orders->ports.n && r == 0; i++) {
		port_format(&ports[i], text);
		r = strv_add(texts, text, err);
	}
	return r;
}

int keeper_net_prepare(struct keeper_net *n, struct plan *plan, struct strv *ports, struct err *err)
{
	if (!n->orders->network.name)
		return 0;
	int r = bind_ports(n, ports, err);
	if (r == 0)
		r = network_ensure(&n->network, &n->report, err);
	if (r < 0)
		return r;
	n->attached = true; /* from here on there is something to take down */
	if (!n->orders->vm)
		return 0;

	char name[NET_LINK_NAME];
	r = network_attach_machine(&n->network, n->id, err);
	if (r < 0)
		return r;
	network_link_name(n->id, name);
	free(plan->machine.tap);
	plan->machine.tap = strdup(name);
	return plan->machine.tap ? 0 : err_set(err, ENOMEM, "out of memory");
}

int keeper_net_attach(struct keeper_net *n, int netns, struct err *err)
{
	int r = 0;

	if (!n->orders->network.name)
		return 0;
	if (!n->orders->vm && netns < 0)
		return err_set(err, EINVAL, "it has no network namespace of its own to attach");
	if (!n->orders->vm)
		r = network_attach_container(&n->network, n->id, netns, n->address, err);
	if (r < 0 || !n->ports)
		return r;
	r = network_publish(&n->network, n->id, n->orders->ports.items, n->orders->ports.n,
			    n->address, err);
	return r == 0 ? ports_serve(n->ports, n->loop, n->address, err) : r;
}

const char *keeper_net_notice(const struct keeper_net *n)
{
	return n->report.notice;
}

void keeper_net_detach(struct keeper_net *n)
{
	struct err ignored = ERR_INIT; /* what is left, repair finds by the id */

	if (!n->attached)
		return;
	n->attached = false;
	if (n->ports)
		ports_stop(n->ports);
	if (network_detach_soon(&n->network, n->id, &ignored) < 0)
		n->attached = true;
}

void keeper_net_free(struct keeper_net *n)
{
	if (!n)
		return;
	ports_free(n->ports);
	free(n);
}
