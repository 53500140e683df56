/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/standstill.h"

#include <errno.h>

#include "base/err.h"
#include "base/loop.h"

void standstill_init(struct standstill *s, unsigned threads)
{
	*s = (struct standstill){.running = threads};
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_cond_init(&s->changed, NULL);
}

void standstill_here(struct standstill *s)
{
	(void)pthread_mutex_lock(&s->lock);
	s->running--;
	s->standing++;
	(void)pthread_cond_broadcast(&s->changed);
	while (s->wanted)
		(void)pthread_cond_wait(&s->changed, &s->lock);
	s->standing--;
	s->running++;
	(void)pthread_mutex_unlock(&s->lock);
}

void standstill_leave(struct standstill *s)
{
	(void)pthread_mutex_lock(&s->lock);
	s->running--;
	(void)pthread_cond_broadcast(&s->changed);
	(void)pthread_mutex_unlock(&s->lock);
}

void standstill_want(struct standstill *s)
{
	(void)pthread_mutex_lock(&s->lock);
	s->wanted = true;
	(void)pthread_mutex_unlock(&s->lock);
}

int standstill_wait(struct standstill *s, unsigned patience_ms, struct err *err)
{
	struct timespec until = clock_after(patience_ms);
	int code = 0;

	(void)pthread_mutex_lock(&s->lock);
	unsigned threads = s->running + s->standing;
	while (s->running > 0 && code == 0)
		code = pthread_cond_clockwait(&s->changed, &s->lock, CLOCK_MONOTONIC, &until);
	bool all = s->standing == threads;
	(void)pthread_mutex_unlock(&s->lock);
	if (code != 0)
		return err_set(err, code, "a processor does not stop");
	return all ? 0 : err_set(err, ESRCH, "the machine has ended");
}

void standstill_end(struct standstill *s)
{
	(void)pthread_mutex_lock(&s->lock);
	s->wanted = false;
	(void)pthread_cond_broadcast(&s->changed);
	(void)pthread_mutex_unlock(&s->lock);
}
