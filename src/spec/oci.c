/* SPDX-License-Identifier: Apache-2.0 */
/* The top of config.json: what is neither a process nor Linux's own. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/path.h"
#include "proto/plan.h"
#include "spec/doc.h"
#include "spec/oci.h"
#include "spec/spec.h"

enum { HOSTNAME_LEN_MAX = 64 };

/* 1.MINOR[.PATCH][-anything] */
static int read_version(struct json_object *doc, struct err *err)
{
	const char *version = NULL;
	const char *rest = NULL;

	int r = json_need(json_get_str(doc, "ociVersion", &version, err), "ociVersion", err);
	if (r < 0)
		return r;
	size_t n = str_prefix(version, "1.", &rest) ? strspn(rest, "0123456789") : 0;
	if (n > 0 && rest[n] == '.')
		n = strspn(rest + n + 1, "0123456789") ? n + 1 + strspn(rest + n + 1, "0123456789")
						       : 0;
	if (n == 0 || !strchr("-+", rest[n]))
		return err_set(err, EINVAL,
			       "ociVersion: '%.60s' is not 1.x, all that is known here", version);
	return 0;
}

static int read_root(void *ctx, struct json_object *obj, struct err *err)
{
	const struct oci *oci = ctx;
	struct plan_root *root = &oci->plan->root;
	const char *path = NULL;

	int r = json_need(json_get_str(obj, "path", &path, err), "path", err);
	if (r >= 0 && !*path)
		return err_set(err, EINVAL, "path: empty");
	if (r >= 0)
		r = json_get_bool(obj, "readonly", &root->readonly, err);
	if (r < 0)
		return r;
	root->path = path_join(oci->config->bundle, path);
	return root->path ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int add_annotation(void *ctx, const char *name, const char *value, struct err *err)
{
	const struct oci *oci = ctx;
	AUTO_FREE char *line = NULL;

	if (strchr(name, '='))
		return err_set(err, EINVAL, "%.60s: a key with '='", name);
	if (asprintf(&line, "%s=%s", name, value) < 0) {
		line = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	return strv_add(&oci->plan->annotations, line, err);
}

/* Names of the workload, which need a namespace to be said in. */
static int read_names(struct json_object *doc, struct plan *plan, struct err *err)
{
	const struct {
		const char *key;
		char **to;
	} names[] = {{"hostname", &plan->hostname}, {"domainname", &plan->domainname}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int r = doc_text(doc, names[i].key, names[i].to, err);
		if (r < 0)
			return r;
		if (r > 0 && !oci_owns(plan, CLONE_NEWUTS))
			return err_set(err, EINVAL, "%s: needs a uts namespace", names[i].key);
		if (r > 0 && strlen(*names[i].to) > HOSTNAME_LEN_MAX)
			return err_set(err, EINVAL, "%s: longer than %d bytes", names[i].key,
				       HOSTNAME_LEN_MAX);
	}
	return 0;
}

/* The two objects that name their fields themselves. */
static int read_objects(struct oci *oci, struct json_object *doc, struct err *err)
{
	struct json_object *process = NULL;
	struct json_object *linux_obj = NULL;

	int r = json_get_obj(doc, "process", &process, err);
	if (r > 0)
		r = spec_process(process, oci->config, &oci->plan->process, err);
	oci->plan->process.keep_groups = oci_annotated(oci->plan, "run.oci.keep_original_groups");
	if (r >= 0)
		r = json_get_obj(doc, "linux", &linux_obj, err);
	return r > 0 ? oci_linux(oci, linux_obj, err) : r;
}

static int read_plan(struct oci *oci, struct json_object *doc, struct err *err)
{
	static const struct doc_part parts[] = {
		{"mounts", oci_mount, true},
		{"hooks", oci_hooks, false},
	};

	if (!json_is_obj(doc))
		return err_set(err, EINVAL, "config.json: must be an object");
	int r = read_version(doc, err);
	if (r >= 0)
		r = doc_object(doc, "root", read_root, oci, err);
	if (r >= 0 && !oci->plan->root.path)
		return err_set(err, EINVAL, "root: missing");
	if (r >= 0)
		r = doc_map(doc, "annotations", add_annotation, oci, err);
	if (r >= 0)
		r = oci_annotations(oci, err);
	if (r >= 0)
		r = read_objects(oci, doc, err);
	if (r >= 0)
		r = doc_parts(doc, DOC_TABLE(parts), oci, err);
	if (r >= 0)
		r = read_names(doc, oci->plan, err);
	if (r >= 0 && !oci_owns(oci->plan, CLONE_NEWNS))
		return err_set(err, EINVAL, "linux.namespaces: without a mount namespace");
	return r < 0 ? r : 0;
}

int spec_plan(struct json_object *doc, const struct spec_config *config, struct plan *ret,
	      struct err *err)
{
	struct plan plan = {.as_specified = true, .process = {.has_ids = true, .detached = true}};
	struct oci oci = {config, &plan};

	if (read_plan(&oci, doc, err) < 0) {
		record_done(&plan_record, &plan);
		return doc_fail(err);
	}
	*ret = plan;
	return 0;
}
