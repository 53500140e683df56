/* SPDX-License-Identifier: Apache-2.0 */
/* --network, -p and the files by which a workload finds others. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "engine/build.h"
#include "image/image.h"
#include "network/network.h"

static int add_exposed(const struct build *b, const struct strv *list, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < list->n; i++)
		r = port_parse(list->v[i], &b->orders->ports, err);
	return r;
}

static int build_ports(const struct build *b, struct err *err)
{
	const struct run_options *o = b->options;
	int r = 0;

	for (size_t i = 0; r == 0 && i < o->publish.n; i++)
		r = port_parse(o->publish.v[i], &b->orders->ports, err);
	if (r < 0)
		return err_wrap(err, "-p");
	if (o->publish_all)
		r = add_exposed(b, &o->expose, err);
	if (r == 0 && o->publish_all)
		r = add_exposed(b, &b->image->config.exposed, err);
	if (r < 0)
		return err_wrap(err, "-P");
	return 0;
}

int build_network(const struct build *b, struct err *err)
{
	const char *name = b->options->network ? b->options->network : "bridge";
	struct plan *plan = b->plan;

	plan->namespaces = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC |
			   CLONE_NEWCGROUP;
	if (strcmp(name, "host") == 0) {
		if (b->vm)
			return err_set(
				err, EINVAL,
				"--network host: a machine has no part in the host's network "
				"(bridge, none)");
		plan->net.kind = NET_HOST;
	} else if (strcmp(name, "none") == 0) {
		plan->net.kind = NET_NONE;
		plan->namespaces |= CLONE_NEWNET;
	} else if (strcmp(name, "bridge") == 0 || strcmp(name, "default") == 0) {
		plan->net.kind = NET_BRIDGE;
		plan->namespaces |= CLONE_NEWNET;
	} else {
		return err_set(err, ENOENT, "--network: '%s': no such network (none, host, bridge)",
			       name);
	}
	if (plan->net.kind == NET_BRIDGE)
		return build_ports(b, err);
	if (b->options->publish.n > 0)
		return err_set(err, EINVAL,
			       "-p: there is nothing to publish from with --network %s", name);
	return 0;
}

/* --- files --- */

static int add_file(const struct build *b, const char *path, const struct buf *content,
		    struct err *err)
{
	int r = buf_check(content, err);
	if (r < 0 || has_mount_at(b->plan, path))
		return r;
	struct plan_file *f = list_add(&b->plan->files, &plan_file_record);
	if (!f)
		return err_set(err, ENOMEM, "out of memory");
	f->mode = 0644;
	r = set_str(&f->path, path, err);
	if (r == 0 && content->len)
		r = bytes_set(&f->content, content->data, content->len, err);
	return r;
}

static int add_resolv(const struct build *b, struct err *err)
{
	const struct run_options *o = b->options;
	AUTO_BUF struct buf text = BUF_INIT;
	int r = 0;

	for (size_t i = 0; i < o->dns.n; i++) {
		if (!*o->dns.v[i] ||
		    strspn(o->dns.v[i], "0123456789abcdefABCDEF.:") != strlen(o->dns.v[i]))
			return err_set(err, EINVAL, "--dns: '%s' is not an address", o->dns.v[i]);
		buf_printf(&text, "nameserver %s\n", o->dns.v[i]);
	}
	for (size_t i = 0; i < o->dns_search.n; i++)
		buf_printf(&text, "%s%s%s", i ? " " : "search ", o->dns_search.v[i],
			   i + 1 == o->dns_search.n ? "\n" : "");
	if (o->dns.n == 0)
		r = resolv_text(&text, b->plan->net.kind == NET_HOST, err);
	return r < 0 ? r : add_file(b, "/etc/resolv.conf", &text, err);
}

static int add_hosts(const struct build *b, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	uint32_t address = 0;
	int r = 0;

	if (b->plan->net.kind == NET_HOST && b->options->add_host.n == 0)
		r = file_read(AT_FDCWD, "/etc/hosts", 1 << 20, &text, err);
	else if (b->orders->network.address)
		r = address_parse(b->orders->network.address, &address, err);
	if (r == 0 && text.len == 0)
		r = hosts_text(&text, b->plan->hostname, b->plan->domainname, address,
			       &b->options->add_host, err);
	return r < 0 ? r : add_file(b, "/etc/hosts", &text, err);
}

int build_files(const struct build *b, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;

	buf_printf(&text, "%s\n", b->plan->hostname);
	int r = add_file(b, "/etc/hostname", &text, err);
	if (r == 0)
		r = add_hosts(b, err);
	if (r == 0)
		r = add_resolv(b, err);
	return r;
}
