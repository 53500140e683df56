/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/block.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "vmm/state.h"

enum {
	SEGMENTS = 126, /* of a request, beside header and status */
	RANGES = 16, /* of one discard or write-zeroes */
	ZERO_SECTORS = 1 << 22, /* of a range: 2 GiB */
};

/* A request, its parts found in the chain. */
struct request {
	const struct disk *disk;
	const char *serial;
	const struct chain *chain;
	struct virtio_blk_outhdr head;
	uint64_t offset; /* bytes */
	size_t in, out; /* bytes of data that the chain has room for, that it brings */
	size_t written; /* so much of `in` was filled */
	bool now; /* only if it needs no wait */
};

typedef int request_fn(struct request *r);

static int do_read(struct request *r)
{
	struct iovec iov[QUEUE_MAX];

	if (r->in % DISK_SECTOR != 0)
		return -EINVAL;
	size_t n = chain_part(r->chain, true, 0, r->in, iov);
	int e = r->now ? disk_read_now(r->disk, iov, n, r->offset)
		       : disk_move(r->disk, false, iov, n, r->offset);
	if (e == 0)
		r->written = r->in;
	return e;
}

static int do_write(struct request *r)
{
	struct iovec iov[QUEUE_MAX];

	if (r->out % DISK_SECTOR != 0)
		return -EINVAL;
	size_t n = chain_part(r->chain, false, sizeof(r->head), r->out, iov);
	return disk_move(r->disk, true, iov, n, r->offset);
}

static int do_flush(struct request *r)
{
	return disk_flush(r->disk);
}

static int do_id(struct request *r)
{
	char id[BLOCK_SERIAL_MAX] = {0};

	memcpy(id, r->serial, strnlen(r->serial, sizeof(id)));
	r->written = chain_write(r->chain, 0, id, r->in < sizeof(id) ? r->in : sizeof(id));
	return 0;
}

static int zero_ranges(struct request *r, bool discard)
{
	struct virtio_blk_discard_write_zeroes range[RANGES];
	uint32_t known = discard ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;

	if (r->out == 0 || r->out % sizeof(range[0]) != 0 || r->out > sizeof(range) ||
	    chain_read(r->chain, sizeof(r->head), range, r->out) != r->out)
		return -EINVAL;
	for (size_t i = 0; i < r->out / sizeof(range[0]); i++) {
		if (range[i].flags & ~known)
			return -EOPNOTSUPP;
		if (range[i].sector > INT64_MAX / DISK_SECTOR ||
		    range[i].num_sectors > ZERO_SECTORS)
			return -EINVAL;
		int e = disk_zero(r->disk, range[i].sector * DISK_SECTOR,
				  (uint64_t)range[i].num_sectors * DISK_SECTOR, discard);
		if (e < 0)
			return e;
	}
	return 0;
}

static int do_discard(struct request *r)
{
	return zero_ranges(r, true);
}

static int do_write_zeroes(struct request *r)
{
	return zero_ranges(r, false);
}

static request_fn *const requests[] = {
	[VIRTIO_BLK_T_IN] = do_read,         [VIRTIO_BLK_T_OUT] = do_write,
	[VIRTIO_BLK_T_FLUSH] = do_flush,     [VIRTIO_BLK_T_GET_ID] = do_id,
	[VIRTIO_BLK_T_DISCARD] = do_discard, [VIRTIO_BLK_T_WRITE_ZEROES] = do_write_zeroes,
};

static int carry_out(struct request *r)
{
	enum { KINDS = sizeof(requests) / sizeof(requests[0]) };

	if (r->head.type >= KINDS || !requests[r->head.type])
		return -EOPNOTSUPP;
	if (r->head.sector > INT64_MAX / DISK_SECTOR)
		return -EINVAL;
	r->offset = r->head.sector * DISK_SECTOR;
	return requests[r->head.type](r);
}

/* Whether the request may be carried out now. A flush moves nothing. */
static bool passes(struct block *b, const struct request *r)
{
	switch (r->head.type) {
	case VIRTIO_BLK_T_IN:
		return throttle_pass(&b->throttle, BLOCK_READ, r->in);
	case VIRTIO_BLK_T_OUT:
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return throttle_pass(&b->throttle, BLOCK_WRITE, r->out);
	default:
		return true;
	}
}

