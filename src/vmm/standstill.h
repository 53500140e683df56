/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the processors' threads stand while the machine is paused. Each comes here by itself, once
 * what its guest asked for is done and it is between two instructions; one thread, which is none of
 * them, asks for it and waits. Nothing here allocates.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "base/attr.h"

struct err;

/* Embedded; standstill_init(). It lives as long as its threads. */
struct standstill {
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	bool wanted;
	unsigned running, standing; /* threads; those that ended are neither */
};

/* For so many threads, which all run. */
void standstill_init(struct standstill *s, unsigned threads);

/* From a thread that was told to stop: stays until it may go on. */
void standstill_here(struct standstill *s);

/* From a thread that ends. */
void standstill_leave(struct standstill *s);

/* Threads that come stay. They are to be told (vcpu_stop()) after this. */
void standstill_want(struct standstill *s);

/* Waits until all stand. ETIMEDOUT after patience_ms; ESRCH when one has ended meanwhile. */
int standstill_wait(struct standstill *s, unsigned patience_ms, struct err *err) HULL_MUST_CHECK;

/* All go on. */
void standstill_end(struct standstill *s);
