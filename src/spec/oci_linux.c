/* SPDX-License-Identifier: Apache-2.0 */
/* The object `linux`: what has no file of its own is here. */
#include <errno.h>
#include <string.h>
#include <sys/personality.h>

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "proto/plan.h"
#include "spec/doc.h"
#include "spec/oci.h"
#include "spec/oci_host.h"
#include "spec/spec.h"

static int read_paths(struct json_object *obj, const char *key, struct strv *ret, struct err *err)
{
	int r = json_get_strv(obj, key, ret, err);

	for (size_t i = 0; r >= 0 && i < ret->n; i++) {
		if (ret->v[i][0] != '/')
			return err_set(err, EINVAL, "%s[%zu]: must be absolute", key, i);
	}
	return r;
}

/* A path below each hierarchy, or systemd's "slice:prefix:name", as it stands; but nothing that
 * climbs (SECURITY.md R16). */
static int read_cgroup(struct json_object *obj, struct plan *plan, struct err *err)
{
	int r = doc_text(obj, "cgroupsPath", &plan->cgroup, err);

	for (const char *at = r > 0 ? plan->cgroup : NULL; at; at = strchr(at, '/')) {
		at += strspn(at, "/");
		if (strncmp(at, "..", 2) == 0 && (at[2] == '/' || at[2] == '\0'))
			return err_set(err, EINVAL, "cgroupsPath: leads out by '..'");
	}
	return r;
}

static int read_propagation(struct json_object *obj, struct plan *plan, struct err *err)
{
	const char *word = NULL;

	int r = json_get_str(obj, "rootfsPropagation", &word, err);
	if (r <= 0 || !*word)
		return r;
	plan->root_propagation = oci_propagation(word);
	if (!plan->root_propagation)
		return err_set(err, EINVAL, "rootfsPropagation: '%.60s' is not known", word);
	return 0;
}

static int read_personality(void *ctx, struct json_object *obj, struct err *err)
{
	static const struct doc_word domains[] = {{"LINUX", PER_LINUX}, {"LINUX32", PER_LINUX32}};
	const struct oci *oci = ctx;
	struct json_object *flags = NULL;

	int r = json_need(doc_word(obj, "domain", DOC_TABLE(domains), &oci->plan->personality, err),
			  "domain", err);
	if (r >= 0)
		r = json_get_array(obj, "flags", &flags, err);
	if (r > 0 && json_len(flags) > 0)
		return err_set(err, EINVAL, "flags: none is known");
	oci->plan->has_personality = r >= 0;
	return r;
}

/* Behind the nodes of linux.devices. */
static int read_limits(const struct oci *oci, struct json_object *obj, struct err *err)
{
	struct json_object *resources = NULL;

	int r = json_get_obj(obj, "resources", &resources, err);
	if (r > 0)
		r = oci_limits(resources, &oci->plan->limits, err);
	return r < 0 ? r : oci_device_usual(&oci->plan->limits, err);
}

static int read_plain(struct oci *oci, struct json_object *obj, struct err *err)
{
	struct plan *plan = oci->plan;

	int r = read_paths(obj, "maskedPaths", &plan->masked, err);
	if (r >= 0)
		r = read_paths(obj, "readonlyPaths", &plan->read_only, err);
	if (r >= 0)
		r = read_cgroup(obj, plan, err);
	if (r >= 0)
		r = read_propagation(obj, plan, err);
	if (r >= 0)
		r = doc_text(obj, "mountLabel", &plan->mount_label, err);
	return r;
}

static int read_linux(struct oci *oci, struct json_object *obj, struct err *err)
{
	static const struct doc_part parts[] = {
		{"personality", read_personality, false},
		{"intelRdt", oci_rdt, false},
		{"memoryPolicy", oci_memory_policy, false},
	};

	int r = oci_namespaces(oci, obj, err);
	if (r >= 0)
		r = oci_sysctl(oci, obj, err);
	if (r >= 0)
		r = oci_devices(oci, obj, err);
	if (r >= 0)
		r = read_plain(oci, obj, err);
	if (r >= 0)
		r = doc_parts(obj, DOC_TABLE(parts), oci, err);
	return r < 0 ? r : oci_net_devices(oci, obj, err);
}

int oci_linux(struct oci *oci, struct json_object *obj, struct err *err)
{
	struct json_object *seccomp = NULL;

	if (read_linux(oci, obj, err) < 0)
		return doc_in(err, "linux");
	int r = read_limits(oci, obj, err); /* these name their fields themselves */
	if (r >= 0)
		r = oci_time_annotation(oci->plan, err);
	if (r >= 0)
		r = oci_filter_annotation(oci->plan, err);
	if (r != 0)
		return r;
	r = json_get_obj(obj, "seccomp", &seccomp, err);
	return r > 0 ? spec_seccomp(seccomp, oci_annotation(oci->plan, "run.oci.seccomp.receiver"),
				    oci_annotated(oci->plan,
						  "run.oci.seccomp_fail_unknown_syscall"),
				    &oci->plan->process, err)
		     : r;
}
