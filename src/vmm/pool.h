/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that wait for storage, so that a device's own thread goes on: each carries out one chain
 * at a time. Nothing waits for one of them: whoever finds none that is free does the work itself.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "vmm/queue.h"

struct err;

enum { POOL_THREADS = 3, POOL_NOTE = 16 };

/* note: POOL_NOTE bytes that came with the chain. Both are the pool's own, for the call. */
typedef void pool_fn(void *ctx, const void *note, const struct chain *c);

struct pool_job {
	pool_fn *fn; /* NULL: free */
	void *ctx;
	bool taken; /* by a thread */
	uint8_t note[POOL_NOTE];
	struct chain chain;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t given;
	unsigned threads; /* that serve */
	struct pool_job jobs[POOL_THREADS];
};

/* Without threads yet. There is no way back: a pool ends with its process. */
void pool_init(struct pool *p);

/* Has a thread call fn with copies of note and chain; false, and nothing done, when none is free.
 * From any thread. */
bool pool_give(struct pool *p, pool_fn *fn, void *ctx, const void *note, const struct chain *c)
	HULL_MUST_CHECK;

/* Makes the calling thread one of the pool's, for good; POOL_THREADS at most. */
_Noreturn void pool_serve(struct pool *p);
