/* SPDX-License-Identifier: Apache-2.0 */
/* Elements of `mounts`. Whether one is a bind, its options say; its type may be anything then. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/path.h"
#include "base/str.h"
#include "proto/plan.h"
#include "spec/doc.h"
#include "spec/oci.h"
#include "spec/oci_options.h"
#include "spec/spec.h"

#define AT(member) offsetof(struct plan_mount, member)

static int read_target(const struct oci *oci, struct json_object *obj, struct plan_mount *m,
		       struct err *err)
{
	AUTO_FREE char *path = NULL;

	int r = json_need(doc_text(obj, "destination", &path, err), "destination", err);
	if (r < 0)
		return r;
	if (path[0] != '/')
		doc_say(oci->config, "mounts: destination '%.60s' is relative; it is taken below /",
			path);
	m->target = path_join("/", path);
	return m->target ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int read_source(const struct oci *oci, struct plan_mount *m, struct err *err)
{
	if (!m->source)
		return err_set(err, EINVAL, "source: missing");
	char *absolute = path_join(oci->config->bundle, m->source);
	if (!absolute)
		return err_set(err, ENOMEM, "out of memory");
	free(m->source);
	m->source = absolute;
	return 0;
}

/* Words that are not known go to the file system, as they stand. */
static int read_options(struct json_object *obj, struct plan_mount *m, bool *is_bind,
			struct err *err)
{
	AUTO_STRV struct strv words = {0};
	AUTO_BUF struct buf data = BUF_INIT;

	int r = json_get_strv(obj, "options", &words, err);
	for (size_t i = 0; r >= 0 && i < words.n; i++) {
		const char *word = words.v[i];
		if (!*word || oci_option(word, m, is_bind))
			continue;
		if (data.len > 0)
			buf_str(&data, ",");
		buf_str(&data, word);
	}
	if (r >= 0 && data.len > 0) {
		m->data = buf_take(&data);
		if (!m->data)
			r = err_set(err, ENOMEM, "out of memory");
	}
	return r < 0 ? r : 0;
}

static int judge_bind(struct plan_mount *m, struct err *err)
{
	if (m->data)
		return err_set(err, EINVAL, "options: '%.60s' is nothing that a bind knows",
			       m->data);
	if (m->copy_up)
		return err_set(err, EINVAL, "options: tmpcopyup is for tmpfs alone");
	free(m->type);
	m->type = strdup("bind");
	return m->type ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int judge_fs(struct plan_mount *m, struct err *err)
{
	if (!m->type)
		return err_set(err, EINVAL, "type: missing");
	if (m->copy_up && strcmp(m->type, "tmpfs") != 0)
		return err_set(err, EINVAL, "options: tmpcopyup is for tmpfs alone");
	if (m->copy_symlink || m->source_nofollow)
		return err_set(err, EINVAL,
			       "options: copy-symlink and src-nofollow are for binds alone");
	m->attr_clear = 0; /* it starts with none */
	return 0;
}

static int read_maps(const struct oci *oci, struct json_object *obj, struct plan_mount *m,
		     struct err *err)
{
	int r = oci_idmaps(obj, "uidMappings", &m->uid_maps, err);

	if (r >= 0)
		r = oci_idmaps(obj, "gidMappings", &m->gid_maps, err);
	if (r < 0)
		return r;
	if ((m->uid_maps.n == 0) != (m->gid_maps.n == 0))
		return err_set(err, EINVAL, "%s: missing beside the other",
			       m->uid_maps.n ? "gidMappings" : "uidMappings");
	m->idmap |= m->uid_maps.n > 0;
	if (m->idmap && m->uid_maps.n == 0 && !oci_owns(oci->plan, CLONE_NEWUSER))
		return err_set(
			err, EINVAL,
			"options: idmap needs mappings, or a user namespace to have them of");
	return 0;
}

static int read_mount(const struct oci *oci, struct json_object *obj, struct plan_mount *m,
		      struct err *err)
{
	static const struct doc_field fields[] = {
		{"type", DOC_TEXT, AT(type), 0, 0},
		{"source", DOC_TEXT, AT(source), 0, 0},
	};
	bool is_bind = false;

	int r = read_target(oci, obj, m, err);
	if (r >= 0)
		r = doc_fields(obj, DOC_TABLE(fields), m, err);
	if (r >= 0)
		r = read_options(obj, m, &is_bind, err);
	if (r < 0)
		return r;
	is_bind |= m->type && strcmp(m->type, "bind") == 0;
	r = is_bind ? judge_bind(m, err) : judge_fs(m, err);
	if (r >= 0 && is_bind)
		r = read_source(oci, m, err);
	return r < 0 ? r : read_maps(oci, obj, m, err);
}

int oci_mount(void *ctx, struct json_object *obj, struct err *err)
{
	const struct oci *oci = ctx;
	struct plan_mount *m = list_add(&oci->plan->mounts, &plan_mount_record);

	return m ? read_mount(oci, obj, m, err) : err_set(err, ENOMEM, "out of memory");
}
