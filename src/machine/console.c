/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest may write without end. Reading pauses when more than WINDOW_BYTES came within WINDOW_MS:
 * the pipe fills up and the guest's serial line waits, so that neither memory nor time of the
 * keeper are a guest's to take. A panic's lines are the last ones and come through all the same.
 */
#include "machine/console.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/err.h"
#include "base/loop.h"
#include "base/str.h"

#define PANIC_MARK "Kernel panic - not syncing: "

enum { WINDOW_MS = 100, WINDOW_BYTES = 16 * 1024, CHUNK = 4096, DRAIN_BYTES = 256 * 1024 };

struct console {
	struct loop *loop;
	struct watch *watch;
	struct timer *timer; /* runs while reading is paused */
	int fd;
	console_fn *fn;
	void *ctx;
	uint64_t window_start;
	size_t window;
	char line[CONSOLE_LINE_MAX];
	size_t len;
	char last[CONSOLE_LINE_MAX];
	char panic[CONSOLE_LINE_MAX];
};

/* "[    1.234567] " in front of kernel messages tells people nothing here. */
static const char *without_time(const char *line)
{
	const char *end = line[0] == '[' ? strstr(line, "] ") : NULL;

	return end && strspn(line + 1, " 0123456789.") == (size_t)(end - line - 1) ? end + 2 : line;
}

static void end_line(struct console *c)
{
	c->line[c->len] = '\0';
	c->len = 0;
	if (c->line[0] == '\0')
		return;
	const char *text = without_time(c->line);
	const char *mark = strstr(text, PANIC_MARK);
	if (mark && c->panic[0] == '\0')
		(void)snprintf(c->panic, sizeof(c->panic), "%s", mark + sizeof(PANIC_MARK) - 1);
	/* "---[ end Kernel panic …" and the like repeat what was said */
	if (!str_prefix(text, "---[ ", NULL))
		(void)snprintf(c->last, sizeof(c->last), "%s", text);
	c->fn(c->ctx, c->line);
}

static void take(struct console *c, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char ch = bytes[i];
		if (ch == '\n') {
			end_line(c);
			continue;
		}
		if (ch == '\r' || c->len + 1 >= sizeof(c->line)) /* cut */
			continue;
		c->line[c->len++] = (char)((unsigned char)ch < ' ' || ch == 0x7f ? '?' : ch);
	}
}

/* Returns how many bytes came, 0 at the end, -EAGAIN when there are none now. */
static ssize_t read_some(struct console *c)
{
	char chunk[CHUNK];

	ssize_t n = read(c->fd, chunk, sizeof(chunk));
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? -EAGAIN : 0;
	take(c, chunk, (size_t)n);
	return n;
}

static int go_on(void *ctx, struct err *err)
{
	struct console *c = ctx;

	c->timer = NULL;
	return watch_events(c->watch, EPOLLIN, err);
}

static int readable(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct console *c = ctx;

	(void)fd;
	(void)events;
	ssize_t n = read_some(c);
	if (n == 0) {
		timer_cancel(&c->timer);
		watch_remove(&c->watch);
		return 0;
	}
	uint64_t now = clock_ms();
	if (now - c->window_start >= WINDOW_MS) {
		c->window_start = now;
		c->window = 0;
	}
	c->window += n > 0 ? (size_t)n : 0;
	if (c->window < WINDOW_BYTES || c->timer)
		return 0;
	int r = watch_events(c->watch, 0, err);
	return r < 0 ? r : loop_timer(c->loop, WINDOW_MS, go_on, c, &c->timer, err);
}

int console_new(struct loop *loop, int fd, console_fn *fn, void *ctx, struct console **ret,
		struct err *err)
{
	AUTO(auto_console_free) struct console *c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(err, ENOMEM, "out of memory");
	*c = (struct console){.loop = loop, .fd = fd, .fn = fn, .ctx = ctx};
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, "make the console non-blocking");
	int r = loop_watch(loop, fd, EPOLLIN, readable, c, &c->watch, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}

void console_free(struct console *c)
{
	if (!c)
		return;
	timer_cancel(&c->timer);
	watch_remove(&c->watch);
	free(c);
}

void console_drain(struct console *c)
{
	for (size_t total = 0; total < DRAIN_BYTES;) {
		ssize_t n = read_some(c);
		if (n <= 0)
			break;
		total += (size_t)n;
	}
	if (c->len > 0)
		end_line(c);
}

const char *console_panic(const struct console *c)
{
	return c->panic[0] ? c->panic : NULL;
}

const char *console_last(const struct console *c)
{
	return c->last;
}
