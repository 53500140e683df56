/* SPDX-License-Identifier: Apache-2.0 */
/* linux.sysctl: only what belongs to a namespace that the workload has to itself. */
#include <errno.h>
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/path.h"
#include "proto/plan.h"
#include "spec/doc.h"
#include "spec/oci.h"

static const struct sysctl {
	const char *name;
	bool prefix;
	uint32_t type; /* the namespace that it belongs to */
} sysctls[] = {
	{"net.", true, CLONE_NEWNET},
	{"kernel.msg", true, CLONE_NEWIPC},
	{"kernel.shm", true, CLONE_NEWIPC},
	{"kernel.sem", true, CLONE_NEWIPC},
	{"fs.mqueue.", true, CLONE_NEWIPC},
	{"kernel.hostname", false, CLONE_NEWUTS},
	{"kernel.domainname", false, CLONE_NEWUTS},
};

/* Swaps '.' and '/': "net.ipv4.conf.eth0/100.mtu" is net/ipv4/conf/eth0.100/mtu (sysctl(8)). */
static void swap_separators(char *key)
{
	for (; *(key += strcspn(key, "./")); key++)
		*key = *key == '.' ? '/' : '.';
}

static int judge_sysctl(const struct plan *plan, const char *key, struct err *err)
{
	for (size_t i = 0; i < sizeof(sysctls) / sizeof(sysctls[0]); i++) {
		const struct sysctl *s = &sysctls[i];
		if (!(s->prefix ? str_prefix(key, s->name, NULL) : strcmp(key, s->name) == 0))
			continue;
		if (oci_owns(plan, s->type))
			return 0;
		return err_set(err, EINVAL, "%.60s: needs a namespace of its own: %s", key,
			       s->type == CLONE_NEWNET   ? "network"
			       : s->type == CLONE_NEWIPC ? "ipc"
							 : "uts");
	}
	return err_set(err, EINVAL, "%.60s: is not in a namespace, so it would change the host",
		       key);
}

static int add_sysctl(void *ctx, const char *name, const char *value, struct err *err)
{
	const struct oci *oci = ctx;
	AUTO_FREE char *key = strdup(name);
	AUTO_FREE char *path = NULL;
	AUTO_FREE char *line = NULL;

	if (!key)
		return err_set(err, ENOMEM, "out of memory");
	if (key[strcspn(key, "./")] == '/') /* written as a path */
		swap_separators(key);
	path = strdup(key);
	if (!path)
		return err_set(err, ENOMEM, "out of memory");
	swap_separators(path);
	if (!path_is_clean(path, true) || strchr(key, '='))
		return err_set(err, EINVAL, "%.60s: is no name of a sysctl", name);
	if (judge_sysctl(oci->plan, key, err) < 0)
		return -err->code;
	if (asprintf(&line, "%s=%s", key, value) < 0) {
		line = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	return strv_add(&oci->plan->sysctl, line, err);
}

int oci_sysctl(struct oci *oci, struct json_object *obj, struct err *err)
{
	return doc_map(obj, "sysctl", add_sysctl, oci, err);
}
