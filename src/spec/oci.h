/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of a bundle's config.json, each read by a file of its own into the plan. Order matters
 * where a part is judged by another: namespaces come before all that needs one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct err;
struct json_object;
struct list;
struct plan;
struct plan_limits;
struct spec_config;

/* What the readers of parts are given; both borrowed. */
struct oci {
	const struct spec_config *config;
	struct plan *plan;
};

/* Whether the workload has a namespace of this CLONE_NEW* that is not the runtime's own: made for
 * it, or joined by a path that leads to another. */
bool oci_owns(const struct plan *plan, uint32_t type);

/* The plan's annotation `key`, borrowed, or NULL; and whether there is one that is not "0". */
const char *oci_annotation(const struct plan *plan, const char *key);
bool oci_annotated(const struct plan *plan, const char *key);

/* What annotations of crun's say: by themselves; to a time namespace; instead of linux.seccomp (1
 * when they do). */
int oci_annotations(struct oci *oci, struct err *err) HULL_MUST_CHECK;
int oci_time_annotation(struct plan *plan, struct err *err) HULL_MUST_CHECK;
int oci_filter_annotation(struct plan *plan, struct err *err) HULL_MUST_CHECK;

/* The object `linux`, with all that is in it; names its fields itself. */
int oci_linux(struct oci *oci, struct json_object *obj, struct err *err) HULL_MUST_CHECK;

/* Its namespaces, the maps of ids, offsets of clocks and sysctls. */
int oci_namespaces(struct oci *oci, struct json_object *obj, struct err *err) HULL_MUST_CHECK;
int oci_sysctl(struct oci *oci, struct json_object *obj, struct err *err) HULL_MUST_CHECK;

/* A list of maps of ids, judged: struct plan_idmap. */
int oci_idmaps(struct json_object *obj, const char *key, struct list *ret, struct err *err)
	HULL_MUST_CHECK;

/* linux.devices, before the rules of linux.resources; and what every workload may use, after. */
int oci_devices(struct oci *oci, struct json_object *obj, struct err *err) HULL_MUST_CHECK;
int oci_device_rules(struct json_object *resources, struct plan_limits *ret, struct err *err)
	HULL_MUST_CHECK;
int oci_device_usual(struct plan_limits *ret, struct err *err) HULL_MUST_CHECK;

/* linux.resources, added to *to; names its fields itself. */
int oci_limits(struct json_object *obj, struct plan_limits *to, struct err *err) HULL_MUST_CHECK;

/* blockIO, hugepageLimits, network, rdma and unified of linux.resources. */
int oci_io_limits(struct json_object *resources, struct plan_limits *ret, struct err *err)
	HULL_MUST_CHECK;

/* Each an element of `mounts`, and the object `hooks`; ctx is a struct oci. */
int oci_mount(void *ctx, struct json_object *obj, struct err *err) HULL_MUST_CHECK;
int oci_hooks(void *ctx, struct json_object *obj, struct err *err) HULL_MUST_CHECK;

/* The word of a mount's propagation ("rslave") as MS_* flags, 0 when it is none. */
uint64_t oci_propagation(const char *word);
