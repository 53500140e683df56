/* SPDX-License-Identifier: Apache-2.0 */
/* The limits in linux.resources that come in lists: of block devices, page sizes, interfaces, RDMA
 * devices, and files of cgroup v2. */
#include <errno.h>
#include <net/if.h>
#include <stddef.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "proto/plan.h"
#include "spec/doc.h"
#include "spec/oci.h"

enum { WEIGHT_MIN = 10, WEIGHT_MAX = 1000, NAME_LEN_MAX = 255 };

#define AT(member) offsetof(struct plan_limits, member)

/* 10 to 1000; 0 counts as absent. */
static int get_weight(struct json_object *obj, const char *key, uint64_t *ret, struct err *err)
{
	int r = json_get_uint(obj, key, WEIGHT_MAX, ret, err);

	if (r > 0 && *ret > 0 && *ret < WEIGHT_MIN)
		return err_set(err, ERANGE, "%s: not between %d and %d", key, WEIGHT_MIN,
			       WEIGHT_MAX);
	return r;
}

struct device_reader {
	struct list *to;
	enum plan_blkio_kind kind;
};

static int add_blkio(struct list *to, struct plan_blkio limit, struct err *err)
{
	struct plan_blkio *item = list_add(to, &plan_blkio_record);

	if (!item)
		return err_set(err, ENOMEM, "out of memory");
	*item = limit;
	return 0;
}

static int read_numbers(struct json_object *obj, struct plan_blkio *ret, struct err *err)
{
	int r = json_need(doc_u32(obj, "major", UINT32_MAX, &ret->major, err), "major", err);

	if (r >= 0)
		r = json_need(doc_u32(obj, "minor", UINT32_MAX, &ret->minor, err), "minor", err);
	return r;
}

static int read_weights(void *ctx, struct json_object *obj, struct err *err)
{
	const struct {
		const char *key;
		enum plan_blkio_kind kind;
	} weights[] = {{"weight", BLKIO_WEIGHT}, {"leafWeight", BLKIO_LEAF_WEIGHT}};
	struct plan_blkio limit = {0};
	bool any = false;

	int r = read_numbers(obj, &limit, err);
	for (size_t i = 0; i < sizeof(weights) / sizeof(weights[0]) && r >= 0; i++) {
		limit.kind = weights[i].kind;
		limit.value = 0;
		r = get_weight(obj, weights[i].key, &limit.value, err);
		if (r <= 0 || limit.value == 0)
			continue;
		any = true;
		r = add_blkio(ctx, limit, err);
	}
	if (r >= 0 && !any)
		return err_set(err, EINVAL, "weight: missing");
	return r < 0 ? r : 0;
}

static int read_throttle(void *ctx, struct json_object *obj, struct err *err)
{
	const struct device_reader *reader = ctx;
	struct plan_blkio limit = {.kind = reader->kind};

	int r = read_numbers(obj, &limit, err);
	if (r >= 0)
		r = json_need(json_get_uint(obj, "rate", UINT64_MAX, &limit.value, err), "rate",
			      err);
	return r < 0 ? r : add_blkio(reader->to, limit, err);
}

static int read_block(void *ctx, struct json_object *obj, struct err *err)
{
	static const struct doc_word throttles[] = {
		{"throttleReadBpsDevice", BLKIO_READ_BPS},
		{"throttleWriteBpsDevice", BLKIO_WRITE_BPS},
		{"throttleReadIOPSDevice", BLKIO_READ_IOPS},
		{"throttleWriteIOPSDevice", BLKIO_WRITE_IOPS},
	};
	struct plan_limits *to = ctx;

	int r = get_weight(obj, "weight", &to->blkio_weight, err);
	if (r >= 0)
		r = get_weight(obj, "leafWeight", &to->blkio_leaf_weight, err);
	if (r >= 0)
		r = doc_list(obj, "weightDevice", read_weights, &to->blkio, err);
	for (size_t i = 0; i < sizeof(throttles) / sizeof(throttles[0]) && r >= 0; i++) {
		struct device_reader reader = {&to->blkio,
					       (enum plan_blkio_kind)throttles[i].value};
		r = doc_list(obj, throttles[i].name, read_throttle, &reader, err);
	}
	return r;
}

static int add_pair(struct list *to, const char *key, char **name, uint64_t value, struct err *err)
{
	const struct plan_pair *have = to->items;

	for (size_t i = 0; i < to->n; i++) {
		if (strcmp(have[i].name, *name) == 0)
			return err_set(err, EINVAL, "%s: '%.60s' is given twice", key, *name);
	}
	struct plan_pair *pair = list_add(to, &plan_pair_record);
	if (!pair)
		return err_set(err, ENOMEM, "out of memory");
	pair->name = TAKE_PTR(*name);
	pair->value = value;
	return 0;
}