/* The chain holds a header, of which `head` is the copy that counts, and a byte for the status. */
static struct request request_of(const struct block *b, const struct virtio_blk_outhdr *head,
				 const struct chain *c)
{
	return (struct request){.disk = &b->disk,
				.serial = b->serial,
				.chain = c,
				.head = *head,
				.in = c->in_bytes - 1,
				.out = c->out_bytes - sizeof(*head)};
}

/* Tells how it went; how many bytes were written. */
static uint32_t answer(const struct request *r, int e)
{
	uint8_t status = e == 0             ? VIRTIO_BLK_S_OK
			 : e == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP
					    : VIRTIO_BLK_S_IOERR;

	(void)chain_write(r->chain, r->in, &status, 1);
	return (uint32_t)(r->written + 1);
}

/* By a thread of the pool, with the header as it was judged. */
static void finish(void *ctx, const void *note, const struct chain *c)
{
	struct virtio_blk_outhdr head;
	struct block *b = ctx;

	_Static_assert(sizeof(head) == POOL_NOTE, "a header is a note");
	memcpy(&head, note, sizeof(head));
	struct request r = request_of(b, &head, c);
	int e = carry_out(&r);
	virtio_finish(&b->v, 0, c->head, answer(&r, e));
}

/* Carries out what needs no wait; -EAGAIN: it has to wait. */
static int carry_out_now(const struct block *b, struct request *r)
{
	switch (r->head.type) {
	case VIRTIO_BLK_T_IN:
		r->now = true;
		break;
	case VIRTIO_BLK_T_FLUSH:
		if (disk_keeps(&b->disk))
			return -EAGAIN;
		break;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return -EAGAIN;
	default: /* what is written goes to the host's memory */
		break;
	}
	return carry_out(r);
}

static int64_t serve_chain(struct virtio *v, const struct chain *c)
{
	struct block *b = (struct block *)v;
	struct virtio_blk_outhdr head;

	/* without a byte for the status there is nowhere to complain */
	if (c->in_bytes == 0 || chain_read(c, 0, &head, sizeof(head)) != sizeof(head))
		return 0;
	struct request r = request_of(b, &head, c);
	if (!passes(b, &r))
		return VIRTIO_LATER;
	int e = b->pool ? carry_out_now(b, &r) : -EAGAIN;
	if (e != -EAGAIN)
		return answer(&r, e);
	if (b->pool && pool_give(b->pool, finish, b, &head, c)) {
		v->away++;
		return VIRTIO_KEPT;
	}
	r.now = false;
	return answer(&r, carry_out(&r));
}

static void serve(struct virtio *v)
{
	virtio_each(v, 0, serve_chain);
}

/* A disk is known by its serial. */
static void save(struct virtio *v, struct buf *to)
{
	buf_add(to, ((const struct block *)v)->serial, sizeof(((const struct block *)v)->serial));
}

static int load(struct virtio *v, struct state_reader *from, struct err *err)
{
	const struct block *b = (const struct block *)v;

	if (!state_take_same(from, b->serial, sizeof(b->serial)))
		return err_set(err, EINVAL, "its serial is another than it was");
	return 0;
}

static const struct virtio_ops block_ops = {
	.id = VIRTIO_ID_BLOCK,
	.features = 1ULL << VIRTIO_BLK_F_SEG_MAX | 1ULL << VIRTIO_BLK_F_FLUSH,
	.n_queues = 1,
	.serve = serve,
	.save = save,
	.load = load,
};

/* What is offered beside block_ops.features. */
static uint64_t features(const struct disk *disk)
{
	return disk->readonly ? 1ULL << VIRTIO_BLK_F_RO
			      : 1ULL << VIRTIO_BLK_F_DISCARD | 1ULL << VIRTIO_BLK_F_WRITE_ZEROES;
}

static void tell_capacity(struct block *b)
{
	uint64_t capacity = b->disk.size / DISK_SECTOR;

	memcpy(b->v.config + offsetof(struct virtio_blk_config, capacity), &capacity,
	       sizeof(capacity));
	virtio_config_changed(&b->v);
}

