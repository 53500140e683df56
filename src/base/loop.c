/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A watch removed while events are being handed out may still be named by an event of the same
 * epoll_wait() batch. It is therefore only marked (fn = NULL) and freed between batches.
 */
#include "base/loop.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

struct watch {
	struct loop *loop;
	struct watch *next;
	watch_fn *fn; /* NULL: removed */
	void *ctx;
	int fd;
	uint32_t events;
};

struct timer {
	struct loop *loop;
	struct timer *next;
	timer_fn *fn;
	void *ctx;
	uint64_t due_ms;
};

struct loop {
	int fd;
	bool stopped;
	bool dirty; /* some watch is marked removed */
	struct watch *watches;
	struct timer *timers; /* soonest first */
};

uint64_t clock_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_ms(void)
{
	return clock_us() / 1000;
}

struct timespec clock_after(uint64_t delay_ms)
{
	uint64_t ms = clock_ms() + delay_ms;

	return (struct timespec){.tv_sec = (time_t)(ms / 1000),
				 .tv_nsec = (long)(ms % 1000) * 1000000};
}

int loop_new(struct loop **ret, struct err *err)
{
	AUTO(auto_loop_free) struct loop *loop = calloc(1, sizeof(*loop));
	if (!loop)
		return err_set(err, ENOMEM, "out of memory");
	loop->fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->fd < 0)
		return err_sys(err, "create epoll");
	*ret = TAKE_PTR(loop);
	return 0;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	while (loop->watches) {
		struct watch *w = loop->watches;
		loop->watches = w->next;
		free(w);
	}
	while (loop->timers) {
		struct timer *t = loop->timers;
		loop->timers = t->next;
		free(t);
	}
	auto_close(&loop->fd);
	free(loop);
}

int loop_watch(struct loop *loop, int fd, uint32_t events, watch_fn *fn, void *ctx,
	       struct watch **ret, struct err *err)
{
	AUTO_FREE struct watch *w = calloc(1, sizeof(*w));
	if (!w)
		return err_set(err, ENOMEM, "out of memory");
	w->loop = loop;
	w->fn = fn;
	w->ctx = ctx;
	w->fd = -1;
	int r = watch_move(w, fd, events, err);
	if (r < 0)
		return r;
	w->next = loop->watches;
	loop->watches = w;
	*ret = TAKE_PTR(w);
	return 0;
}

static void forget(struct watch *w)
{
	if (w->fd >= 0)
		(void)epoll_ctl(w->loop->fd, EPOLL_CTL_DEL, w->fd, NULL);
	w->fd = -1;
}

int watch_move(struct watch *w, int fd, uint32_t events, struct err *err)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	forget(w);
	if (fd >= 0 && epoll_ctl(w->loop->fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return err_sys(err, "watch descriptor %d", fd);
	w->fd = fd;
	w->events = events;
	return 0;
}

int watch_events(struct watch *w, uint32_t events, struct err *err)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	if (w->fd >= 0 && w->events == events)
		return 0;
	if (epoll_ctl(w->loop->fd, EPOLL_CTL_MOD, w->fd, &ev) < 0)
		return err_sys(err, "change watch of descriptor %d", w->fd);
	w->events = events;
	return 0;
}

void watch_remove(struct watch **w)
{
	if (!*w)
		return;
	forget(*w);
	(*w)->fn = NULL;
	(*w)->loop->dirty = true;
	*w = NULL;
}

int loop_timer(struct loop *loop, uint64_t delay_ms, timer_fn *fn, void *ctx, struct timer **ret,
	       struct err *err)
{
	struct timer *t = calloc(1, sizeof(*t));
	if (!t)
		return err_set(err, ENOMEM, "out of memory");
	t->loop = loop;
	t->fn = fn;
	t->ctx = ctx;
	t->due_ms = clock_ms() + delay_ms;

	struct timer **at = &loop->timers;
	while (*at && (*at)->due_ms <= t->due_ms)
		at = &(*at)->next;
	t->next = *at;
	*at = t;
	*ret = t;
	return 0;
}

void timer_cancel(struct timer **t)
{
	if (!*t)
		return;
	struct timer **at = &(*t)->loop->timers;
	while (*at && *at != *t)
		at = &(*at)->next;
	if (*at)
		*at = (*t)->next;
	free(*t);
	*t = NULL;
}

static void sweep(struct loop *loop)
{
	struct watch **at = &loop->watches;

	while (loop->dirty && *at) {
		struct watch *w = *at;
		if (w->fn) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		free(w);
	}
	loop->dirty = false;
}

/* Those due by now; one that a handler starts anew waits for the next round, so that descriptors
 * get their turn. */
static int fire_timers(struct loop *loop, struct err *err)
{
	uint64_t now = clock_ms();

	while (!loop->stopped && loop->timers && loop->timers->due_ms <= now) {
		struct timer *t = loop->timers;
		loop->timers = t->next;
		struct timer fired = *t;
		free(t);
		int r = fired.fn(fired.ctx, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int timeout_ms(const struct loop *loop)
{
	if (!loop->timers)
		return -1;
	uint64_t now = clock_ms();
	uint64_t left = loop->timers->due_ms > now ? loop->timers->due_ms - now : 0;
	return left > 3600000 ? 3600000 : (int)left;
}

int loop_run(struct loop *loop, struct err *err)
{
	enum { BATCH = 16 };

	loop->stopped = false;
	while (!loop->stopped) {
		struct epoll_event ev[BATCH];
		int n = epoll_wait(loop->fd, ev, BATCH, timeout_ms(loop));
		if (n < 0 && errno != EINTR)
			return err_sys(err, "wait for events");
		for (int i = 0; i < n && !loop->stopped; i++) {
			struct watch *w = ev[i].data.ptr;
			int r = w->fn ? w->fn(w->ctx, w->fd, ev[i].events, err) : 0;
			if (r < 0)
				return r;
		}
		sweep(loop);
		int r = fire_timers(loop, err);
		if (r < 0)
			return r;
	}
	return 0;
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}
