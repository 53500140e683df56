/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/oci_host.h"

#include <errno.h>
#include <linux/sched.h>
#include <net/if.h>
#include <stddef.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "proto/plan.h"
#include "spec/doc.h"
#include "spec/oci.h"
#include "spec/spec.h"

/* The group is a folder's name. */
static int judge_closid(const char *id, struct err *err)
{
	if (strchr(id, '/') || strcmp(id, ".") == 0 || strcmp(id, "..") == 0 || strchr(id, '\n'))
		return err_set(err, EINVAL, "closID: '%.60s' is no name of a group", id);
	return 0;
}

/* runtime-spec 1.3: lines of any resource, written behind the two that have names of their own. */
static int add_schemata(struct json_object *obj, char **l3, struct err *err)
{
	AUTO_STRV struct strv lines = {0};
	AUTO_BUF struct buf all = BUF_INIT;

	int r = json_get_strv(obj, "schemata", &lines, err);
	if (r <= 0 || lines.n == 0)
		return r;
	if (*l3)
		buf_printf(&all, "%s\n", *l3);
	for (size_t i = 0; i < lines.n; i++)
		buf_printf(&all, "%s%s", i ? "\n" : "", lines.v[i]);
	free(*l3);
	*l3 = buf_take(&all);
	return *l3 ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* The first two are old words for the third, but each container's counters were one group's. */
static int read_monitoring(const struct oci *oci, struct json_object *obj, struct err *err)
{
	static const char *const keys[] = {"enableCMT", "enableMBM"};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		bool on = false;
		int r = json_get_bool(obj, keys[i], &on, err);
		if (r < 0)
			return r;
		if (on)
			doc_say(oci->config,
				"linux.intelRdt.%s: passed over, the group's own counters serve",
				keys[i]);
	}
	return 0;
}

int oci_rdt(void *ctx, struct json_object *obj, struct err *err)
{
	static const struct doc_field fields[] = {
		{"closID", DOC_TEXT, offsetof(struct plan, rdt_closid), 0, 0},
		{"l3CacheSchema", DOC_TEXT, offsetof(struct plan, rdt_l3), 0, 0},
		{"memBwSchema", DOC_TEXT, offsetof(struct plan, rdt_mb), 0, 0},
	};
	const struct oci *oci = ctx;
	struct plan *plan = oci->plan;

	int r = doc_fields(obj, DOC_TABLE(fields), plan, err);
	if (r >= 0 && !plan->rdt_closid) {
		plan->rdt_closid = strdup("");
		if (!plan->rdt_closid)
			return err_set(err, ENOMEM, "out of memory");
	}
	if (r >= 0)
		r = judge_closid(plan->rdt_closid, err);
	if (r >= 0)
		r = add_schemata(obj, &plan->rdt_l3, err);
	if (r >= 0)
		r = json_get_bool(obj, "enableMonitoring", &plan->rdt_monitor, err);
	return r < 0 ? r : read_monitoring(oci, obj, err);
}

/* set_mempolicy(2); newer ones are not in this system's headers. */
enum policy {
	POLICY_DEFAULT,
	POLICY_PREFERRED,
	POLICY_BIND,
	POLICY_INTERLEAVE,
	POLICY_LOCAL,
	POLICY_PREFERRED_MANY,
	POLICY_WEIGHTED_INTERLEAVE,
};

static int judge_nodes(enum policy policy, bool nodes, struct err *err)
{
	bool never = policy == POLICY_DEFAULT || policy == POLICY_LOCAL;

	if (never && nodes)
		return err_set(err, EINVAL, "nodes: not with this mode");
	if (!never && policy != POLICY_PREFERRED && !nodes)
		return err_set(err, EINVAL, "nodes: missing, this mode needs them");
	return 0;
}

int oci_memory_policy(void *ctx, struct json_object *obj, struct err *err)
{
	static const struct doc_word modes[] = {
		{"MPOL_DEFAULT", POLICY_DEFAULT},
		{"MPOL_PREFERRED", POLICY_PREFERRED},
		{"MPOL_BIND", POLICY_BIND},
		{"MPOL_INTERLEAVE", POLICY_INTERLEAVE},
		{"MPOL_LOCAL", POLICY_LOCAL},
		{"MPOL_PREFERRED_MANY", POLICY_PREFERRED_MANY},
		{"MPOL_WEIGHTED_INTERLEAVE", POLICY_WEIGHTED_INTERLEAVE},
	};
	static const struct doc_word flags[] = {
		{"MPOL_F_NUMA_BALANCING", 1 << 13},
		{"MPOL_F_RELATIVE_NODES", 1 << 14},
		{"MPOL_F_STATIC_NODES", 1 << 15},
	};
	static const struct doc_field fields[] = {
		{"nodes", DOC_CPUS, offsetof(struct plan, memory_nodes), 0, 0},
	};
	const struct oci *oci = ctx;
	struct plan *plan = oci->plan;
	uint64_t mode = 0;
	uint64_t bits = 0;

	int r = json_need(doc_word(obj, "mode", DOC_TABLE(modes), &mode, err), "mode", err);
	if (r >= 0)
		r = doc_bits(obj, "flags", DOC_TABLE(flags), &bits, err);
	if (r >= 0)
		r = doc_fields(obj, DOC_TABLE(fields), plan, err);
	if (r < 0)
		return r;
	plan->has_memory_policy = true;
	plan->memory_policy = (uint32_t)(mode | bits);
	return judge_nodes((enum policy)mode, plan->memory_nodes != NULL, err);
}

static bool is_interface(const char *name)
{
	return *name && strlen(name) < IF_NAMESIZE && !strpbrk(name, "/: \t\n") &&
	       strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int add_net_device(void *ctx, const char *name, struct json_object *value, struct err *err)
{
	struct plan *plan = ctx;
	const struct plan_text_pair *have = plan->net_devices.items;
	const char *inside = "";

	if (!is_interface(name))
		return err_set(err, EINVAL, "%.60s: is no name of an interface", name);
	if (!json_is_obj(value))
		return err_set(err, EINVAL, "%s: must be an object", name);
	if (json_get_str(value, "name", &inside, err) < 0)
		return doc_in(err, "%s", name);
	if (*inside && !is_interface(inside))
		return err_set(err, EINVAL, "%s.name: '%.60s' is no name of an interface", name,
			       inside);
	for (size_t i = 0; i < plan->net_devices.n; i++) {
		const char *taken = *have[i].value ? have[i].value : have[i].name;
		if (strcmp(taken, *inside ? inside : name) == 0)
			return err_set(err, EINVAL, "%s.name: is given twice", name);
	}
	struct plan_text_pair *pair = list_add(&plan->net_devices, &plan_text_pair_record);
	if (!pair)
		return err_set(err, ENOMEM, "out of memory");
	pair->name = strdup(name);
	pair->value = strdup(inside);
	return pair->name && pair->value ? 0 : err_set(err, ENOMEM, "out of memory");
}

int oci_net_devices(struct oci *oci, struct json_object *linux_obj, struct err *err)
{
	struct json_object *devices = NULL;

	int r = json_get_obj(linux_obj, "netDevices", &devices, err);
	if (r > 0 && json_each(devices, add_net_device, oci->plan, err) < 0)
		return doc_in(err, "netDevices");
	if (r > 0 && oci->plan->net_devices.n && !oci_owns(oci->plan, CLONE_NEWNET))
		return err_set(err, EINVAL, "netDevices: need a network namespace");
	return r < 0 ? r : 0;
}
