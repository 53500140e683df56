/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/describe.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "engine/build.h"
#include "engine/internal.h"
#include "image/image.h"
#include "network/network.h"

/* --- at creation --- */

static void put_exposed(struct json_out *out, const struct build *b)
{
	const struct strv *lists[] = {&b->image->config.exposed, &b->options->expose};

	json_begin(out, "ExposedPorts");
	for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++) {
		for (size_t i = 0; i < lists[l]->n; i++) {
			char key[64];
			bool whole = strchr(lists[l]->v[i], '/') != NULL;
			(void)snprintf(key, sizeof(key), "%s%s", lists[l]->v[i],
				       whole ? "" : "/tcp");
			json_begin(out, key);
			json_end(out);
		}
	}
	json_end(out);
}

static void put_labels(struct json_out *out, const char *name, const struct build *b)
{
	json_begin(out, name);
	for (size_t i = 0; i < b->image->config.labels.n + b->options->labels.n; i++) {
		size_t own = b->image->config.labels.n;
		const char *label = i < own ? b->image->config.labels.v[i]
					    : b->options->labels.v[i - own];
		char key[256];
		size_t n = strcspn(label, "=");
		bool again = false;
		(void)snprintf(key, sizeof(key), "%.*s", (int)(n < 255 ? n : 255), label);
		for (size_t j = i + 1; j < own + b->options->labels.n && !again; j++) {
			const char *later = j < own ? b->image->config.labels.v[j]
						    : b->options->labels.v[j - own];
			again = strcspn(later, "=") == n && strncmp(later, label, n) == 0;
		}
		if (!again)
			json_put_str(out, key, label[n] ? label + n + 1 : "");
	}
	json_end(out);
}

void describe_labels(const struct build *b, struct buf *to)
{
	struct json_out out = JSON_OUT(to, false);

	put_labels(&out, NULL, b);
}

static void put_config(struct json_out *out, const struct build *b)
{
	const struct run_options *o = b->options;
	const struct strv command = {o->command, o->n_command};
	const struct strv *cmd = o->n_command ? &command : &b->image->config.cmd;

	json_begin(out, "Config");
	json_put_str(out, "Hostname", b->plan->hostname);
	json_put_str(out, "Domainname", b->plan->domainname ? b->plan->domainname : "");
	json_put_str(out, "User", b->plan->process.user ? b->plan->process.user : "");
	json_put_bool(out, "AttachStdin", o->interactive && !o->detach);
	json_put_bool(out, "AttachStdout", !o->detach);
	json_put_bool(out, "AttachStderr", !o->detach);
	put_exposed(out, b);
	json_put_bool(out, "Tty", o->tty);
	json_put_bool(out, "OpenStdin", o->interactive);
	json_put_bool(out, "StdinOnce", b->orders->stdin_once);
	json_put_strv(out, "Env", &b->plan->process.env);
	if (o->entrypoint && !o->n_command)
		json_put_null(out, "Cmd");
	else
		json_put_strv(out, "Cmd", cmd);
	json_put_str(out, "Image", o->image);
	json_put_str(out, "WorkingDir", b->plan->process.cwd);
	if (o->entrypoint) {
		struct strv given = b->plan->process.args;
		given.n -= o->n_command;
		json_put_strv(out, "Entrypoint", &given);
	} else {
		json_put_strv(out, "Entrypoint", &b->image->config.entrypoint);
	}
	put_labels(out, "Labels", b);
	const char *sig = signal_name((int)b->orders->stop_signal);
	json_put_str(out, "StopSignal", sig ? sig : "SIGTERM");
	json_put_uint(out, "StopTimeout", b->orders->stop_timeout_ms / 1000);
	json_end(out);
}

