/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"

/* What the handlers of these tests act on and note down. */
struct scene {
	struct loop *loop;
	struct watch *a, *b;
	struct timer *timer;
	int calls, timer_calls;
	uint32_t events;
	int pipe_a[2], pipe_b[2];
	char order[8];
};

static struct scene scene_make(void)
{
	struct err err = ERR_INIT;
	struct scene s = {.pipe_a = {-1, -1}, .pipe_b = {-1, -1}};

	if (loop_new(&s.loop, &err) < 0 || pipe2(s.pipe_a, O_CLOEXEC) < 0 ||
	    pipe2(s.pipe_b, O_CLOEXEC) < 0)
		s.loop = NULL;
	return s;
}

static void scene_done(struct scene *s)
{
	loop_free(s->loop);
	for (int i = 0; i < 2; i++) {
		auto_close(&s->pipe_a[i]);
		auto_close(&s->pipe_b[i]);
	}
}

#define SCENE(s) AUTO(scene_done) struct scene s = scene_make()

static bool poke(int fd)
{
	return write(fd, "x", 1) == 1;
}

static int stop_after_one(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct scene *s = ctx;
	char c;

	s->calls++;
	s->events = events;
	if (read(fd, &c, 1) < 0)
		return err_sys(err, "read");
	loop_stop(s->loop);
	return 0;
}

TEST(a_readable_descriptor_calls_its_handler)
{
	struct err err = ERR_INIT;
	SCENE(s);

	EXPECT(s.loop != NULL);
	EXPECT_EQ(loop_watch(s.loop, s.pipe_a[0], EPOLLIN, stop_after_one, &s, &s.a, &err), 0);
	EXPECT(poke(s.pipe_a[1]));
	EXPECT_EQ(loop_run(s.loop, &err), 0);
	EXPECT_EQ(s.calls, 1);
	EXPECT(s.events & EPOLLIN);
}

TEST(a_hang_up_is_reported_though_nothing_is_watched_for)
{
	struct err err = ERR_INIT;
	SCENE(s);

	EXPECT(s.loop != NULL);
	EXPECT_EQ(loop_watch(s.loop, s.pipe_a[0], 0, stop_after_one, &s, &s.a, &err), 0);
	auto_close(&s.pipe_a[1]);
	EXPECT_EQ(loop_run(s.loop, &err), 0);
	EXPECT(s.events & EPOLLHUP);
}

TEST(a_descriptor_that_cannot_be_watched_is_said)
{
	struct err err = ERR_INIT;
	SCENE(s);

	EXPECT(s.loop != NULL);
	EXPECT_EQ(loop_watch(s.loop, INT_MAX, EPOLLIN, stop_after_one, &s, &s.a, &err), -EBADF);
	EXPECT_STR(err.msg, "watch descriptor 2147483647: Bad file descriptor");
	EXPECT(s.a == NULL);
	err = ERR_INIT;
	EXPECT_EQ(loop_watch(s.loop, s.pipe_a[0], EPOLLIN, stop_after_one, &s, &s.a, &err), 0);
	EXPECT_EQ(loop_watch(s.loop, s.pipe_a[0], EPOLLIN, stop_after_one, &s, &s.b, &err),
		  -EEXIST);
}

static int fail(void *ctx, int fd, uint32_t events, struct err *err)
{
	return err_set(err, EPROTO, "the handler of %d fails", fd);
}

TEST(a_failing_handler_ends_the_run_with_its_error)
{
	struct err err = ERR_INIT;
	SCENE(s);

	EXPECT(s.loop != NULL);
	EXPECT_EQ(loop_watch(s.loop, s.pipe_a[0], EPOLLIN, fail, &s, &s.a, &err), 0);
	EXPECT(poke(s.pipe_a[1]));
	EXPECT_EQ(loop_run(s.loop, &err), -EPROTO);
	EXPECT(strncmp(err.msg, "the handler of ", 15) == 0);
}

