/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a published port: what is accepted makes sense, and is read again from its own
 * writing. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "network/network.h"
#include "proto/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void list_done(struct list *list)
{
	for (size_t i = 0; i < list->n; i++)
		record_done(&keeper_port_record, (struct keeper_port *)list->items + i);
	free(list->items);
}

static void check(const struct keeper_port *port, bool again)
{
	AUTO(list_done) struct list list = {0};
	struct err err = ERR_INIT;
	char text[PORT_TEXT];
	uint32_t address;

	require(port->port >= 1 && port->port <= 65535 && port->host_port <= 65535);
	port_format(port, text);
	require(strlen(text) < sizeof(text) - 1);
	(void)port_address(port, &address);
	char *arrow = strstr(text, "->");
	require(arrow != NULL);
	if (!again || !port->host_port)
		return;
	arrow[0] = ':'; /* "IP:HOSTPORT->PORT/proto" as -p takes it */
	memmove(arrow + 1, arrow + 2, strlen(arrow + 2) + 1);
	require(port_parse(text, &list, &err) == 0 && list.n == 1);
	check(list.items, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_FREE char *text = malloc(n + 1);
	AUTO(list_done) struct list list = {0};
	struct err err = ERR_INIT;
	struct subnet subnet;

	if (!text)
		return 0;
	memcpy(text, data, n);
	text[n] = '\0';
	if (port_parse(text, &list, &err) == 0) {
		require(list.n >= 1 && list.n <= PORT_RANGE_MAX);
		for (size_t i = 0; i < list.n; i++)
			check((struct keeper_port *)list.items + i, true);
	} else {
		require(err.code > 0 && list.n == 0);
	}
	struct err no_subnet = ERR_INIT;
	if (subnet_parse(text, &subnet, &no_subnet) == 0) {
		uint32_t last = subnet_size(&subnet) - 1;
		require(subnet_index(&subnet, subnet_nth(&subnet, last)) == last);
	}
	return 0;
}
