/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device nodes and rules, both in the plan's one list of devices, in order: the nodes of
 * linux.devices, which allow nothing by themselves; the rules of linux.resources.devices; and what
 * every workload may use, as all runtimes add it behind those.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "proto/plan.h"
#include "spec/doc.h"
#include "spec/oci.h"

#define ANY       UINT32_MAX
#define AT(field) offsetof(struct plan_device, field)

static int set_access(struct plan_device *d, const char *access, struct err *err)
{
	d->access = strdup(access);
	return d->access ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* The numbers; 'any' where a rule may leave them out, or say -1. */
static int read_numbers(struct json_object *obj, struct plan_device *d, bool rule, struct err *err)
{
	const struct {
		const char *key;
		uint32_t *to;
	} numbers[] = {{"major", &d->major}, {"minor", &d->minor}};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		int64_t n = rule ? -1 : 0;
		int r = json_get_int(obj, numbers[i].key, n, UINT32_MAX - 1, &n, err);
		if (r == 0 && !rule && d->type != 'p')
			r = json_need(r, numbers[i].key, err);
		if (r < 0)
			return r;
		*numbers[i].to = n < 0 ? ANY : (uint32_t)n;
	}
	return 0;
}

static int read_node(void *ctx, struct json_object *obj, struct err *err)
{
	static const struct doc_word types[] = {{"c", 'c'}, {"u", 'c'}, {"b", 'b'}, {"p", 'p'}};
	static const struct doc_field fields[] = {
		{"path", DOC_PATH, AT(path), 0, 0},
		{"fileMode", DOC_U32, AT(mode), 0, 0},
		{"uid", DOC_U32, AT(uid), UINT32_MAX - 1, 0},
		{"gid", DOC_U32, AT(gid), UINT32_MAX - 1, 0},
	};
	const struct oci *oci = ctx;
	uint64_t type = 0;

	struct plan_device *d = list_add(&oci->plan->limits.devices, &plan_device_record);
	if (!d)
		return err_set(err, ENOMEM, "out of memory");
	d->mode = 0666;
	int r = json_need(doc_word(obj, "type", DOC_TABLE(types), &type, err), "type", err);
	d->type = (uint32_t)type;
	if (r >= 0)
		r = doc_fields(obj, DOC_TABLE(fields), d, err);
	if (r >= 0 && !d->path)
		return err_set(err, EINVAL, "path: missing");
	d->mode &= 07777; /* callers hand on all of stat's st_mode */
	if (r >= 0)
		r = read_numbers(obj, d, false, err);
	return r < 0 ? r : set_access(d, "", err);
}

int oci_devices(struct oci *oci, struct json_object *obj, struct err *err)
{
	return doc_list(obj, "devices", read_node, oci, err);
}

static int read_rule(void *ctx, struct json_object *obj, struct err *err)
{
	static const struct doc_word types[] = {{"a", 'a'}, {"c", 'c'}, {"b", 'b'}};
	struct plan_limits *to = ctx;
	const char *access = "";
	uint64_t type = 'a';
	bool allow = false;

	struct plan_device *d = list_add(&to->devices, &plan_device_record);
	if (!d)
		return err_set(err, ENOMEM, "out of memory");
	int r = json_need(json_get_bool(obj, "allow", &allow, err), "allow", err);
	if (r >= 0)
		r = doc_word(obj, "type", DOC_TABLE(types), &type, err);
	if (r >= 0)
		r = read_numbers(obj, d, true, err);
	if (r >= 0)
		r = json_get_str(obj, "access", &access, err);
	if (r < 0)
		return r;
	if (access[strspn(access, "rwm")])
		return err_set(err, EINVAL, "access: '%.20s' is not made of r, w and m", access);
	d->type = (uint32_t)type;
	d->deny = !allow;
	char letters[4] = "";
	for (const char *all = "rwm"; *all; all++) {
		if (!*access || strchr(access, *all))
			letters[strlen(letters)] = *all;
	}
	return set_access(d, letters, err);
}

int oci_device_rules(struct json_object *resources, struct plan_limits *ret, struct err *err)
{
	return doc_list(resources, "devices", read_rule, ret, err);
}

int oci_device_usual(struct plan_limits *ret, struct err *err)
{
	static const struct {
		uint32_t type, major, minor;
		const char *access;
	} usual[] = {
		{'c', ANY, ANY, "m"}, /* making one is no use of it */
		{'b', ANY, ANY, "m"}, {'c', 1, 3, "rwm"}, /* null, zero, full, random, urandom */
		{'c', 1, 5, "rwm"},   {'c', 1, 7, "rwm"},     {'c', 1, 8, "rwm"},
		{'c', 1, 9, "rwm"},   {'c', 5, 0, "rwm"}, /* tty, ptmx, pts; console is one of the
							     pts */
		{'c', 5, 2, "rwm"},   {'c', 136, ANY, "rwm"},
	};

	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		struct plan_device *d = list_add(&ret->devices, &plan_device_record);
		if (!d)
			return err_set(err, ENOMEM, "out of memory");
		d->type = usual[i].type;
		d->major = usual[i].major;
		d->minor = usual[i].minor;
		if (set_access(d, usual[i].access, err) < 0)
			return -err->code;
	}
	return 0;
}
