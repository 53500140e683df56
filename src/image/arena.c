/* SPDX-License-Identifier: Apache-2.0 */
#include "image/arena.h"

#include <errno.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

enum { CHUNK = 64 << 10, ALIGN = alignof(max_align_t) };

struct arena_chunk {
	struct arena_chunk *next;
	size_t size; /* of bytes[] */
	alignas(ALIGN) char bytes[];
};

static struct arena_chunk *chunk_new(size_t size)
{
	struct arena_chunk *chunk = calloc(1, sizeof(*chunk) + size);
	if (chunk)
		chunk->size = size;
	return chunk;
}

void *arena_alloc(struct arena *arena, size_t n, struct err *err)
{
	size_t want = (n + ALIGN - 1) / ALIGN * ALIGN;
	bool big = want > CHUNK / 4;
	struct arena_chunk *first = arena->chunks;

	if (!big && want <= arena->room) {
		arena->room -= want;
		return first->bytes + first->size - arena->room - want;
	}
	struct arena_chunk *chunk = want < n ? NULL : chunk_new(big ? want : CHUNK);
	if (!chunk) {
		(void)err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	if (big && first) { /* behind the newest, which still has room */
		chunk->next = first->next;
		first->next = chunk;
		return chunk->bytes;
	}
	chunk->next = first;
	arena->chunks = chunk;
	arena->room = chunk->size - want;
	return chunk->bytes;
}

char *arena_copy(struct arena *arena, const void *bytes, size_t n, struct err *err)
{
	char *copy = arena_alloc(arena, n + 1, err);

	if (copy && n > 0)
		memcpy(copy, bytes, n);
	return copy;
}

void arena_done(struct arena *arena)
{
	for (struct arena_chunk *c = arena->chunks, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	*arena = ARENA_INIT;
}
