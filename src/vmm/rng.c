/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/rng.h"

#include <linux/virtio_ids.h>
#include <sys/random.h>

/* getrandom() gives so many in one piece, and nobody needs more at once. */
enum { AT_ONCE = 256 };

static int64_t serve_chain(struct virtio *v, const struct chain *c)
{
	uint8_t bytes[AT_ONCE];

	(void)v;
	ssize_t n = getrandom(bytes, sizeof(bytes), 0);
	return n < 0 ? 0 : (int64_t)chain_write(c, 0, bytes, (size_t)n);
}

static void serve(struct virtio *v)
{
	virtio_each(v, 0, serve_chain);
}

static const struct virtio_ops rng_ops = {
	.id = VIRTIO_ID_RNG,
	.n_queues = 1,
	.serve = serve,
	.save = virtio_save_nothing,
	.load = virtio_load_nothing,
};

int rng_init(struct virtio *v, const struct gmem *mem, struct err *err)
{
	return virtio_init(v, &rng_ops, 0, mem, err);
}
