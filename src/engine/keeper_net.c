/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/keeper_net.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/str.h"
#include "network/network.h"
#include "proto/control.h"

/* An interface beside the first. */
struct more {
	char name[NET_LINK_NAME], tap[NET_LINK_NAME];
	char address[ADDRESS_TEXT + 3]; /* with prefix for a machine; "" where there is none */
	char mac[MAC_TEXT];
};

struct keeper_net {
	struct loop *loop;
	const char *id;
	struct keeper_orders *orders;
	struct network network;
	struct network_report report;
	uint32_t address;
	struct ports *ports; /* NULL: none asked for, or not bound yet */
	bool attached;
	bool monitored; /* the machine's monitor limits what its interfaces carry */
	struct network_rates rates;
	struct more more[NET_MORE_MAX]; /* eth1, … */
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

/* One pair for each processor, where the kernel moves the frames (machine/kvm.c): the monitor's own
 * loop is one, however many there are. */
static uint32_t choose_queues(const struct plan_machine *m)
{
	long host = sysconf(_SC_NPROCESSORS_ONLN);
	uint32_t n = m->cpus < TAP_QUEUES_MAX ? m->cpus : TAP_QUEUES_MAX;

	if (host < (long)n)
		n = (uint32_t)host;
	return n > 1 && m->accel == ACCEL_KVM && access("/dev/vhost-net", R_OK | W_OK) == 0 ? n : 1;
}

/* Limits one interface, which had no limit so far. */
static int limit_new(const struct keeper_net *n, unsigned nth, int netns, struct err *err)
{
	if (n->monitored || (!n->rates.ingress && !n->rates.egress))
		return 0;
	return network_limit(n->id, nth, netns, &n->rates, err);
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
	n->monitored = n->orders->vm && plan->machine.accel == ACCEL_KVM;
	n->rates = (struct network_rates){plan_rate(plan->limits.net_ingress),
					  plan_rate(plan->limits.net_egress)};
	if (!n->orders->vm)
		return 0;

	char name[NET_LINK_NAME];
	plan->machine.tap_queues = choose_queues(&plan->machine);
	r = network_attach_machine(&n->network, n->id, plan->machine.tap_queues > 1, err);
	if (r == 0)
		r = limit_new(n, 0, -1, err);
	if (r < 0)
		return r;
	network_link_name(n->id, 0, name);
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
	if (r == 0 && !n->orders->vm)
		r = limit_new(n, 0, netns, err);
	if (r < 0 || !n->ports)
		return r;
	r = network_publish(&n->network, n->id, n->orders->ports.items, n->orders->ports.n,
			    n->address, err);
	return r == 0 ? ports_serve(n->ports, n->loop, n->address, err) : r;
}

/* --- further interfaces --- */

/* The number of the interface "eth<nth>", 0 when nobody can have one of this name. */
static unsigned number_of(const char *name)
{
	for (unsigned nth = 1; nth <= NET_MORE_MAX; nth++) {
		char own[NET_LINK_NAME];
		(void)snprintf(own, sizeof(own), "eth%u", nth);
		if (strcmp(name, own) == 0)
			return nth;
	}
	return 0;
}

/* Adds an interface on the host, and limits it. */
static int add_limited(const struct keeper_net *n, unsigned nth, uint32_t ip, int netns,
		       struct err *err)
{
	struct err ignored = ERR_INIT; /* what is left goes with the workload */

	int r = netns >= 0 ? network_add_container(&n->network, n->id, nth, netns, ip, err)
			   : network_add_machine(&n->network, n->id, nth, err);
	if (r < 0)
		return r;
	r = limit_new(n, nth, netns, err);
	if (r < 0)
		(void)!network_take(n->id, nth, &ignored);
	return r;
}

int keeper_net_add(struct keeper_net *n, const char *name, const char *address, int netns,
		   struct isolation_interface *ret, struct err *err)
{
	uint32_t ip = 0;
	unsigned nth = number_of(name);

	if (nth == 0 || !n->attached)
		return err_set(err, EINVAL, "it can have no interface '%.20s'", name);
	struct more *m = &n->more[nth - 1];
	if (m->address[0])
		return err_set(err, EEXIST, "it has an interface '%s'", name);
	int r = address_parse(address, &ip, err);
	if (r == 0)
		r = add_limited(n, nth, ip, netns, err);
	if (r < 0)
		return r;
	(void)snprintf(m->name, sizeof(m->name), "eth%u", nth);
	(void)snprintf(m->address, sizeof(m->address), "%.15s/%u", address,
		       n->network.subnet.prefix % 100U);
	network_link_name(n->id, nth, m->tap);
	mac_format(ip, m->mac);
	*ret = (struct isolation_interface){.name = m->name,
					    .tap = m->tap,
					    .address = m->address,
					    .mac = m->mac};
	return 0;
}

struct network_rates keeper_net_rates(const struct keeper_net *n)
{
	return n->rates;
}

static int limit_all(const struct keeper_net *n, const struct network_rates *rates, int netns,
		     struct err *err)
{
	int r = network_limit(n->id, 0, netns, rates, err);

	for (unsigned nth = 1; r == 0 && nth <= NET_MORE_MAX; nth++) {
		if (n->more[nth - 1].address[0])
			r = network_limit(n->id, nth, netns, rates, err);
	}
	return r;
}

int keeper_net_limit(struct keeper_net *n, const struct network_rates *rates, int netns,
		     struct err *err)
{
	struct err ignored = ERR_INIT; /* the first failure is the one to tell */

	if (!n->attached)
		return err_set(err, EINVAL, "it has no interface of its own to limit");
	int r = n->monitored ? 0 : limit_all(n, rates, netns, err);
	if (r == 0)
		n->rates = *rates;
	else
		(void)!limit_all(n, &n->rates, netns, &ignored);
	return r;
}

int keeper_net_has(const struct keeper_net *n, const char *name, struct err *err)
{
	unsigned nth = number_of(name);

	return nth > 0 && n->more[nth - 1].address[0]
		       ? 0
		       : err_set(err, ENOENT, "no interface '%.20s' was added to it", name);
}

int keeper_net_remove(struct keeper_net *n, const char *name, struct err *err)
{
	unsigned nth = number_of(name);

	if (nth == 0)
		return 0;
	int r = network_take(n->id, nth, err);
	if (r == 0)
		n->more[nth - 1].address[0] = '\0';
	return r;
}

int keeper_net_list(const struct keeper_net *n, struct strv *list, struct err *err)
{
	int r = 0;

	strv_done(list);
	for (size_t i = 0; r == 0 && i < NET_MORE_MAX; i++) {
		const struct more *m = &n->more[i];
		char text[sizeof(m->name) + sizeof(m->address)];
		if (!m->address[0])
			continue;
		(void)snprintf(text, sizeof(text), "%s %.*s", m->name,
			       (int)strcspn(m->address, "/"), m->address);
		r = strv_add(list, text, err);
	}
	return r;
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
	memset(n->more, 0, sizeof(n->more)); /* what is detached is all */
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