static void put_host_config(struct json_out *out, const struct build *b)
{
	const struct run_options *o = b->options;

	json_begin(out, "HostConfig");
	json_put_strv(out, "Binds", &o->volumes);
	json_put_strv(out, "Tmpfs", &o->tmpfs);
	json_put_str(out, "ContainerIDFile", o->cidfile ? o->cidfile : "");
	json_put_str(out, "NetworkMode", o->network ? o->network : "bridge");
	json_put_bool(out, "AutoRemove", o->auto_remove);
	json_put_strv(out, "CapAdd", &o->cap_add);
	json_put_strv(out, "CapDrop", &o->cap_drop);
	json_put_strv(out, "Dns", &o->dns);
	json_put_strv(out, "DnsSearch", &o->dns_search);
	json_put_strv(out, "ExtraHosts", &o->add_host);
	json_put_strv(out, "GroupAdd", &o->groups);
	json_put_bool(out, "Init", o->init);
	json_put_int(out, "OomScoreAdj", o->oom_score_adj);
	json_put_bool(out, "Privileged", o->privileged);
	json_put_bool(out, "PublishAllPorts", o->publish_all);
	json_put_bool(out, "ReadonlyRootfs", o->read_only);
	json_put_strv(out, "SecurityOpt", &o->security_opts);
	json_put_map(out, "Sysctls", &o->sysctl);
	json_put_strv(out, "Ulimits", &o->ulimits);
	json_put_strv(out, "Devices", &o->devices);
	json_put_uint(out, "ShmSize", o->shm_size ? o->shm_size : 64U << 20);
	json_put_strv(out, "MaskedPaths", &b->plan->masked);
	json_put_strv(out, "ReadonlyPaths", &b->plan->read_only);
	json_end(out);
}

void describe_config(const struct build *b, struct buf *to)
{
	struct json_out out = JSON_OUT(to, false);

	json_begin(&out, NULL);
	put_config(&out, b);
	put_host_config(&out, b);
	json_end(&out);
}

/* --- for inspect --- */

/* What a workload consists of, read for one inspect. */
struct subject {
	const struct workload *w;
	struct plan plan;
	struct keeper_orders orders;
	struct json_object *config; /* what describe_config() wrote */
};

static void put_state(struct json_out *out, const struct workload *w)
{
	bool never = w->state == 0 || w->state == KEEPER_CREATED;

	json_begin(out, "State");
	json_put_str(out, "Status", workload_state_name(w));
	json_put_bool(out, "Running", workload_is_running(w));
	json_put_bool(out, "Paused", w->state == KEEPER_PAUSED);
	json_put_bool(out, "Restarting", w->state == KEEPER_RESTARTING);
	json_put_bool(out, "OOMKilled", w->oom);
	json_put_bool(out, "Dead", false);
	json_put_uint(out, "Pid", workload_is_running(w) ? w->pid : 0);
	json_put_uint(out, "ExitCode", workload_is_running(w) ? 0 : w->exit_status);
	json_put_str(out, "Error", w->error ? w->error : "");
	json_put_time(out, "StartedAt", never ? 0 : w->started_ns);
	json_put_time(out, "FinishedAt", never ? 0 : w->finished_ns);
	json_end(out);
}

static void put_mounts(struct json_out *out, const struct plan *plan)
{
	const struct plan_mount *m = plan->mounts.items;

	json_begin_array(out, "Mounts");
	for (size_t i = 0; i < plan->mounts.n; i++) {
		bool bind = !m[i].type || strcmp(m[i].type, "bind") == 0;
		json_begin(out, NULL);
		json_put_str(out, "Type", bind ? "bind" : m[i].type);
		json_put_str(out, "Source", bind ? m[i].source : "");
		json_put_str(out, "Destination", m[i].target);
		json_put_str(out, "Mode", m[i].flags & MS_RDONLY ? "ro" : "");
		json_put_bool(out, "RW", !(m[i].flags & MS_RDONLY));
		json_put_str(out, "Propagation", bind ? "rprivate" : "");
		json_end(out);
	}
	json_end_array(out);
}

/* "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}] of the ports asked for. */
static void put_bindings(struct json_out *out, const char *key, const struct list *ports)
{
	const struct keeper_port *p = ports->items;

	json_begin(out, key);
	for (size_t i = 0; i < ports->n; i++) {
		char name[32];
		char number[16];
		bool first = true;
		for (size_t j = 0; j < i && first; j++)
			first = p[j].port != p[i].port || p[j].udp != p[i].udp;
		if (!first)
			continue;
		(void)snprintf(name, sizeof(name), "%u/%s", p[i].port, p[i].udp ? "udp" : "tcp");
		json_begin_array(out, name);
		for (size_t j = i; j < ports->n; j++) {
			if (p[j].port != p[i].port || p[j].udp != p[i].udp)
				continue;
			(void)snprintf(number, sizeof(number), "%u", p[j].host_port);
			json_begin(out, NULL);
			json_put_str(out, "HostIp", p[j].host_ip ? p[j].host_ip : "0.0.0.0");
			json_put_str(out, "HostPort", p[j].host_port ? number : "");
			json_end(out);
		}
		json_end_array(out);
	}
	json_end(out);
}

