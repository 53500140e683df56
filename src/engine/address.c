/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/address.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/db.h"
#include "base/err.h"
#include "base/io.h"
#include "base/store.h"
#include "engine/build.h"
#include "network/network.h"

enum { BRIDGE_TEXT = 16, LINE_TEXT = 64 };

/* The file `network` of the store: "BRIDGE SUBNET". */
static const char network_file[] = "network";

static uint32_t hash_text(const char *text)
{
	uint32_t h = 2166136261; /* FNV-1a */

	for (const char *p = text; *p; p++)
		h = (h ^ (unsigned char)*p) * 16777619;
	return h;
}

/* The bridge and subnet that the store has; ENOENT when it has none yet. */
static int read_network(const struct store *store, char bridge[BRIDGE_TEXT], struct subnet *ret,
			struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	char subnet[SUBNET_TEXT];

	int r = file_read(store->root_fd, network_file, LINE_TEXT, &text, err);
	if (r < 0)
		return r;
	if (!text.data ||
	    sscanf(text.data, "%15s %19s", bridge, subnet) != 2) /* NOLINT(cert-err34-c) */
		return err_set(err, EUCLEAN, "the store's file '%s' is damaged", network_file);
	return subnet_parse(subnet, ret, err);
}

static int choose_network(const struct store *store, char bridge[BRIDGE_TEXT], struct subnet *ret,
			  struct err *err)
{
	char subnet[SUBNET_TEXT];
	char line[LINE_TEXT];

	bool is_default = strcmp(store->root, "/var/lib/hull") == 0;
	uint32_t hash = is_default ? 0 : hash_text(store->root);
	int r = network_choose_subnet(hash, ret, err);
	if (r < 0)
		return r;
	if (is_default)
		(void)snprintf(bridge, BRIDGE_TEXT, "hull0");
	else
		(void)snprintf(bridge, BRIDGE_TEXT, "hull-%08" PRIx32, hash);
	subnet_format(ret, subnet);
	int n = snprintf(line, sizeof(line), "%s %s\n", bridge, subnet);
	return file_replace(store->root_fd, network_file, line, (size_t)n, 0600, err);
}

/* The store's bridge and subnet: chosen by the first workload that needs them, and again when the
 * host gave the subnet to somebody else while nobody was on the bridge. The caller's transaction
 * keeps a second chooser out. */
static int find_network(const struct store *store, char bridge[BRIDGE_TEXT], struct subnet *ret,
			struct err *err)
{
	struct err failure = ERR_INIT;

	int r = read_network(store, bridge, ret, &failure);
	if (r < 0 && failure.code != ENOENT)
		return err_set(err, failure.code, "%s", failure.msg);
	if (r == 0) {
		const struct network net = {.bridge = bridge, .subnet = *ret};
		r = network_is_displaced(&net, err);
		if (r <= 0)
			return r;
	}
	return choose_network(store, bridge, ret, err);
}

/* Marks every address of the network that has an owner. */
static int mark_taken(struct db *txn, const struct subnet *subnet, uint8_t *taken, struct err *err)
{
	AUTO(auto_rows_free) struct rows *rows = NULL;

	int r = db_query(
		txn,
		"SELECT address FROM address WHERE network = 'bridge' OR network LIKE 'bridge:%'",
		DB_NO_VALUES, &rows, err);
	while (r >= 0 && (r = rows_next(rows, err)) == 1) {
		uint32_t address = 0;
		r = address_parse(rows_text(rows, 0), &address, err);
		uint32_t at = r == 0 ? subnet_index(subnet, address) : UINT32_MAX;
		if (at != UINT32_MAX)
			taken[at / 8] |= (uint8_t)(1U << at % 8);
	}
	return r;
}

static int first_free(struct db *txn, const struct subnet *subnet, uint32_t *ret, struct err *err)
{
	uint32_t size = subnet_size(subnet);

	AUTO_FREE uint8_t *taken = calloc(size / 8 + 1, 1);
	if (!taken)
		return err_set(err, ENOMEM, "out of memory");
	int r = mark_taken(txn, subnet, taken, err);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < size; i++) {
		if (!(taken[i / 8] & 1U << i % 8)) {
			*ret = subnet_nth(subnet, i);
			return 0;
		}
	}
	return err_set(err, EADDRNOTAVAIL,
		       "the network has no address left: %" PRIu32 " workloads have one each",
		       size);
}

int address_give_back(struct db *db, const char *id, const char *interface, struct err *err)
{
	int r = db_run(db, "DELETE FROM address WHERE workload = ? AND network = 'bridge:' || ?",
		       DB_VALUES(DB_TEXT(id), DB_TEXT(interface)), err);

	return r < 0 ? r : 0;
}

