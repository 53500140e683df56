/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages that are handed over one by one (section 5.5.6) come as numbers, mostly of neighbours, and
 * are given back in runs. Reports (5.5.6.7) are buffers of a chain. Of a chain's numbers and of a
 * kick's chains a bounded count is looked at; what is beyond it stays with the guest.
 *
 * There are no statistics (the agent tells them) and no hints (they are for migration), so that the
 * reporting queue is the third: queues of features that were not agreed on are not counted.
 */
#include "vmm/balloon.h"

#include <endian.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>
#include <string.h>

#include "vmm/gmem.h"

enum { INFLATE, DEFLATE, REPORT, QUEUES };

/* Numbers looked at in one chain: as many as Linux puts into one. */
enum { PFNS_MAX = 256 };

#define PAGE (1ULL << VIRTIO_BALLOON_PFN_SHIFT)

/* Neighbouring pages, in either order. */
struct run {
	uint64_t first, n; /* numbers of pages */
};

static bool run_takes(struct run *run, uint64_t page)
{
	if (page == run->first + run->n) {
		run->n++;
		return true;
	}
	if (page + 1 != run->first)
		return false;
	run->first = page;
	run->n++;
	return true;
}

static void run_discard(const struct virtio *v, const struct run *run)
{
	void *at = gmem_at(v->mem, run->first * PAGE, run->n * PAGE);

	if (at)
		gmem_discard(at, run->n * PAGE);
}

static int64_t inflate(struct virtio *v, const struct chain *c)
{
	uint32_t pfns[PFNS_MAX];
	struct run run = {0};

	size_t n = chain_read(c, 0, pfns, sizeof(pfns)) / sizeof(pfns[0]);
	for (size_t i = 0; i < n; i++) {
		uint64_t page = le32toh(pfns[i]);
		/* a page outside must not take its neighbours' run with it */
		if (!gmem_at(v->mem, page * PAGE, PAGE) || (run.n > 0 && run_takes(&run, page)))
			continue;
		if (run.n > 0)
			run_discard(v, &run);
		run = (struct run){page, 1};
	}
	if (run.n > 0)
		run_discard(v, &run);
	return 0;
}

/* Deflated pages are simply used again. */
static int64_t deflate(struct virtio *v, const struct chain *c)
{
	(void)v;
	(void)c;
	return 0;
}

static int64_t report(struct virtio *v, const struct chain *c)
{
	(void)v;
	for (size_t i = c->n_out; i < (size_t)c->n_out + c->n_in; i++)
		gmem_discard(c->iov[i].iov_base, c->iov[i].iov_len);
	return 0;
}

static void serve(struct virtio *v)
{
	virtio_each(v, INFLATE, inflate);
	virtio_each(v, DEFLATE, deflate);
	virtio_each(v, REPORT, report);
}

/* The one field that is the driver's: how many pages it has handed over. */
static void configure(struct virtio *v, size_t at, const void *bytes, size_t n)
{
	if (at == offsetof(struct virtio_balloon_config, actual) && n == sizeof(uint32_t))
		memcpy(v->config + at, bytes, n);
}

static void reset(struct virtio *v)
{
	memset(v->config + offsetof(struct virtio_balloon_config, actual), 0, sizeof(uint32_t));
}

static const struct virtio_ops balloon_ops = {.id = VIRTIO_ID_BALLOON,
					      .features = 1ULL << VIRTIO_BALLOON_F_DEFLATE_ON_OOM |
							  1ULL << VIRTIO_BALLOON_F_REPORTING,
					      .n_queues = QUEUES,
					      .serve = serve,
					      .reset = reset,
					      .configure = configure,
					      .save = virtio_save_nothing,
					      .load = virtio_load_nothing,
					      .config_is_state = true};

int balloon_init(struct balloon *b, const struct gmem *mem, struct err *err)
{
	int r = virtio_init(&b->v, &balloon_ops, 0, mem, err);

	if (r == 0) /* num_pages and actual; what follows is of features that are not offered */
		b->v.config_len = offsetof(struct virtio_balloon_config, free_page_hint_cmd_id);
	return r;
}

void balloon_done(struct balloon *b)
{
	virtio_done(&b->v);
}

void balloon_ask(struct balloon *b, uint64_t bytes)
{
	uint32_t pages = htole32((uint32_t)(bytes / PAGE));

	(void)pthread_mutex_lock(&b->v.lock);
	memcpy(b->v.config + offsetof(struct virtio_balloon_config, num_pages), &pages,
	       sizeof(pages));
	virtio_config_changed(&b->v);
	(void)pthread_mutex_unlock(&b->v.lock);
}

uint64_t balloon_holds(struct balloon *b)
{
	uint32_t pages;

	(void)pthread_mutex_lock(&b->v.lock);
	memcpy(&pages, b->v.config + offsetof(struct virtio_balloon_config, actual), sizeof(pages));
	(void)pthread_mutex_unlock(&b->v.lock);
	return le32toh(pages) * PAGE;
}
