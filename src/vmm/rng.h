/* SPDX-License-Identifier: Apache-2.0 */
/* An entropy device (virtio 1.2 section 5.4): the host's own randomness. */
#pragma once

#include "base/attr.h"
#include "vmm/virtio.h"

struct err;

/* Makes the device; release with virtio_done(). */
int rng_init(struct virtio *v, const struct gmem *mem, struct err *err) HULL_MUST_CHECK;
