/* SPDX-License-Identifier: Apache-2.0 */
#include "image/progress.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/loop.h"

enum { EVERY_MS = 100, BAR = 30 };

struct progress {
	pthread_mutex_t lock; /* of all that follows */
	bool quiet, bar, drawn;
	size_t parts, done;
	uint64_t bytes, came;
	uint64_t began_ms, drawn_ms;
};

int progress_new(bool quiet, size_t parts, uint64_t bytes, struct progress **ret, struct err *err)
{
	struct progress *p = calloc(1, sizeof(*p));

	if (!p)
		return err_set(err, ENOMEM, "out of memory");
	*p = (struct progress){.lock = PTHREAD_MUTEX_INITIALIZER,
			       .quiet = quiet,
			       .bar = isatty(STDERR_FILENO) != 0,
			       .parts = parts,
			       .bytes = bytes,
			       .began_ms = clock_ms()};
	*ret = p;
	return 0;
}

static double mb(uint64_t bytes)
{
	return (double)bytes / 1e6;
}

static void wipe(struct progress *p)
{
	if (p->drawn)
		(void)fputs("\r\033[K", stderr);
	p->drawn = false;
}

static void draw(struct progress *p)
{
	static const char full[BAR + 1] = "==============================";
	uint64_t now = clock_ms();

	if (p->quiet || !p->bar || (p->drawn_ms && now - p->drawn_ms < EVERY_MS))
		return;
	uint64_t came = p->came < p->bytes ? p->came : p->bytes;
	int n = p->bytes ? (int)(came * BAR / p->bytes) : BAR;
	uint64_t ms = now > p->began_ms ? now - p->began_ms : 1;
	(void)fprintf(stderr, "\r[%.*s%*s] %.1f of %.1f MB, %zu of %zu layers, %.1f MB/s\033[K", n,
		      full, BAR - n, "", mb(came), mb(p->bytes), p->done, p->parts,
		      mb(came) * 1000 / (double)ms);
	p->drawn = true;
	p->drawn_ms = now;
}

void progress_add(struct progress *p, uint64_t bytes)
{
	(void)pthread_mutex_lock(&p->lock);
	p->came += bytes;
	draw(p);
	(void)pthread_mutex_unlock(&p->lock);
}

void progress_part(struct progress *p, size_t number, uint64_t bytes, const char *how)
{
	(void)pthread_mutex_lock(&p->lock);
	p->done++;
	if (!p->quiet && !p->bar)
		(void)fprintf(stderr, "layer %zu of %zu: %.1f MB, %s\n", number + 1, p->parts,
			      mb(bytes), how);
	draw(p);
	(void)pthread_mutex_unlock(&p->lock);
}

void progress_free(struct progress *p)
{
	if (!p)
		return;
	wipe(p);
	free(p);
}
