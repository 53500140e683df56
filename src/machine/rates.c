/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/rates.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "proto/plan.h"

/* Whether dev is a partition of the disk. */
static bool is_partition(dev_t dev, const struct plan_blkio *disk)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct err ignored = ERR_INIT; /* no partition */
	char path[64], number[32];

	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../dev", major(dev), minor(dev));
	(void)snprintf(number, sizeof(number), "%u:%u\n", disk->major, disk->minor);
	return file_read(AT_FDCWD, path, sizeof(number), &text, &ignored) == 0 && text.data &&
	       strcmp(text.data, number) == 0;
}

bool rates_apply(const struct plan_blkio *b, dev_t dev)
{
	return makedev(b->major, b->minor) == dev || is_partition(dev, b);
}

static bool is_weight(const struct plan_blkio *b)
{
	return b->kind == BLKIO_WEIGHT || b->kind == BLKIO_LEAF_WEIGHT;
}

void rates_find(const struct list *blkio, dev_t dev, struct rates ret[RATES_WAYS])
{
	uint64_t *const places[] = {
		[BLKIO_READ_BPS] = &ret[RATES_READ].bytes,
		[BLKIO_WRITE_BPS] = &ret[RATES_WRITE].bytes,
		[BLKIO_READ_IOPS] = &ret[RATES_READ].requests,
		[BLKIO_WRITE_IOPS] = &ret[RATES_WRITE].requests,
	};
	const struct plan_blkio *b = blkio->items;

	ret[RATES_READ] = ret[RATES_WRITE] = (struct rates){0};
	for (size_t i = 0; i < blkio->n; i++, b++) {
		if (b->kind < sizeof(places) / sizeof(places[0]) && places[b->kind] &&
		    rates_apply(b, dev))
			*places[b->kind] = b->value;
	}
}

int rates_check(const struct list *blkio, const dev_t *devs, size_t n, struct err *err)
{
	const struct plan_blkio *b = blkio->items;

	for (size_t i = 0; i < blkio->n; i++, b++) {
		bool found = is_weight(b);
		for (size_t k = 0; k < n && !found; k++)
			found = rates_apply(b, devs[k]);
		if (!found)
			return err_set(err, ENODEV,
				       "limits of device %u:%u: no disk of the machine lies on it",
				       b->major, b->minor);
	}
	return 0;
}