static int remove_both(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct scene *s = ctx;

	s->calls++;
	watch_remove(&s->a);
	watch_remove(&s->b);
	return 0;
}

static int stop_on_time(void *ctx, struct err *err)
{
	struct scene *s = ctx;

	s->timer = NULL;
	s->timer_calls++;
	loop_stop(s->loop);
	return 0;
}

TEST(a_handler_may_remove_itself_and_another_of_the_same_moment)
{
	struct err err = ERR_INIT;
	SCENE(s);

	EXPECT(s.loop != NULL);
	EXPECT_EQ(loop_watch(s.loop, s.pipe_a[0], EPOLLIN, remove_both, &s, &s.a, &err), 0);
	EXPECT_EQ(loop_watch(s.loop, s.pipe_b[0], EPOLLIN, remove_both, &s, &s.b, &err), 0);
	EXPECT_EQ(loop_timer(s.loop, 30, stop_on_time, &s, &s.timer, &err), 0);
	EXPECT(poke(s.pipe_a[1]) && poke(s.pipe_b[1]));
	EXPECT_EQ(loop_run(s.loop, &err), 0);
	EXPECT_EQ(s.calls, 1); /* whichever came first removed the other */
	EXPECT(s.a == NULL && s.b == NULL);
}

static int watch_anew(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct scene *s = ctx;

	watch_remove(&s->a);
	return loop_watch(s->loop, fd, EPOLLIN, stop_after_one, s, &s->a, err);
}

TEST(a_handler_may_watch_its_descriptor_anew)
{
	struct err err = ERR_INIT;
	SCENE(s);

	EXPECT(s.loop != NULL);
	EXPECT_EQ(loop_watch(s.loop, s.pipe_a[0], EPOLLIN, watch_anew, &s, &s.a, &err), 0);
	EXPECT(poke(s.pipe_a[1]));
	EXPECT_EQ(loop_run(s.loop, &err), 0);
	EXPECT_EQ(s.calls, 1);
	EXPECT(s.a != NULL);
}

TEST(what_is_watched_for_can_be_changed)
{
	struct err err = ERR_INIT;
	SCENE(s);

	EXPECT(s.loop != NULL);
	EXPECT_EQ(loop_watch(s.loop, s.pipe_a[0], EPOLLIN, stop_after_one, &s, &s.a, &err), 0);
	EXPECT_EQ(watch_events(s.a, 0, &err), 0);
	EXPECT_EQ(loop_timer(s.loop, 20, stop_on_time, &s, &s.timer, &err), 0);
	EXPECT(poke(s.pipe_a[1]));
	EXPECT_EQ(loop_run(s.loop, &err), 0);
	EXPECT_EQ(s.calls, 0);
	EXPECT_EQ(watch_events(s.a, EPOLLIN, &err), 0);
	EXPECT_EQ(loop_run(s.loop, &err), 0);
	EXPECT_EQ(s.calls, 1);
}

TEST(removing_nothing_is_fine)
{
	struct watch *w = NULL;
	struct timer *t = NULL;

	watch_remove(&w);
	timer_cancel(&t);
	loop_free(NULL);
	EXPECT(w == NULL && t == NULL);
}

TEST(a_timer_fires_once_and_not_early)
{
	struct err err = ERR_INIT;
	SCENE(s);

	EXPECT(s.loop != NULL);
	uint64_t began = clock_ms();
	EXPECT_EQ(loop_timer(s.loop, 40, stop_on_time, &s, &s.timer, &err), 0);
	EXPECT_EQ(loop_run(s.loop, &err), 0);
	EXPECT(clock_ms() - began >= 40);
	EXPECT_EQ(s.timer_calls, 1);
}

static int note_a(void *ctx, struct err *err)
{
	struct scene *s = ctx;

	s->order[s->calls++] = 'a';
	return 0;
}

static int note_b(void *ctx, struct err *err)
{
	struct scene *s = ctx;

	s->order[s->calls++] = 'b';
	return 0;
}

