/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: epoll over descriptors, with timers. Single-threaded. A handler may add and
 * remove any watch, its own included, at any time: a removed watch is never called again.
 */
#pragma once

#include <stdint.h>
#include <time.h>

#include "base/attr.h"

struct err;
struct loop;
struct watch; /* owned by the loop; valid until watch_remove() or loop_free() */
struct timer; /* likewise */

/* events: what epoll reported (EPOLLIN …). A negative answer ends loop_run() with it. */
typedef int watch_fn(void *ctx, int fd, uint32_t events, struct err *err);
/* Called once; the timer is gone by then. A negative answer ends loop_run() with it. */
typedef int timer_fn(void *ctx, struct err *err);

/* Makes an empty loop; the caller frees it. */
int loop_new(struct loop **ret, struct err *err) HULL_MUST_CHECK;

/* Removes all watches and timers (descriptors stay open); NULL is fine. */
void loop_free(struct loop *loop);

/* Watches fd (borrowed; must be open until removed) for `events`; with events 0 it only waits for
 * hang-ups. With fd -1 it watches nothing until watch_move(). */
int loop_watch(struct loop *loop, int fd, uint32_t events, watch_fn *fn, void *ctx,
	       struct watch **ret, struct err *err) HULL_MUST_CHECK;

/* Changes what is watched for; the kernel is asked only when it is a change. */
int watch_events(struct watch *w, uint32_t events, struct err *err) HULL_MUST_CHECK;

/* Watches another descriptor (-1: none) from now on; allocates nothing. On failure it watches none.
 */
int watch_move(struct watch *w, int fd, uint32_t events, struct err *err) HULL_MUST_CHECK;

/* Stops watching and sets *w to NULL; *w may be NULL. */
void watch_remove(struct watch **w);

/* Calls fn once after delay_ms. */
int loop_timer(struct loop *loop, uint64_t delay_ms, timer_fn *fn, void *ctx, struct timer **ret,
	       struct err *err) HULL_MUST_CHECK;

/* Cancels and sets *t to NULL; *t may be NULL. A timer's own variable must be cleared by its
 * handler. */
void timer_cancel(struct timer **t);

/* Runs until loop_stop() or a handler's failure. */
int loop_run(struct loop *loop, struct err *err) HULL_MUST_CHECK;

/* Makes loop_run() return 0 after the handler at work. */
void loop_stop(struct loop *loop);

/* Milliseconds of CLOCK_MONOTONIC. */
uint64_t clock_ms(void);

/* Microseconds of it. */
uint64_t clock_us(void);

/* CLOCK_MONOTONIC in delay_ms, for waits that take an instant. */
struct timespec clock_after(uint64_t delay_ms);

DEFINE_AUTO(struct loop, loop_free)
