/* SPDX-License-Identifier: Apache-2.0 */
#include "image/hasher.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "image/digest.h"

enum { WORTH = 64 << 10 /* bytes that are given to a thread */ };

struct hasher {
	struct digest *digest;
	bool beside, alone; /* there is a thread; there will be none */
	pthread_t thread;
	/* What both touch, under the lock; the digest belongs to the thread while there are bytes.
	 */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	const void *bytes; /* borrowed; NULL: nothing to be done */
	size_t n;
	bool over;
	struct err err; /* the first failure */
};

static void *work(void *ctx)
{
	struct hasher *h = ctx;

	(void)pthread_mutex_lock(&h->lock);
	while (!h->over || h->bytes) {
		if (!h->bytes) {
			(void)pthread_cond_wait(&h->changed, &h->lock);
			continue;
		}
		(void)pthread_mutex_unlock(&h->lock);
		(void)!digest_add(h->digest, h->bytes, h->n, &h->err);
		(void)pthread_mutex_lock(&h->lock);
		h->bytes = NULL;
		(void)pthread_cond_signal(&h->changed);
	}
	(void)pthread_mutex_unlock(&h->lock);
	return NULL;
}

int hasher_new(struct hasher **ret, struct err *err)
{
	struct hasher *h = calloc(1, sizeof(*h));

	if (!h)
		return err_set(err, ENOMEM, "out of memory");
	h->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	h->changed = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
	int r = digest_new(&h->digest, err);
	if (r < 0) {
		free(h);
		return r;
	}
	h->alone = sysconf(_SC_NPROCESSORS_ONLN) < 2;
	*ret = h;
	return 0;
}

void hasher_free(struct hasher *h)
{
	if (!h)
		return;
	if (h->beside) {
		(void)pthread_mutex_lock(&h->lock);
		h->over = true;
		(void)pthread_cond_signal(&h->changed);
		(void)pthread_mutex_unlock(&h->lock);
		(void)pthread_join(h->thread, NULL);
	}
	digest_free(h->digest);
	free(h);
}

int hasher_wait(struct hasher *h, struct err *err)
{
	(void)pthread_mutex_lock(&h->lock);
	while (h->bytes)
		(void)pthread_cond_wait(&h->changed, &h->lock);
	(void)pthread_mutex_unlock(&h->lock);
	return h->err.code ? err_set(err, h->err.code, "%s", h->err.msg) : 0;
}

/* Whether there is a thread, started when it is first wanted: most layers are small. */
static bool is_beside(struct hasher *h)
{
	if (!h->beside && !h->alone) {
		h->beside = pthread_create(&h->thread, NULL, work, h) == 0;
		h->alone = !h->beside;
	}
	return h->beside;
}

int hasher_add(struct hasher *h, const void *bytes, size_t n, struct err *err)
{
	int r = hasher_wait(h, err);

	if (r < 0)
		return r;
	if (n < WORTH || !is_beside(h))
		return digest_add(h->digest, bytes, n, err);
	(void)pthread_mutex_lock(&h->lock);
	h->bytes = bytes;
	h->n = n;
	(void)pthread_cond_signal(&h->changed);
	(void)pthread_mutex_unlock(&h->lock);
	return 0;
}

int hasher_end(struct hasher *h, uint8_t ret[LAYER_DIGEST], struct err *err)
{
	int r = hasher_wait(h, err);

	return r < 0 ? r : digest_end(h->digest, ret, err);
}
