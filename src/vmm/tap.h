/* SPDX-License-Identifier: Apache-2.0 */
/* A tap with vnet headers as a wire: the header of virtio in front of a frame is its own as well.
 */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "vmm/wire.h"

struct err;

struct tap {
	struct wire wire; /* first */
	uint8_t *frame; /* the last one read; owned */
};

/* A place for a tap. Only this allocates. The caller releases with tap_done(). */
int tap_init(struct tap *t, struct err *err) HULL_MUST_CHECK;

/* Puts a tap (borrowed; non-blocking) into the place. */
int tap_connect(struct tap *t, int fd, struct err *err) HULL_MUST_CHECK;

/* Zeroed is fine; the descriptor stays open. */
void tap_done(struct tap *t);