/* "64KB", "2MB", "1GB": it becomes part of a file's name. */
static bool is_page_size(const char *text)
{
	size_t n = strspn(text, "0123456789");

	return n > 0 && text[0] != '0' && n < 8 && text[n] && strchr("KMG", text[n]) &&
	       strcmp(text + n + 1, "B") == 0;
}

static int read_pages(void *ctx, struct json_object *obj, struct err *err)
{
	struct plan_limits *to = ctx;
	AUTO_FREE char *size = NULL;
	uint64_t limit = 0;

	int r = json_need(doc_text(obj, "pageSize", &size, err), "pageSize", err);
	if (r >= 0 && !is_page_size(size))
		return err_set(err, EINVAL, "pageSize: '%.60s' is none like 64KB, 2MB or 1GB",
			       size);
	if (r >= 0)
		r = json_need(json_get_uint(obj, "limit", UINT64_MAX, &limit, err), "limit", err);
	if (r >= 0)
		r = add_pair(&to->hugetlb, "pageSize", &size, limit, err);
	return r;
}

static int read_priority(void *ctx, struct json_object *obj, struct err *err)
{
	struct plan_limits *to = ctx;
	AUTO_FREE char *name = NULL;
	uint32_t priority = 0;

	int r = json_need(doc_text(obj, "name", &name, err), "name", err);
	if (r >= 0 && (strlen(name) >= IF_NAMESIZE || strpbrk(name, "/ \t\n")))
		return err_set(err, EINVAL, "name: '%.60s' is no name of an interface", name);
	if (r >= 0)
		r = json_need(doc_u32(obj, "priority", UINT32_MAX, &priority, err), "priority",
			      err);
	if (r >= 0)
		r = add_pair(&to->net_priorities, "name", &name, priority, err);
	return r;
}

static int read_network(void *ctx, struct json_object *obj, struct err *err)
{
	static const struct doc_field fields[] = {
		{"classID", DOC_U32, AT(net_class), 0, AT(has_net_class)},
	};

	int r = doc_fields(obj, DOC_TABLE(fields), ctx, err);
	return r < 0 ? r : doc_list(obj, "priorities", read_priority, ctx, err);
}

static int read_rdma(void *ctx, const char *name, struct json_object *value, struct err *err)
{
	static const struct doc_field fields[] = {
		{"hcaHandles", DOC_U32, offsetof(struct plan_rdma, handles), 0,
		 offsetof(struct plan_rdma, has_handles)},
		{"hcaObjects", DOC_U32, offsetof(struct plan_rdma, objects), 0,
		 offsetof(struct plan_rdma, has_objects)},
	};
	struct plan_limits *to = ctx;

	if (!*name || strpbrk(name, " \t\n"))
		return err_set(err, EINVAL, "rdma: '%.60s' is no name of a device", name);
	if (!json_is_obj(value))
		return err_set(err, EINVAL, "rdma.%.60s: must be an object", name);
	struct plan_rdma *rdma = list_add(&to->rdma, &plan_rdma_record);
	if (!rdma)
		return err_set(err, ENOMEM, "out of memory");
	rdma->device = strdup(name);
	if (!rdma->device)
		return err_set(err, ENOMEM, "out of memory");
	if (doc_fields(value, DOC_TABLE(fields), rdma, err) < 0)
		return doc_in(err, "rdma.%.60s", name);
	if (!rdma->has_handles && !rdma->has_objects)
		return err_set(err, EINVAL, "rdma.%.60s: neither hcaHandles nor hcaObjects", name);
	return 0;
}

/* The name is one file of the cgroup's own folder. */
static int add_unified(void *ctx, const char *name, const char *value, struct err *err)
{
	struct plan_limits *to = ctx;

	if (strchr(name, '/') || !strchr(name, '.') || name[0] == '.' ||
	    strlen(name) > NAME_LEN_MAX)
		return err_set(err, EINVAL, "%.60s: is no file of a cgroup", name);
	struct plan_text_pair *pair = list_add(&to->unified, &plan_text_pair_record);
	if (!pair)
		return err_set(err, ENOMEM, "out of memory");
	pair->name = strdup(name);
	pair->value = strdup(value);
	return pair->name && pair->value ? 0 : err_set(err, ENOMEM, "out of memory");
}

int oci_io_limits(struct json_object *resources, struct plan_limits *ret, struct err *err)
{
	static const struct doc_part parts[] = {
		{"blockIO", read_block, false},
		{"hugepageLimits", read_pages, true},
		{"network", read_network, false},
	};
	struct json_object *rdma = NULL;

	int r = doc_parts(resources, DOC_TABLE(parts), ret, err);
	if (r >= 0)
		r = json_get_obj(resources, "rdma", &rdma, err);
	if (r > 0)
		r = json_each(rdma, read_rdma, ret, err);
	return r < 0 ? r : doc_map(resources, "unified", add_unified, ret, err);
}
