/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits of the host's block devices (plan_limits.blkio), carried out by a monitor on the disks of
 * its machine that lie on them: the guest's kernel does not know the host's devices. Each disk is
 * limited by itself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"

struct err;
struct list;
struct plan_blkio;

enum { RATES_READ, RATES_WRITE, RATES_WAYS };

/* What may pass in a second; 0: as much as there is. */
struct rates {
	uint64_t bytes, requests;
};

/* Whether b is about the device dev (a file's st_dev), or the disk that dev is a partition of. */
bool rates_apply(const struct plan_blkio *b, dev_t dev);

/* What `blkio` (struct plan_blkio) says of a file on device dev (its st_dev); weights are passed
 * over. */
void rates_find(const struct list *blkio, dev_t dev, struct rates ret[RATES_WAYS]);

/* Refuses limits of a device on which none of the machine's disks lies. */
int rates_check(const struct list *blkio, const dev_t *devs, size_t n, struct err *err)
	HULL_MUST_CHECK;
