/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token bucket in its other form, the generic cell rate algorithm (ITU-T I.371 annex A): an
 * instant per limit instead of a level, which moves on by what each request costs and may be ahead
 * of the clock by what a full bucket holds.
 */
#include "vmm/throttle.h"

#include <stddef.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "vmm/virtio.h"

#define NS_PER_S  1000000000ULL
#define NS_PER_MS 1000000ULL
#define AHEAD_NS  (NS_PER_S / 10)

uint64_t pace_take(struct pace *p, uint64_t bytes, uint64_t now_ms)
{
	const struct {
		uint64_t *instant;
		uint64_t amount, per_s;
	} limits[] = {
		{&p->bytes_ns, bytes, p->limit.bytes},
		{&p->requests_ns, 1, p->limit.requests},
	};
	enum { LIMITS = sizeof(limits) / sizeof(limits[0]) };
	uint64_t now = now_ms * NS_PER_MS;
	uint64_t late = 0;

	for (size_t i = 0; i < LIMITS; i++) {
		uint64_t until = limits[i].per_s ? *limits[i].instant : 0;
		if (until > now + AHEAD_NS && until - now - AHEAD_NS > late)
			late = until - now - AHEAD_NS;
	}
	if (late > 0)
		return (late + NS_PER_MS - 1) / NS_PER_MS;
	for (size_t i = 0; i < LIMITS; i++) {
		uint64_t cost;
		if (limits[i].per_s == 0)
			continue;
		if (__builtin_mul_overflow(limits[i].amount, NS_PER_S, &cost))
			cost = UINT64_MAX;
		uint64_t from = *limits[i].instant > now ? *limits[i].instant : now;
		if (__builtin_add_overflow(from, cost / limits[i].per_s, limits[i].instant))
			*limits[i].instant = UINT64_MAX;
	}
	return 0;
}

static int served_again(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct throttle *t = ctx;
	uint64_t times;

	(void)events;
	(void)err;
	ssize_t n = read(fd, &times, sizeof(times));
	(void)n;
	virtio_kicked(t->v);
	return 0;
}

int throttle_init(struct throttle *t, struct virtio *v, struct loop *loop, struct err *err)
{
	*t = (struct throttle){.v = v,
			       .timer = timerfd_create(CLOCK_MONOTONIC,
						       TFD_CLOEXEC | TFD_NONBLOCK)};
	if (t->timer < 0)
		return err_sys(err, "make a device's timer");
	return loop_watch(loop, t->timer, EPOLLIN, served_again, t, &t->watch, err);
}

void throttle_done(struct throttle *t)
{
	if (!t->v)
		return;
	watch_remove(&t->watch);
	auto_close(&t->timer);
	t->v = NULL;
}

void throttle_set(struct throttle *t, unsigned way, const struct limit *limit)
{
	t->ways[way] = (struct pace){.limit = *limit};
	t->due_ms = 0;
}

bool throttle_pass(struct throttle *t, unsigned way, uint64_t bytes)
{
	struct pace *p = &t->ways[way];

	if (p->limit.bytes == 0 && p->limit.requests == 0)
		return true;
	uint64_t now_ms = clock_ms();
	uint64_t wait_ms = pace_take(p, bytes, now_ms);
	if (wait_ms == 0)
		return true;
	if (t->due_ms > now_ms && t->due_ms <= now_ms + wait_ms) /* the other way waits less */
		return false;
	const struct itimerspec in = {.it_value = {.tv_sec = (time_t)(wait_ms / 1000),
						   .tv_nsec = (long)(wait_ms % 1000) * 1000000}};
	t->due_ms = now_ms + wait_ms;
	return timerfd_settime(t->timer, 0, &in, NULL) < 0; /* never: rather too much than a hang */
}
