/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of block I/O. Weights are for those schedulers only that have them (BFQ, or v2's cost
 * model): passed over with a word. Throttles hold everywhere. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"
#include "container/cgroup_impl.h"
#include "proto/plan.h"

/* 10..1000 onto 1..10000; BFQ has v1's scale in both. */
static uint64_t weight_v2(uint64_t weight)
{
	return weight <= 10 ? 1 : 1 + (weight - 10) * 9999 / 990;
}

static void limit_weight(const struct hierarchy *h, const struct cgroup_config *config)
{
	static const char *const v1[] = {"blkio.weight", "blkio.bfq.weight", NULL};
	static const char *const v2[] = {"io.weight", NULL};
	static const char *const leaf[] = {"blkio.leaf_weight", NULL};
	const struct plan_limits *l = config->limits;
	struct err ignored = ERR_INIT; /* the other file, or its warning */

	if (l->blkio_weight && h && h->v2) {
		if (hierarchy_put(h, "io.bfq.weight", l->blkio_weight, &ignored) < 0)
			hierarchy_put_any(config, h, v2, weight_v2(l->blkio_weight),
					  "block I/O weight");
	} else if (l->blkio_weight) {
		hierarchy_put_any(config, h, v1, l->blkio_weight, "block I/O weight");
	}
	if (l->blkio_leaf_weight)
		hierarchy_put_any(config, h && !h->v2 ? h : NULL, leaf, l->blkio_leaf_weight,
				  "blockIO.leafWeight");
}

static void device_weight(const struct hierarchy *h, const struct plan_blkio *b,
			  const struct cgroup_config *config)
{
	static const char *const v1[] = {"blkio.weight_device", "blkio.bfq.weight_device", NULL};
	static const char *const v2[] = {"io.bfq.weight", "io.weight", NULL};
	static const char *const leaf[] = {"blkio.leaf_weight_device", NULL};
	bool is_leaf = b->kind == BLKIO_LEAF_WEIGHT;
	const char *const *files = h && h->v2 ? v2 : is_leaf ? leaf : v1;
	char text[64];

	for (size_t i = 0; h && files[i] && !(is_leaf && h->v2); i++) {
		struct err ignored = ERR_INIT; /* the next file, or the warning below */
		uint64_t value = files == v2 && i == 1 ? weight_v2(b->value) : b->value;
		(void)snprintf(text, sizeof(text), "%u:%u %" PRIu64, b->major, b->minor, value);
		if (file_put(h->fd, files[i], text, &ignored) == 0)
			return;
	}
	(void)snprintf(text, sizeof(text), "blockIO.%s", is_leaf ? "leafWeight" : "weightDevice");
	hierarchy_put_any(config, NULL, v1, 0, text);
}

static int throttle(const struct hierarchy *h, const struct plan_blkio *b, struct err *err)
{
	static const struct {
		const char *v1, *v2;
	} names[] = {
		[BLKIO_READ_BPS] = {"blkio.throttle.read_bps_device", "rbps"},
		[BLKIO_WRITE_BPS] = {"blkio.throttle.write_bps_device", "wbps"},
		[BLKIO_READ_IOPS] = {"blkio.throttle.read_iops_device", "riops"},
		[BLKIO_WRITE_IOPS] = {"blkio.throttle.write_iops_device", "wiops"},
	};
	char text[96];

	if (!h->v2)
		(void)snprintf(text, sizeof(text), "%u:%u %" PRIu64, b->major, b->minor, b->value);
	else if (b->value == 0) /* as v1 has it: no limit any more */
		(void)snprintf(text, sizeof(text), "%u:%u %s=max", b->major, b->minor,
			       names[b->kind].v2);
	else
		(void)snprintf(text, sizeof(text), "%u:%u %s=%" PRIu64, b->major, b->minor,
			       names[b->kind].v2, b->value);
	int r = file_put(h->fd, h->v2 ? "io.max" : names[b->kind].v1, text, err);
	return r < 0 ? err_wrap(err, "blockIO.throttle of %u:%u", b->major, b->minor) : 0;
}

int cgroup_limit_io(const struct cgroup *cg, const struct cgroup_config *config, struct err *err)
{
	const struct hierarchy *h = cgroup_with(cg, CTL_BLKIO);
	const struct list *devices = &config->limits->blkio;
	const struct plan_blkio *b = devices->items;

	limit_weight(h, config);
	for (size_t i = 0; i < devices->n; i++, b++) {
		int r = 0;
		if (b->kind > BLKIO_WRITE_IOPS)
			return err_set(err, EINVAL, "block I/O limit of kind %u", b->kind);
		if (b->kind == BLKIO_WEIGHT || b->kind == BLKIO_LEAF_WEIGHT)
			device_weight(h, b, config);
		else
			r = hierarchy_need(cg, CTL_BLKIO, "blockIO.throttle", &h, err);
		if (r == 0 && b->kind >= BLKIO_READ_BPS)
			r = throttle(h, b, err);
		if (r < 0)
			return r;
	}
	return 0;
}