int block_init(struct block *b, struct disk *disk, const char *serial, struct loop *loop,
	       const struct gmem *mem, struct err *err)
{
	struct virtio_blk_config config = {
		.seg_max = SEGMENTS,
		.max_discard_sectors = ZERO_SECTORS,
		.max_discard_seg = RANGES,
		.discard_sector_alignment = 4096 / DISK_SECTOR,
		.max_write_zeroes_sectors = ZERO_SECTORS,
		.max_write_zeroes_seg = RANGES,
		.write_zeroes_may_unmap = 1,
	};

	int r = virtio_init(&b->v, &block_ops, features(disk), mem, err);
	if (r == 0)
		r = throttle_init(&b->throttle, &b->v, loop, err);
	if (r < 0)
		return r;
	b->place = (struct disk_extent){.fd = -1};
	b->v.absent = !serial[0];
	b->v.config_len = offsetof(struct virtio_blk_config, unused1);
	memcpy(b->v.config, &config, b->v.config_len);
	(void)snprintf(b->serial, sizeof(b->serial), "%s", serial);
	b->v.label = b->serial;
	b->disk = *disk;
	*disk = (struct disk){0};
	tell_capacity(b);
	return 0;
}

static bool is_size(uint64_t size)
{
	return size > 0 && size % DISK_SECTOR == 0 && size <= INT64_MAX;
}

static int plug(struct block *b, const struct block_file *file, struct err *err)
{
	if (!b->v.absent)
		return err_set(err, EBUSY, "disk '%s' is there", b->serial);
	if (!is_size(file->size))
		return err_set(err, EINVAL, "disk '%s': these are no whole sectors", file->serial);
	struct disk disk = {.extents = &b->place,
			    .n = 1,
			    .size = file->size,
			    .readonly = file->readonly};
	int r = virtio_set_present(&b->v, true, features(&disk), err);
	if (r < 0)
		return r;
	b->place = (struct disk_extent){.fd = file->fd, .size = file->size};
	b->disk = disk;
	(void)snprintf(b->serial, sizeof(b->serial), "%s", file->serial);
	tell_capacity(b);
	return 0;
}

int block_plug(struct block *b, const struct block_file *file, struct err *err)
{
	(void)pthread_mutex_lock(&b->v.lock);
	int r = plug(b, file, err);
	(void)pthread_mutex_unlock(&b->v.lock);
	return r;
}

static int unplug(struct block *b, struct err *err)
{
	if (b->place.fd < 0)
		return err_set(err, EINVAL, "disk '%s' was not plugged in", b->serial);
	int r = virtio_set_present(&b->v, false, 0, err);
	if (r < 0)
		return r;
	b->serial[0] = '\0';
	auto_close(&b->place.fd);
	b->disk = (struct disk){0};
	for (unsigned way = 0; way < THROTTLE_WAYS; way++)
		throttle_set(&b->throttle, way, &(struct limit){0});
	tell_capacity(b);
	return 0;
}

int block_unplug(struct block *b, struct err *err)
{
	(void)pthread_mutex_lock(&b->v.lock);
	int r = unplug(b, err);
	(void)pthread_mutex_unlock(&b->v.lock);
	return r;
}

static int resize(struct block *b, uint64_t size, struct err *err)
{
	virtio_wait(&b->v);
	if (b->disk.n == 0 || !is_size(size))
		return err_set(err, EINVAL, "disk '%s' cannot have %ju bytes", b->serial,
			       (uintmax_t)size);
	struct disk_extent *last = &b->disk.extents[b->disk.n - 1];
	if (size > INT64_MAX - last->start)
		return err_set(err, EFBIG, "disk '%s' would be too large", b->serial);
	last->size = size;
	b->disk.size = last->start + size;
	tell_capacity(b);
	return 0;
}

int block_resize(struct block *b, uint64_t size, struct err *err)
{
	(void)pthread_mutex_lock(&b->v.lock);
	int r = resize(b, size, err);
	(void)pthread_mutex_unlock(&b->v.lock);
	return r;
}

void block_limit(struct block *b, unsigned way, const struct limit *limit)
{
	(void)pthread_mutex_lock(&b->v.lock);
	throttle_set(&b->throttle, way, limit);
	(void)pthread_mutex_unlock(&b->v.lock);
	virtio_kick(&b->v);
}

void block_done(struct block *b)
{
	throttle_done(&b->throttle);
	virtio_done(&b->v);
	if (b->disk.extents != &b->place)
		disk_done(&b->disk);
	else
		auto_close(&b->place.fd);
}
