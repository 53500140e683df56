/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of `linux` that few hosts can do: cache and bandwidth by resctrl, policies of NUMA memory,
 * interfaces of the host that are moved inside. */
#pragma once

#include "base/attr.h"

struct err;
struct json_object;
struct oci;

/* linux.intelRdt and linux.memoryPolicy; ctx is a struct oci. */
int oci_rdt(void *ctx, struct json_object *obj, struct err *err) HULL_MUST_CHECK;
int oci_memory_policy(void *ctx, struct json_object *obj, struct err *err) HULL_MUST_CHECK;

/* netDevices of the object `linux`. */
int oci_net_devices(struct oci *oci, struct json_object *linux_obj, struct err *err)
	HULL_MUST_CHECK;
