/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is given out piece by piece and released all at once: a layer's tree has hundreds of
 * thousands of small parts and one end. */
#pragma once

#include <stddef.h>

#include "base/attr.h"

struct err;

struct arena {
	struct arena_chunk *chunks; /* newest first; owned */
	size_t room; /* bytes left in the newest chunk */
};

#define ARENA_INIT ((struct arena){0})

/* n zeroed bytes, aligned for any type, released by arena_done(); NULL with err set when memory is
 * out. */
void *arena_alloc(struct arena *arena, size_t n, struct err *err) HULL_MUST_CHECK;

/* A copy of n bytes with a NUL behind it. */
char *arena_copy(struct arena *arena, const void *bytes, size_t n, struct err *err) HULL_MUST_CHECK;

/* Releases everything given out; the arena is empty and usable again. */
void arena_done(struct arena *arena);