int port_texts_parse(const char *texts, struct list *ret, struct err *err)
{
	AUTO_FREE char *copy = strdup(texts ? texts : "");
	char *rest = copy;
	int r = 0;

	for (char *one; r == 0 && rest && (one = strsep(&rest, ",")) != NULL && *one;) {
		char spec[PORT_TEXT];
		one += strspn(one, " ");
		char *arrow = strstr(one, "->");
		if (!arrow)
			continue;
		*arrow = '\0';
		(void)snprintf(spec, sizeof(spec), "%s:%s", one, arrow + 2);
		r = port_parse(spec, ret, err);
	}
	return r;
}

void port_list_done(struct list *ports)
{
	for (size_t i = 0; i < ports->n; i++)
		free(((struct keeper_port *)ports->items)[i].host_ip);
	free(ports->items);
	*ports = (struct list){0};
}

/* Those beside the first. */
static void put_interfaces(struct json_out *out, const struct workload *w)
{
	json_begin(out, "Interfaces");
	for (size_t i = 0; i < w->interfaces.n; i++) {
		struct err ignored = ERR_INIT; /* the keeper's own texts */
		char name[NET_LINK_NAME] = "", mac[MAC_TEXT] = "";
		const char *address = strchr(w->interfaces.v[i], ' ');
		uint32_t ip;
		if (!address || address_parse(++address, &ip, &ignored) < 0)
			continue;
		(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(w->interfaces.v[i], " "),
			       w->interfaces.v[i]);
		mac_format(ip, mac);
		json_begin(out, name);
		json_put_str(out, "IPAddress", address);
		json_put_str(out, "MacAddress", mac);
		json_end(out);
	}
	json_end(out);
}

static void put_network(struct json_out *out, const struct subject *s)
{
	struct err ignored = ERR_INIT; /* the keeper's own texts */
	struct list live = {0};
	const char *address = s->orders.network.address;

	if (port_texts_parse(s->w->ports, &live, &ignored) < 0)
		live.n = 0;
	json_begin(out, "NetworkSettings");
	json_put_str(out, "Bridge", s->orders.network.bridge ? s->orders.network.bridge : "");
	put_bindings(out, "Ports", live.n ? &live : &s->orders.ports);
	json_put_str(out, "IPAddress", address ? address : "");
	json_put_str(out, "Gateway", s->plan.net.gateway ? s->plan.net.gateway : "");
	json_put_str(out, "MacAddress", s->plan.net.mac ? s->plan.net.mac : "");
	json_begin(out, "Networks");
	if (address) {
		json_begin(out, s->orders.network.name);
		json_put_str(out, "IPAddress", address);
		json_put_str(out, "Gateway", s->plan.net.gateway);
		json_put_str(out, "MacAddress", s->plan.net.mac);
		json_put_str(out, "Subnet", s->orders.network.subnet);
		json_end(out);
	}
	json_end(out);
	put_interfaces(out, s->w);
	json_end(out);
	port_list_done(&live);
}

static int copy_member(void *ctx, const char *key, struct json_object *value, struct err *err)
{
	json_put_value(ctx, key, value);
	return 0;
}

