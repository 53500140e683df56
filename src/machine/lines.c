/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/err.h"
#include "base/loop.h"

enum { LINE_MAX_LEN = 512, CHUNKS_MAX = 64 };

struct lines {
	struct watch *watch;
	int fd;
	lines_fn *fn;
	void *ctx;
	char line[LINE_MAX_LEN];
	size_t len;
};

static void end_line(struct lines *l)
{
	l->line[l->len] = '\0';
	if (l->len > 0)
		l->fn(l->ctx, l->line);
	l->len = 0;
}

static void take(struct lines *l, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char ch = (unsigned char)bytes[i];
		if (ch == '\n')
			end_line(l);
		else if (ch != '\r' && l->len + 1 < sizeof(l->line))
			l->line[l->len++] = (char)(ch < ' ' || ch == 0x7f ? '?' : ch);
	}
}

static ssize_t read_some(struct lines *l)
{
	char chunk[1024];

	ssize_t n = read(l->fd, chunk, sizeof(chunk));
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? -EAGAIN : 0;
	take(l, chunk, (size_t)n);
	return n;
}

static int readable(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct lines *l = ctx;

	(void)fd;
	(void)events;
	(void)err;
	if (read_some(l) == 0)
		watch_remove(&l->watch);
	return 0;
}

int lines_new(struct loop *loop, int fd, lines_fn *fn, void *ctx, struct lines **ret,
	      struct err *err)
{
	AUTO(auto_lines_free) struct lines *l = calloc(1, sizeof(*l));
	if (!l)
		return err_set(err, ENOMEM, "out of memory");
	*l = (struct lines){.fd = fd, .fn = fn, .ctx = ctx};
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, "make a pipe non-blocking");
	int r = loop_watch(loop, fd, EPOLLIN, readable, l, &l->watch, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(l);
	return 0;
}

void lines_free(struct lines *l)
{
	if (!l)
		return;
	watch_remove(&l->watch);
	free(l);
}

void lines_drain(struct lines *l)
{
	for (int i = 0; l && i < CHUNKS_MAX && read_some(l) > 0; i++)
		;
	if (l)
		end_line(l);
}
