/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces: which are made and which joined, and what belongs to them. */
#include <errno.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/err.h"
#include "base/json.h"
#include "proto/plan.h"
#include "spec/doc.h"
#include "spec/oci.h"

static const struct doc_word kinds[] = {
	{"pid", CLONE_NEWPID},       {"network", CLONE_NEWNET}, {"mount", CLONE_NEWNS},
	{"ipc", CLONE_NEWIPC},       {"uts", CLONE_NEWUTS},     {"user", CLONE_NEWUSER},
	{"cgroup", CLONE_NEWCGROUP}, {"time", CLONE_NEWTIME},
};

/* Whether a path leads to the namespace that we are in ourselves; one that cannot be looked at
 * is somebody else's: joining it will tell. */
static bool is_own(const struct plan_join *join)
{
	static const struct {
		uint32_t type;
		const char *path;
	} own[] = {
		{CLONE_NEWNET, "/proc/self/ns/net"},
		{CLONE_NEWIPC, "/proc/self/ns/ipc"},
		{CLONE_NEWUTS, "/proc/self/ns/uts"},
		{CLONE_NEWUSER, "/proc/self/ns/user"},
	};
	struct stat ours;
	struct stat theirs;

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		if (own[i].type == join->type)
			return stat(own[i].path, &ours) == 0 && stat(join->path, &theirs) == 0 &&
			       ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
	}
	return false;
}

bool oci_owns(const struct plan *plan, uint32_t type)
{
	const struct plan_join *join = plan_joined(plan, type);

	return plan->namespaces & type || (join && !is_own(join));
}

static int read_namespace(void *ctx, struct json_object *obj, struct err *err)
{
	const struct oci *oci = ctx;
	AUTO_FREE char *path = NULL;
	uint64_t type = 0;

	int r = json_need(doc_word(obj, "type", DOC_TABLE(kinds), &type, err), "type", err);
	if (r >= 0)
		r = doc_path(obj, "path", &path, err);
	if (r < 0)
		return r;
	if (oci->plan->namespaces & type || plan_joined(oci->plan, type))
		return err_set(err, EINVAL, "type: given twice");
	if (!path) {
		oci->plan->namespaces |= type;
		return 0;
	}
	struct plan_join *join = list_add(&oci->plan->joins, &plan_join_record);
	if (!join)
		return err_set(err, ENOMEM, "out of memory");
	join->type = (uint32_t)type;
	join->path = TAKE_PTR(path);
	return 0;
}

static void drop_maps(struct list *maps)
{
	free(maps->items);
	*maps = (struct list){NULL, 0};
}

/*
 * A namespace that is joined by its path has its maps: what is said of them is passed over (podman
 * says something, since older runtimes want it). Our own user namespace cannot be joined, and need
 * not be.
 */
static void settle_user(struct plan *plan)
{
	struct plan_join *joins = plan->joins.items;
	const struct plan_join *user = plan_joined(plan, CLONE_NEWUSER);

	if (!user)
		return;
	drop_maps(&plan->uid_maps);
	drop_maps(&plan->gid_maps);
	if (!is_own(user))
		return;
	size_t at = (size_t)(user - joins);
	free(joins[at].path);
	joins[at] = joins[--plan->joins.n];
}

static int read_maps(struct plan *plan, struct json_object *obj, struct err *err)
{
	bool made = plan->namespaces & CLONE_NEWUSER;

	int r = oci_idmaps(obj, "uidMappings", &plan->uid_maps, err);
	if (r >= 0)
		r = oci_idmaps(obj, "gidMappings", &plan->gid_maps, err);
	if (r < 0)
		return r;
	if (made && plan->uid_maps.n == 0)
		return err_set(err, EINVAL, "uidMappings: missing, a user namespace needs them");
	if (made && plan->gid_maps.n == 0)
		return err_set(err, EINVAL, "gidMappings: missing, a user namespace needs them");
	if (!made && !plan_joined(plan, CLONE_NEWUSER) && (plan->uid_maps.n || plan->gid_maps.n))
		return err_set(err, EINVAL, "%s: needs a user namespace",
			       plan->uid_maps.n ? "uidMappings" : "gidMappings");
	settle_user(plan);
	return 0;
}

static int read_offset(struct plan *plan, uint32_t clock, struct json_object *obj, struct err *err)
{
	uint32_t nanoseconds = 0;
	int64_t seconds = 0;

	int r = json_get_int(obj, "secs", INT64_MIN, INT64_MAX, &seconds, err);
	if (r >= 0)
		r = doc_u32(obj, "nanosecs", 999999999, &nanoseconds, err);
	if (r < 0)
		return r;
	struct plan_time_offset *to = list_add(&plan->time_offsets, &plan_time_offset_record);
	if (!to)
		return err_set(err, ENOMEM, "out of memory");
	*to = (struct plan_time_offset){clock, seconds, nanoseconds};
	return 0;
}

static int read_clock(void *ctx, const char *name, struct json_object *value, struct err *err)
{
	static const struct doc_word clocks[] = {
		{"monotonic", CLOCK_MONOTONIC},
		{"boottime", CLOCK_BOOTTIME},
	};

	for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
		if (strcmp(name, clocks[i].name) != 0)
			continue;
		if (!json_is_obj(value))
			return err_set(err, EINVAL, "%s: must be an object", name);
		return read_offset(ctx, (uint32_t)clocks[i].value, value, err) < 0
			       ? doc_in(err, "%s", name)
			       : 0;
	}
	return err_set(err, EINVAL, "%.60s: is no clock that can be set off", name);
}

int oci_namespaces(struct oci *oci, struct json_object *obj, struct err *err)
{
	struct json_object *offsets = NULL;

	int r = doc_list(obj, "namespaces", read_namespace, oci, err);
	if (r >= 0)
		r = read_maps(oci->plan, obj, err);
	if (r >= 0)
		r = json_get_obj(obj, "timeOffsets", &offsets, err);
	if (r > 0 && json_each(offsets, read_clock, oci->plan, err) < 0)
		return doc_in(err, "timeOffsets");
	if (r >= 0 && oci->plan->time_offsets.n && !(oci->plan->namespaces & CLONE_NEWTIME))
		return err_set(err, EINVAL, "timeOffsets: need a time namespace, made for them");
	return r < 0 ? r : 0;
}