TEST(timers_fire_in_the_order_of_their_time_and_equals_in_that_of_their_making)
{
	struct err err = ERR_INIT;
	struct timer *t[4];
	SCENE(s);

	EXPECT(s.loop != NULL);
	EXPECT_EQ(loop_timer(s.loop, 30, stop_on_time, &s, &s.timer, &err), 0);
	EXPECT_EQ(loop_timer(s.loop, 10, note_b, &s, &t[0], &err), 0);
	EXPECT_EQ(loop_timer(s.loop, 0, note_a, &s, &t[1], &err), 0);
	EXPECT_EQ(loop_timer(s.loop, 0, note_a, &s, &t[2], &err), 0);
	EXPECT_EQ(loop_timer(s.loop, 5, note_b, &s, &t[3], &err), 0);
	EXPECT_EQ(loop_run(s.loop, &err), 0);
	EXPECT_STR(s.order, "aabb");
}

TEST(a_cancelled_timer_does_not_fire)
{
	struct err err = ERR_INIT;
	struct timer *first, *middle, *last;
	SCENE(s);

	EXPECT(s.loop != NULL);
	EXPECT_EQ(loop_timer(s.loop, 5, note_a, &s, &first, &err), 0);
	EXPECT_EQ(loop_timer(s.loop, 10, note_a, &s, &middle, &err), 0);
	EXPECT_EQ(loop_timer(s.loop, 15, note_a, &s, &last, &err), 0);
	EXPECT_EQ(loop_timer(s.loop, 30, stop_on_time, &s, &s.timer, &err), 0);
	timer_cancel(&middle);
	timer_cancel(&first);
	timer_cancel(&last);
	EXPECT(first == NULL && middle == NULL && last == NULL);
	EXPECT_EQ(loop_run(s.loop, &err), 0);
	EXPECT_EQ(s.calls, 0);
}

static int timer_fails(void *ctx, struct err *err)
{
	return err_set(err, ETIME, "too late");
}

TEST(a_failing_timer_ends_the_run_with_its_error)
{
	struct err err = ERR_INIT;
	SCENE(s);

	EXPECT(s.loop != NULL);
	EXPECT_EQ(loop_timer(s.loop, 0, timer_fails, &s, &s.timer, &err), 0);
	EXPECT_EQ(loop_run(s.loop, &err), -ETIME);
	EXPECT_STR(err.msg, "too late");
}

static int again_at_once(void *ctx, struct err *err)
{
	struct scene *s = ctx;

	s->timer_calls++;
	return loop_timer(s->loop, 0, again_at_once, s, &s->timer, err);
}

TEST(a_timer_that_starts_itself_at_once_does_not_starve_descriptors)
{
	struct err err = ERR_INIT;
	SCENE(s);

	EXPECT(s.loop != NULL);
	EXPECT_EQ(loop_watch(s.loop, s.pipe_a[0], EPOLLIN, stop_after_one, &s, &s.a, &err), 0);
	EXPECT_EQ(loop_timer(s.loop, 0, again_at_once, &s, &s.timer, &err), 0);
	EXPECT(poke(s.pipe_a[1]));
	EXPECT_EQ(loop_run(s.loop, &err), 0);
	EXPECT_EQ(s.calls, 1);
}

static int count_some(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct scene *s = ctx;

	watch_remove(&s->a);
	if (++s->calls == 1000)
		loop_stop(s->loop);
	return loop_watch(s->loop, fd, EPOLLIN, count_some, s, &s->a, err);
}

TEST(watches_removed_and_made_a_thousand_times_are_freed)
{
	struct err err = ERR_INIT;
	SCENE(s);

	EXPECT(s.loop != NULL);
	EXPECT_EQ(loop_watch(s.loop, s.pipe_a[0], EPOLLIN, count_some, &s, &s.a, &err), 0);
	EXPECT(poke(s.pipe_a[1]));
	EXPECT_EQ(loop_run(s.loop, &err), 0);
	EXPECT_EQ(s.calls, 1000);
}