int address_take_more(struct db *txn, const char *id, const struct keeper_network *orders,
		      const char *interface, char *ret, struct err *err)
{
	struct subnet subnet;
	uint32_t address = 0;

	int r = subnet_parse(orders->subnet, &subnet, err);
	if (r == 0)
		r = address_give_back(txn, id, interface, err);
	if (r == 0)
		r = first_free(txn, &subnet, &address, err);
	if (r < 0)
		return r;
	address_format(address, ret);
	r = db_run(txn,
		   "INSERT INTO address(network, address, workload) VALUES('bridge:' || ?, ?, ?)",
		   DB_VALUES(DB_TEXT(interface), DB_TEXT(ret), DB_TEXT(id)), err);
	return r < 0 ? r : 0;
}

static int fill(const struct subnet *subnet, uint32_t address, struct plan_net *plan,
		struct keeper_network *orders, struct err *err)
{
	char text[ADDRESS_TEXT];
	char gateway[ADDRESS_TEXT];
	char whole[SUBNET_TEXT];
	char mac[MAC_TEXT];

	address_format(address, text);
	address_format(subnet_gateway(subnet), gateway);
	subnet_format(subnet, whole);
	mac_format(address, mac);
	if (asprintf(&plan->address, "%s/%u", text, subnet->prefix) < 0)
		return err_set(err, ENOMEM, "out of memory");
	int r = set_str(&plan->gateway, gateway, err);
	if (r == 0)
		r = set_str(&plan->mac, mac, err);
	if (r == 0)
		r = set_str(&orders->name, "bridge", err);
	if (r == 0)
		r = set_str(&orders->subnet, whole, err);
	return r < 0 ? r : set_str(&orders->address, text, err);
}

/* Takes an address of the network for the workload, which has none. */
static int take(const char *bridge, const struct subnet *subnet, struct db *txn, const char *id,
		struct plan_net *plan, struct keeper_network *orders, struct err *err)
{
	uint32_t address = 0;

	int r = first_free(txn, subnet, &address, err);
	if (r == 0)
		r = fill(subnet, address, plan, orders, err);
	if (r == 0)
		r = set_str(&orders->bridge, bridge, err);
	if (r == 0)
		r = db_run(txn,
			   "INSERT INTO address(network, address, workload) VALUES('bridge', ?, ?)",
			   DB_VALUES(DB_TEXT(orders->address), DB_TEXT(id)), err);
	return r < 0 ? r : 0;
}

int address_take(const struct store *store, struct db *txn, const char *id, struct plan_net *plan,
		 struct keeper_network *orders, struct err *err)
{
	char bridge[BRIDGE_TEXT];
	struct subnet subnet;

	int r = find_network(store, bridge, &subnet, err);
	return r < 0 ? r : take(bridge, &subnet, txn, id, plan, orders, err);
}

/* The workload's own line in /etc/hosts, the last one, gets its new address. */
static int renew_hosts(struct plan *plan, const char *old, const char *address, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	AUTO_FREE char *line = NULL;
	struct plan_file *f = plan->files.items;
	const char *at = NULL;

	while (f < (struct plan_file *)plan->files.items + plan->files.n &&
	       strcmp(f->path, "/etc/hosts") != 0)
		f++;
	if (f == (struct plan_file *)plan->files.items + plan->files.n || f->content.len == 0)
		return 0; /* a volume of the user's lies there */
	if (asprintf(&line, "\n%.*s\t", (int)strcspn(old, "/"), old) < 0)
		return err_set(err, ENOMEM, "out of memory");
	buf_add(&text, f->content.data, f->content.len);
	buf_add(&text, "", 1);
	int r = buf_check(&text, err);
	if (r < 0)
		return r;
	for (const char *p = text.data; (p = strstr(p, line)); p++)
		at = p;
	if (!at)
		return 0;
	AUTO_BUF struct buf whole = BUF_INIT;
	buf_printf(&whole, "%.*s\n%s\t%s", (int)(at - text.data), text.data, address,
		   at + strlen(line));
	r = buf_check(&whole, err);
	if (r < 0)
		return r;
	free(f->content.data);
	f->content = (struct bytes){0};
	return bytes_set(&f->content, whole.data, whole.len, err);
}

static void forget(char **const texts[], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(*texts[i]);
		*texts[i] = NULL;
	}
}

int address_is_outdated(const struct store *store, const struct keeper_network *orders,
			struct err *err)
{
	char bridge[BRIDGE_TEXT];
	char text[SUBNET_TEXT];
	struct subnet subnet;

	int r = find_network(store, bridge, &subnet, err);
	if (r < 0)
		return r;
	subnet_format(&subnet, text);
	return strcmp(orders->subnet, text) != 0;
}

int address_renew(const struct store *store, struct db *txn, const char *id, struct plan *plan,
		  struct keeper_network *orders, struct err *err)
{
	char **const texts[] = {&plan->net.gateway, &plan->net.mac,  &orders->name,
				&orders->bridge,    &orders->subnet, &orders->address};
	AUTO_FREE char *old = TAKE_PTR(plan->net.address);

	forget(texts, sizeof(texts) / sizeof(texts[0]));
	int r = db_run(txn, "DELETE FROM address WHERE workload = ?", DB_VALUES(DB_TEXT(id)), err);
	if (r >= 0)
		r = address_take(store, txn, id, &plan->net, orders, err);
	return r == 0 && old ? renew_hosts(plan, old, orders->address, err) : r;
}
