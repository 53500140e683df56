/* SPDX-License-Identifier: Apache-2.0 */
/* rename, port, update. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cli/commands.h"
#include "cli/each.h"
#include "cli/run_options.h"
#include "engine/engine.h"

static int rename_command(struct call *call, struct err *err)
{
	struct engine *e = NULL;
	AUTO(auto_workload_free) struct workload *w = NULL;

	int r = first_workload(call, &e, &w, err);
	return r < 0 ? r : workload_rename(e, w, call->operands[1], err);
}

/* "80", "80/tcp": whether a port is the one asked for. */
static bool is_port(const struct keeper_port *p, const char *asked)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%u/%s", p->port, p->udp ? "udp" : "tcp");
	return !asked || strcmp(text, asked) == 0 ||
	       (!strchr(asked, '/') && !p->udp && strncmp(text, asked, strlen(asked)) == 0 &&
		text[strlen(asked)] == '/');
}

static int port(struct call *call, struct err *err)
{
	const char *asked = call->n > 1 ? call->operands[1] : NULL;
	struct engine *e = NULL;
	struct list ports = {0};
	AUTO(auto_workload_free) struct workload *w = NULL;
	bool found = false;

	int r = first_workload(call, &e, &w, err);
	if (r == 0 && workload_is_running(w))
		r = port_texts_parse(w->ports, &ports, err);
	for (size_t i = 0; r == 0 && i < ports.n; i++) {
		const struct keeper_port *p = &((const struct keeper_port *)ports.items)[i];
		const char *ip = p->host_ip ? p->host_ip : "0.0.0.0";
		bool six = strchr(ip, ':') != NULL;
		if (!is_port(p, asked))
			continue;
		found = true;
		if (!asked)
			printf("%u/%s -> ", p->port, p->udp ? "udp" : "tcp");
		printf("%s%s%s:%u\n", six ? "[" : "", ip, six ? "]" : "", p->host_port);
	}
	port_list_done(&ports);
	if (r == 0 && asked && !found)
		r = err_set(err, ENOENT, "'%s': port %s is not published", call->operands[0],
			    asked);
	return r;
}

static const struct option update_options[] = {
	{"restart", 0, OPTION_STRING, "POLICY", "no, on-failure[:N], always, unless-stopped",
	 offsetof(struct update_options, restart)},
	{"disk-add", 0, OPTION_LIST, "FILE:PATH[:ro]",
	 "show the file system in FILE at PATH of a machine that runs",
	 offsetof(struct update_options, disk_add)},
	{"disk-rm", 0, OPTION_LIST, "PATH", "take such a disk away",
	 offsetof(struct update_options, disk_rm)},
	{"network-add", 0, OPTION_LIST, "NETWORK",
	 "give it one more interface on NETWORK (bridge) while it runs",
	 offsetof(struct update_options, network_add)},
	{"network-rm", 0, OPTION_LIST, "INTERFACE", "take such an interface away (eth1)",
	 offsetof(struct update_options, network_rm)},
};

static int update_one(struct call *call, struct engine *e, struct workload *w, struct err *err)
{
	return workload_update(e, w, call->options, err);
}

static int update(struct call *call, struct err *err)
{
	return each_workload(call, update_one, false, err);
}

const struct command command_rename = {
	.names = {"rename", "container rename"},
	.operands = "WORKLOAD NAME",
	.summary = "Give a workload another name",
	.example = "hull rename web old-web",
	.min = 2,
	.max = 2,
	.run = rename_command,
};

const struct command command_port = {
	.names = {"port", "container port"},
	.operands = "WORKLOAD [PORT[/PROTOCOL]]",
	.summary = "Show where ports of a workload are published",
	.example = "hull port web 80",
	.min = 1,
	.max = 2,
	.run = port,
};

const struct command command_update = {
	.names = {"update", "container update"},
	.operands = "WORKLOAD...",
	.summary = "Change limits, disks, networks and restart policy of workloads",
	.example = "hull update --memory 1g --cpus 2 web",
	.groups = {OPTION_GROUP(update_options, 0),
		   OPTION_GROUP(limit_option_table, offsetof(struct update_options, limits))},
	.size = sizeof(struct update_options),
	.min = 1,
	.max = OPERANDS_ANY,
	.run = update,
};
