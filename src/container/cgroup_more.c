/* SPDX-License-Identifier: Apache-2.0 */
/* Limits that few ask for: huge pages, RDMA, network classes, and v2's files by their names. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"
#include "base/str.h"
#include "container/cgroup_impl.h"
#include "proto/plan.h"

uint32_t cgroup_wanted(const struct plan_limits *l)
{
	const struct plan_text_pair *file = l->unified.items;
	uint32_t wanted = (l->hugetlb.n > 0 ? 1U << CTL_HUGETLB : 0) |
			  (l->rdma.n > 0 ? 1U << CTL_RDMA : 0) |
			  (l->has_net_class ? 1U << CTL_NET_CLS : 0) |
			  (l->net_priorities.n > 0 ? 1U << CTL_NET_PRIO : 0);

	for (size_t i = 0; i < l->unified.n; i++) {
		wanted |= str_prefix(file[i].name, "hugetlb.", NULL) ? 1U << CTL_HUGETLB : 0;
		wanted |= str_prefix(file[i].name, "rdma.", NULL) ? 1U << CTL_RDMA : 0;
	}
	return wanted;
}

/* The limit holds for reserved pages too, where the kernel counts them. */
static int limit_hugetlb(const struct cgroup *cg, const struct plan_pair *page, struct err *err)
{
	char file[96];
	const struct hierarchy *h;
	struct err ignored = ERR_INIT; /* kernels before 5.7 count no reserved pages */

	int r = hierarchy_need(cg, CTL_HUGETLB, "hugepageLimits", &h, err);
	if (r < 0)
		return r;
	const char *limit = h->v2 ? "max" : "limit_in_bytes";
	if (strchr(page->name, '/') || strlen(page->name) > 16)
		return err_set(err, EINVAL, "hugepageLimits: page size '%.32s'", page->name);
	(void)snprintf(file, sizeof(file), "hugetlb.%s.%s", page->name, limit);
	if (faccessat(h->fd, file, F_OK, 0) < 0)
		return err_set(err, ENOTSUP, "hugepageLimits: this host has no pages of %s",
			       page->name);
	r = hierarchy_put(h, file, page->value, err);
	if (r < 0)
		return err_wrap(err, "hugepageLimits");
	(void)snprintf(file, sizeof(file), "hugetlb.%s.rsvd.%s", page->name, limit);
	if (faccessat(h->fd, file, F_OK, 0) == 0 &&
	    hierarchy_put(h, file, page->value, &ignored) < 0)
		return 0;
	return 0;
}

static void rdma_word(char *to, size_t size, const char *key, bool has, uint32_t value)
{
	if (has)
		(void)snprintf(to, size, " %s=%" PRIu32, key, value);
	else
		(void)snprintf(to, size, " %s=max", key);
}

static int limit_rdma(const struct cgroup *cg, const struct plan_rdma *rdma, struct err *err)
{
	char text[256];
	char handles[48];
	char objects[48];
	const struct hierarchy *h;

	int r = hierarchy_need(cg, CTL_RDMA, "rdma", &h, err);
	if (r < 0)
		return r;
	rdma_word(handles, sizeof(handles), "hca_handle", rdma->has_handles, rdma->handles);
	rdma_word(objects, sizeof(objects), "hca_object", rdma->has_objects, rdma->objects);
	if (strlen(rdma->device) > 128)
		return err_set(err, EINVAL, "rdma: device '%.32s…'", rdma->device);
	(void)snprintf(text, sizeof(text), "%s%s%s", rdma->device, handles, objects);
	r = file_put(h->fd, "rdma.max", text, err);
	return r < 0 ? err_wrap(err, "rdma: device '%s'", rdma->device) : 0;
}

static int limit_network(const struct cgroup *cg, const struct plan_limits *l, struct err *err)
{
	const struct plan_pair *to = l->net_priorities.items;
	const struct hierarchy *h;
	int r = 0;

	if (l->has_net_class) {
		r = hierarchy_need(cg, CTL_NET_CLS, "network.classID", &h, err);
		if (r == 0)
			r = hierarchy_put(h, "net_cls.classid", l->net_class, err);
	}
	for (size_t i = 0; i < l->net_priorities.n && r == 0; i++) {
		char text[64];
		r = hierarchy_need(cg, CTL_NET_PRIO, "network.priorities", &h, err);
		int n = snprintf(text, sizeof(text), "%s %" PRIu64, to[i].name, to[i].value);
		if (r == 0 && (n < 0 || (size_t)n >= sizeof(text)))
			r = err_set(err, EINVAL, "network.priorities: interface '%.32s…'",
				    to[i].name);
		if (r == 0)
			r = file_put(h->fd, "net_prio.ifpriomap", text, err);
	}
	return r;
}

/* One write a line: files like io.max take no more at a time. */
static int put_lines(int fd, const struct plan_text_pair *file, struct err *err)
{
	AUTO_FREE char *copy = strdup(file->value);
	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	char *rest = copy;
	for (char *line; (line = strsep(&rest, "\n"));) {
		int r = *line || !rest ? file_put(fd, file->name, line, err) : 0;
		if (r < 0)
			return err_wrap(err, "unified");
		if (rest && !*rest) /* the newline was the end */
			break;
	}
	return 0;
}

static int limit_unified(const struct cgroup *cg, const struct plan_text_pair *file,
			 struct err *err)
{
	int fd = cgroup_clone_fd(cg);

	if (!*file->name || strchr(file->name, '/') || strcmp(file->name, "..") == 0 ||
	    strcmp(file->name, ".") == 0)
		return err_set(err, EINVAL, "unified: '%s' is no file of a cgroup", file->name);
	if (!cgroup_is_v2(cg))
		return err_set(err, ENOTSUP, "unified: '%s' needs cgroup v2, which this host lacks",
			       file->name);
	if (faccessat(fd, file->name, F_OK, 0) < 0)
		return err_set(err, ENOTSUP, "unified: this host's cgroups have no '%s'",
			       file->name);
	return put_lines(fd, file, err);
}

int cgroup_limit_more(const struct cgroup *cg, const struct cgroup_config *config, struct err *err)
{
	const struct plan_limits *l = config->limits;
	const struct plan_pair *page = l->hugetlb.items;
	const struct plan_rdma *rdma = l->rdma.items;
	const struct plan_text_pair *file = l->unified.items;
	int r = limit_network(cg, l, err);

	for (size_t i = 0; i < l->hugetlb.n && r == 0; i++)
		r = limit_hugetlb(cg, &page[i], err);
	for (size_t i = 0; i < l->rdma.n && r == 0; i++)
		r = limit_rdma(cg, &rdma[i], err);
	for (size_t i = 0; i < l->unified.n && r == 0; i++)
		r = limit_unified(cg, &file[i], err);
	return r;
}
