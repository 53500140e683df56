/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests (section 5.15.6.1) are answered one by one: what names blocks outside of the room, or
 * blocks that are not all in the state that it wants to leave, is an error; more than was asked for
 * is refused. A reset leaves blocks as they are: a driver that comes anew unplugs them all.
 */
#include "vmm/hotmem.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mem.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "vmm/gmem.h"
#include "vmm/state.h"

enum { WORD = 64 }; /* bits */

/* Blocks [first, first + n) of the room. */
struct range {
	uint64_t first, n;
};

static bool is_plugged(const struct hotmem *h, uint64_t block)
{
	return h->blocks[block / WORD] >> block % WORD & 1;
}

static uint64_t count_plugged(const struct hotmem *h, const struct range *range)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < range->n; i++)
		n += is_plugged(h, range->first + i);
	return n;
}

static void mark(struct hotmem *h, const struct range *range)
{
	for (uint64_t i = 0; i < range->n; i++)
		h->blocks[(range->first + i) / WORD] ^= 1ULL << (range->first + i) % WORD;
}

static struct virtio_mem_config config_of(const struct hotmem *h)
{
	return (struct virtio_mem_config){.block_size = htole64(HOTMEM_BLOCK),
					  .addr = htole64(h->addr),
					  .region_size = htole64(h->size),
					  .usable_region_size = htole64(h->size),
					  .plugged_size = htole64(h->plugged),
					  .requested_size = htole64(h->asked)};
}

/* What of the configuration changes. The driver is told only of what it is asked. */
static void show(struct hotmem *h)
{
	struct virtio_mem_config config = config_of(h);

	_Static_assert(sizeof(config) <= VIRTIO_CONFIG_MAX, "room for the configuration");
	memcpy(h->v.config, &config, sizeof(config));
	h->v.config_len = sizeof(config);
	h->v.generation++;
}

/* Whether the request names blocks of the room; then they are in *ret. */
static bool take_range(const struct hotmem *h, uint64_t addr, uint16_t n, struct range *ret)
{
	uint64_t offset = addr - h->addr;

	if (addr < h->addr || offset % HOTMEM_BLOCK != 0 || n == 0)
		return false;
	*ret = (struct range){offset / HOTMEM_BLOCK, n};
	uint64_t blocks = h->size / HOTMEM_BLOCK;
	return ret->first < blocks && n <= blocks - ret->first;
}

static uint16_t plug(struct hotmem *h, const struct range *range)
{
	uint64_t bytes = range->n * HOTMEM_BLOCK;

	if (count_plugged(h, range) != 0)
		return VIRTIO_MEM_RESP_ERROR;
	if (h->plugged > h->asked || bytes > h->asked - h->plugged)
		return VIRTIO_MEM_RESP_NACK;
	mark(h, range);
	h->plugged += bytes;
	show(h);
	return VIRTIO_MEM_RESP_ACK;
}

static uint16_t unplug(struct hotmem *h, const struct range *range)
{
	uint64_t bytes = range->n * HOTMEM_BLOCK;

	if (count_plugged(h, range) != range->n)
		return VIRTIO_MEM_RESP_ERROR;
	mark(h, range);
	h->plugged -= bytes;
	gmem_discard(h->room + range->first * HOTMEM_BLOCK, bytes);
	show(h);
	return VIRTIO_MEM_RESP_ACK;
}

static uint16_t unplug_all(struct hotmem *h)
{
	memset(h->blocks, 0, h->size / HOTMEM_BLOCK / 8);
	h->plugged = 0;
	gmem_discard(h->room, h->size);
	show(h);
	return VIRTIO_MEM_RESP_ACK;
}

static uint16_t state_of(const struct hotmem *h, const struct range *range)
{
	uint64_t n = count_plugged(h, range);

	if (n == 0)
		return VIRTIO_MEM_STATE_UNPLUGGED;
	return n == range->n ? VIRTIO_MEM_STATE_PLUGGED : VIRTIO_MEM_STATE_MIXED;
}

/* The three requests that name blocks have them in the same place. */
static struct virtio_mem_resp answer(struct hotmem *h, const struct virtio_mem_req *req)
{
	struct virtio_mem_resp resp = {.type = htole16(VIRTIO_MEM_RESP_ERROR)};
	uint16_t type = le16toh(req->type);
	struct range range;

	if (type == VIRTIO_MEM_REQ_UNPLUG_ALL) {
		resp.type = htole16(unplug_all(h));
		return resp;
	}
	if (!take_range(h, le64toh(req->u.plug.addr), le16toh(req->u.plug.nb_blocks), &range))
		return resp;
	switch (type) {
	case VIRTIO_MEM_REQ_PLUG:
		resp.type = htole16(plug(h, &range));
		break;
	case VIRTIO_MEM_REQ_UNPLUG:
		resp.type = htole16(unplug(h, &range));
		break;
	case VIRTIO_MEM_REQ_STATE:
		resp.type = htole16(VIRTIO_MEM_RESP_ACK);
		resp.u.state.state = htole16(state_of(h, &range));
		break;
	default: /* an error, as it stands there */
		break;
	}
	return resp;
}

