/* SPDX-License-Identifier: Apache-2.0 */
/* Maps of ids: of a user namespace, and of a mount. The kernel would refuse them later, and with
 * less to say. */
#include <errno.h>
#include <stddef.h>

#include "base/err.h"
#include "proto/plan.h"
#include "spec/doc.h"
#include "spec/oci.h"

enum { IDMAPS_MAX = 340 }; /* user_namespaces(7) */

static bool overlap(uint32_t a, uint32_t a_size, uint32_t b, uint32_t b_size)
{
	return a < (uint64_t)b + b_size && b < (uint64_t)a + a_size;
}

static int judge(const struct plan_idmap *map, const struct plan_idmap *others, size_t n,
		 struct err *err)
{
	if (map->size == 0)
		return err_set(err, EINVAL, "size: must be at least 1");
	if ((uint64_t)map->inside + map->size > UINT32_MAX)
		return err_set(err, EINVAL, "containerID: the map reaches 2^32-1, which is no id");
	if ((uint64_t)map->outside + map->size > UINT32_MAX)
		return err_set(err, EINVAL, "hostID: the map reaches 2^32-1, which is no id");
	for (size_t i = 0; i < n; i++) {
		if (overlap(map->inside, map->size, others[i].inside, others[i].size))
			return err_set(err, EINVAL, "containerID: overlaps element %zu", i);
		if (overlap(map->outside, map->size, others[i].outside, others[i].size))
			return err_set(err, EINVAL, "hostID: overlaps element %zu", i);
	}
	return 0;
}

static int read_map(void *ctx, struct json_object *obj, struct err *err)
{
	static const struct doc_field fields[] = {
		{"containerID", DOC_U32, offsetof(struct plan_idmap, inside), 0, 0},
		{"hostID", DOC_U32, offsetof(struct plan_idmap, outside), 0, 0},
		{"size", DOC_U32, offsetof(struct plan_idmap, size), 0, 0},
	};
	struct list *maps = ctx;
	struct plan_idmap map = {0};

	if (maps->n >= IDMAPS_MAX)
		return err_set(err, E2BIG, "more than %d", IDMAPS_MAX);
	int r = doc_fields(obj, DOC_TABLE(fields), &map, err);
	if (r >= 0)
		r = judge(&map, maps->items, maps->n, err);
	if (r < 0)
		return r;
	struct plan_idmap *to = list_add(maps, &plan_idmap_record);
	if (!to)
		return err_set(err, ENOMEM, "out of memory");
	*to = map;
	return 0;
}

int oci_idmaps(struct json_object *obj, const char *key, struct list *ret, struct err *err)
{
	return doc_list(obj, key, read_map, ret, err);
}
