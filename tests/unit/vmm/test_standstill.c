/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "base/err.h"
#include "vmm/standstill.h"

enum { THREADS = 3, PATIENCE_MS = 60000 };

struct kit {
	struct standstill s;
	pthread_t threads[THREADS];
	bool told, over; /* atomic */
	unsigned worked; /* atomic; by all */
};

/* A processor: works, until it is told to stand. */
static void *work(void *ctx)
{
	struct kit *k = ctx;

	while (!__atomic_load_n(&k->over, __ATOMIC_SEQ_CST)) {
		if (__atomic_load_n(&k->told, __ATOMIC_SEQ_CST))
			standstill_here(&k->s);
		(void)__atomic_fetch_add(&k->worked, 1, __ATOMIC_SEQ_CST);
		(void)sched_yield();
	}
	standstill_leave(&k->s);
	return NULL;
}

static int begin(struct kit *k)
{
	int code = 0;

	*k = (struct kit){0};
	standstill_init(&k->s, THREADS);
	for (int i = 0; i < THREADS && code == 0; i++)
		code = pthread_create(&k->threads[i], NULL, work, k);
	return code;
}

static void end(struct kit *k)
{
	__atomic_store_n(&k->over, true, __ATOMIC_SEQ_CST);
	standstill_end(&k->s);
	for (int i = 0; i < THREADS; i++)
		(void)pthread_join(k->threads[i], NULL);
}

static void tell(struct kit *k, bool stop)
{
	__atomic_store_n(&k->told, stop, __ATOMIC_SEQ_CST);
}

TEST(all_stand_until_they_may_go_on_again_and_again)
{
	struct err err = ERR_INIT;
	struct kit k;

	EXPECT_EQ(begin(&k), 0);
	for (int i = 0; i < 20; i++) {
		standstill_want(&k.s);
		tell(&k, true);
		EXPECT_EQ(standstill_wait(&k.s, PATIENCE_MS, &err), 0);
		unsigned worked = __atomic_load_n(&k.worked, __ATOMIC_SEQ_CST);
		(void)sched_yield();
		EXPECT_EQ(__atomic_load_n(&k.worked, __ATOMIC_SEQ_CST), worked);
		tell(&k, false);
		standstill_end(&k.s);
		while (__atomic_load_n(&k.worked, __ATOMIC_SEQ_CST) == worked)
			(void)sched_yield();
	}
	end(&k);
}

TEST(one_that_does_not_come_is_waited_for_only_so_long)
{
	struct err err = ERR_INIT;
	struct kit k;

	EXPECT_EQ(begin(&k), 0);
	standstill_want(&k.s); /* and nobody is told */
	EXPECT_EQ(standstill_wait(&k.s, 1, &err), -ETIMEDOUT);
	EXPECT_STR(err.msg, "a processor does not stop");
	end(&k);
}

TEST(one_that_ends_meanwhile_is_not_waited_for)
{
	struct err err = ERR_INIT;
	struct standstill s;

	standstill_init(&s, 1);
	standstill_want(&s);
	standstill_leave(&s);
	EXPECT_EQ(standstill_wait(&s, PATIENCE_MS, &err), 0); /* it had ended before */

	struct kit k;
	EXPECT_EQ(begin(&k), 0);
	standstill_want(&k.s);
	__atomic_store_n(&k.over, true, __ATOMIC_SEQ_CST);
	int r = standstill_wait(&k.s, PATIENCE_MS, &err);
	EXPECT(r == 0 || r == -ESRCH); /* as it happened to be seen */
	end(&k);
}