static int64_t serve_chain(struct virtio *v, const struct chain *c)
{
	struct hotmem *h = (struct hotmem *)v;
	struct virtio_mem_req req = {0};
	struct virtio_mem_resp resp = {.type = htole16(VIRTIO_MEM_RESP_ERROR)};

	if (chain_read(c, 0, &req, sizeof(req)) == sizeof(req))
		resp = answer(h, &req);
	return (int64_t)chain_write(c, 0, &resp, sizeof(resp));
}

static void serve(struct virtio *v)
{
	virtio_each(v, 0, serve_chain);
}

/* --- written down --- */

static size_t n_words(const struct hotmem *h)
{
	/* GMEM_ROOM_ALIGN is a whole number of words of blocks */
	return h->size / HOTMEM_BLOCK / WORD;
}

size_t hotmem_state_size(const struct hotmem *h)
{
	return sizeof(h->asked) + n_words(h) * sizeof(h->blocks[0]);
}

static void save(struct virtio *v, struct buf *to)
{
	const struct hotmem *h = (const struct hotmem *)v;

	buf_le64(to, h->asked);
	for (size_t i = 0; i < n_words(h); i++)
		buf_le64(to, h->blocks[i]);
}

/* The configuration has been taken as the state has it: it must be what follows from the rest. */
static int load(struct virtio *v, struct state_reader *from, struct err *err)
{
	struct hotmem *h = (struct hotmem *)v;
	const struct range all = {0, h->size / HOTMEM_BLOCK};

	h->asked = state_take64(from);
	for (size_t i = 0; i < n_words(h); i++)
		h->blocks[i] = state_take64(from);
	h->plugged = count_plugged(h, &all) * HOTMEM_BLOCK;
	struct virtio_mem_config config = config_of(h);
	if (h->asked > h->size || memcmp(v->config, &config, sizeof(config)) != 0)
		return err_set(err, EINVAL, "its memory lies elsewhere, or is another than it was");
	return 0;
}

/* The next run of plugged blocks from block `at` on; n 0: there is none. */
static struct range next_run(const struct hotmem *h, uint64_t at)
{
	uint64_t blocks = h->size / HOTMEM_BLOCK;

	while (at < blocks && !is_plugged(h, at))
		at++;
	struct range run = {at, 0};
	while (at + run.n < blocks && is_plugged(h, at + run.n))
		run.n++;
	return run;
}

/* What is done with a part of the room and the file. */
typedef int room_fn(const struct gmem *mem, uint64_t offset, uint64_t size, int file,
		    struct err *err);

static int each_run(const struct hotmem *h, room_fn *fn, int file, struct err *err)
{
	int r = 0;

	for (struct range run = next_run(h, 0); run.n > 0 && r == 0;
	     run = next_run(h, run.first + run.n))
		r = fn(h->mem, run.first * HOTMEM_BLOCK, run.n * HOTMEM_BLOCK, file, err);
	return r;
}

int hotmem_save_memory(const struct hotmem *h, int file, struct err *err)
{
	return each_run(h, gmem_save_room, file, err);
}

int hotmem_map_memory(const struct hotmem *h, int file, struct err *err)
{
	return each_run(h, gmem_map_room, file, err);
}

/* --- the device --- */

static const struct virtio_ops hotmem_ops = {.id = VIRTIO_ID_MEM,
					     .features = 1ULL
							 << VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE,
					     .n_queues = 1,
					     .serve = serve,
					     .save = save,
					     .load = load,
					     .config_is_state = true};

int hotmem_init(struct hotmem *h, const struct gmem *mem, struct err *err)
{
	struct gmem_run room = gmem_room(mem);

	*h = (struct hotmem){.addr = room.gpa, .size = room.size, .room = room.host, .mem = mem};
	h->blocks = calloc(n_words(h), sizeof(h->blocks[0]));
	if (!h->blocks)
		return err_set(err, ENOMEM, "out of memory");
	int r = virtio_init(&h->v, &hotmem_ops, 0, mem, err);
	if (r == 0)
		show(h);
	else
		hotmem_done(h);
	return r;
}

void hotmem_done(struct hotmem *h)
{
	virtio_done(&h->v);
	free(h->blocks);
	h->blocks = NULL;
}

void hotmem_ask(struct hotmem *h, uint64_t bytes)
{
	(void)pthread_mutex_lock(&h->v.lock);
	h->asked = bytes < h->size ? (bytes + HOTMEM_BLOCK - 1) & ~(HOTMEM_BLOCK - 1) : h->size;
	show(h);
	virtio_config_changed(&h->v);
	(void)pthread_mutex_unlock(&h->v.lock);
}

uint64_t hotmem_plugged(struct hotmem *h)
{
	(void)pthread_mutex_lock(&h->v.lock);
	uint64_t plugged = h->plugged;
	(void)pthread_mutex_unlock(&h->v.lock);
	return plugged;
}
