/* SPDX-License-Identifier: Apache-2.0 */
/* There are as many jobs as threads, so that a job that is free has a thread that is. */
#include "vmm/pool.h"

#include <assert.h>
#include <string.h>

void pool_init(struct pool *p)
{
	p->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	p->given = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
}

bool pool_give(struct pool *p, pool_fn *fn, void *ctx, const void *note, const struct chain *c)
{
	struct pool_job *job = NULL;

	(void)pthread_mutex_lock(&p->lock);
	for (unsigned i = 0; i < p->threads && !job; i++)
		job = p->jobs[i].fn ? NULL : &p->jobs[i];
	if (job) {
		job->fn = fn;
		job->ctx = ctx;
		job->taken = false;
		memcpy(job->note, note, POOL_NOTE);
		chain_copy(&job->chain, c);
		(void)pthread_cond_signal(&p->given);
	}
	(void)pthread_mutex_unlock(&p->lock);
	return job;
}

/* The lock is held. */
static struct pool_job *find_given(struct pool *p)
{
	for (unsigned i = 0; i < POOL_THREADS; i++) {
		if (p->jobs[i].fn && !p->jobs[i].taken)
			return &p->jobs[i];
	}
	return NULL;
}

void pool_serve(struct pool *p)
{
	(void)pthread_mutex_lock(&p->lock);
	assert(p->threads < POOL_THREADS);
	p->threads++;
	for (;;) {
		struct pool_job *job = find_given(p);
		if (!job) {
			(void)pthread_cond_wait(&p->given, &p->lock);
			continue;
		}
		job->taken = true;
		(void)pthread_mutex_unlock(&p->lock);
		job->fn(job->ctx, job->note, &job->chain);
		(void)pthread_mutex_lock(&p->lock);
		job->fn = NULL;
	}
}