static int put_stored_host_config(struct json_out *out, const struct subject *s, struct err *err)
{
	const struct plan_limits *l = &s->plan.limits;
	struct json_object *stored = NULL;
	static const char *const policies[] = {"no", "on-failure", "always", "unless-stopped"};

	int r = json_get_obj(s->config, "HostConfig", &stored, err);
	json_begin(out, "HostConfig");
	if (r == 1)
		r = json_each(stored, copy_member, out, err);
	put_bindings(out, "PortBindings", &s->orders.ports);
	json_begin(out, "RestartPolicy");
	json_put_str(out, "Name", s->orders.restart < 4 ? policies[s->orders.restart] : "no");
	json_put_uint(out, "MaximumRetryCount", s->orders.restart_max);
	json_end(out);
	json_put_uint(out, "Memory", l->memory);
	json_put_int(out, "MemorySwap",
		     l->memory_swap == UINT64_MAX ? -1 : (int64_t)l->memory_swap);
	json_put_uint(out, "MemoryReservation", l->memory_reservation);
	json_put_uint(out, "NanoCpus",
		      l->cpu_period_us ? l->cpu_quota_us * 1000000000 / l->cpu_period_us : 0);
	json_put_uint(out, "CpuShares", l->cpu_shares);
	json_put_str(out, "CpusetCpus", l->cpuset_cpus ? l->cpuset_cpus : "");
	json_put_int(out, "PidsLimit", l->pids == UINT64_MAX ? -1 : (int64_t)l->pids);
	json_put_uint(out, "BlkioWeight", l->blkio_weight);
	json_put_uint(out, "NetworkIngress", plan_rate(l->net_ingress));
	json_put_uint(out, "NetworkEgress", plan_rate(l->net_egress));
	json_begin(out, "LogConfig");
	json_put_str(out, "Type", s->orders.log_max ? "json-file" : "none");
	json_end(out);
	json_end(out);
	return r < 0 ? r : 0;
}

static void put_machine(struct json_out *out, const struct subject *s)
{
	const struct plan_machine *m = &s->plan.machine;

	if (!s->w->vm)
		return;
	json_begin(out, "Machine");
	json_put_str(out, "Kernel", m->kernel);
	json_put_str(out, "KernelArgs", m->kernel_args ? m->kernel_args : "");
	json_put_uint(out, "Memory", m->memory);
	json_put_uint(out, "MaxMemory", m->max_memory > m->memory ? m->max_memory : m->memory);
	json_put_uint(out, "Cpus", m->cpus);
	json_put_uint(out, "MaxCpus", m->max_cpus > m->cpus ? m->max_cpus : m->cpus);
	json_put_str(out, "Accelerator", m->accel == ACCEL_KVM ? "kvm" : "tcg");
	json_end(out);
}

static int put_all(struct json_out *out, const struct subject *s, struct err *err)
{
	struct strv args = s->plan.process.args;
	const struct workload *w = s->w;
	struct json_object *config = NULL;
	char image[80];

	json_begin(out, NULL);
	json_put_str(out, "Id", w->id);
	json_put_time(out, "Created", w->created_ns);
	json_put_str(out, "Path", args.n ? args.v[0] : "");
	args = args.n ? (struct strv){args.v + 1, args.n - 1} : args;
	json_put_strv(out, "Args", &args);
	put_state(out, w);
	(void)snprintf(image, sizeof(image), "sha256:%s", w->manifest ? w->manifest : "");
	json_put_str(out, "Image", image);
	json_put_str(out, "Name", w->name);
	json_put_uint(out, "RestartCount", w->restarts);
	json_put_str(out, "Isolation", w->vm ? "vm" : "container");
	put_machine(out, s);
	put_mounts(out, &s->plan);
	int r = put_stored_host_config(out, s, err);
	if (r == 0)
		r = json_get_obj(s->config, "Config", &config, err);
	json_put_value(out, "Config", config);
	put_network(out, s);
	json_end(out);
	return r < 0 ? r : 0;
}

int workload_inspect(struct engine *e, const struct workload *w, struct buf *to, bool pretty,
		     struct err *err)
{
	struct json_out out = JSON_OUT(to, pretty);
	struct subject s = {.w = w};
	AUTO_FREE char *config = NULL;

	int r = workload_config(e, w, &config, err);
	if (r == 0)
		r = json_parse(config, strlen(config), 4 << 20, "the workload's record", &s.config,
			       err);
	if (r == 0)
		r = workload_read_plan(e, w->id, &s.plan, err);
	if (r == 0)
		r = workload_read_orders(e, w->id, &s.orders, err);
	if (r == 0)
		r = put_all(&out, &s, err);
	record_done(&plan_record, &s.plan);
	record_done(&keeper_orders_record, &s.orders);
	json_free(s.config);
	return r < 0 ? r : buf_check(to, err);
}
