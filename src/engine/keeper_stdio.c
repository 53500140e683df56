/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output: one chunk per stream is read, logged, and offered to every client's sink. A sink that
 * takes it only in part is watched for room, and until every sink has the chunk the stream is not
 * watched (a watch for nothing would still report hang-ups, again and again). Input: one chunk at a
 * time from any client; while the process takes it only in part, no client is read.
 */
#include "engine/keeper_stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "engine/keeper_sink.h"
#include "engine/log.h"
#include "proto/isolation.h"

enum { CHUNK = 32768, OUTS = 2 };

struct channel {
	struct stdio *s;
	int fd; /* the process's output; -1: ended or not begun */
	struct watch *watch;
	char *chunk; /* CHUNK bytes, made at first use */
	size_t len; /* offered to sinks */
	unsigned pending; /* sinks that have not taken all of it */
	enum log_stream stream;
};

struct outlet {
	struct attachment *a;
	struct channel *from;
	struct sink sink;
	struct watch *watch; /* for room, while pending */
	size_t done; /* bytes of the chunk taken */
};

struct attachment {
	struct stdio *s;
	struct attachment *next;
	struct outlet outlets[OUTS];
	int in; /* -1: none or ended */
	struct watch *in_watch;
	bool foreground;
};

struct stdio {
	struct stdio_config config;
	struct attachment *attachments;
	struct channel outs[OUTS];
	int ends[3]; /* the process's, until it has them */
	int in; /* to the process; -1: closed */
	struct watch *in_watch;
	char *in_chunk;
	size_t in_len, in_done;
	bool running, finishing;
	void (*done)(void *ctx);
	void *done_ctx;
};

static int channel_event(void *ctx, int fd, uint32_t events, struct err *err);
static int source_event(void *ctx, int fd, uint32_t events, struct err *err);

int stdio_new(struct stdio **ret, const struct stdio_config *config, struct err *err)
{
	struct stdio *s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	s->config = *config;
	s->in = -1;
	for (int i = 0; i < OUTS; i++)
		s->outs[i] =
			(struct channel){.s = s, .fd = -1, .stream = i ? LOG_STDERR : LOG_STDOUT};
	for (int i = 0; i < 3; i++)
		s->ends[i] = -1;
	*ret = s;
	return 0;
}

/* --- output --- */

static void maybe_done(struct stdio *s)
{
	for (int i = 0; i < OUTS; i++) {
		if (s->outs[i].fd >= 0 || s->outs[i].pending > 0)
			return;
	}
	if (!s->finishing || !s->done)
		return;
	void (*done)(void *) = s->done;
	s->done = NULL;
	done(s->done_ctx);
}

static void channel_end(struct channel *c)
{
	watch_remove(&c->watch);
	auto_close(&c->fd);
}

static void outlet_close(struct outlet *o)
{
	bool was_pending = o->watch != NULL;

	watch_remove(&o->watch);
	sink_close(&o->sink);
	if (was_pending)
		o->from->pending--;
}

/* Gives the sink what it still lacks of the chunk; false when it is broken (and closed). */
static bool outlet_push(struct outlet *o)
{
	while (o->done < o->from->len) {
		ssize_t n = sink_write(&o->sink, o->from->chunk + o->done, o->from->len - o->done);
		if (n < 0) {
			bool foreground = o->a->foreground;
			outlet_close(o);
			if (foreground) {
				struct stdio_config *config = &o->from->s->config;
				channel_end(o->from); /* the process learns it as from a pipe */
				if (config->broken)
					config->broken(config->ctx);
			}
			return false;
		}
		if (n == 0)
			return true;
		o->done += (size_t)n;
	}
	return true;
}

static int channel_watch(struct channel *c, struct err *err)
{
	if (c->fd < 0 || c->watch || c->pending > 0)
		return 0;
	return loop_watch(c->s->config.loop, c->fd, EPOLLIN, channel_event, c, &c->watch, err);
}

static int outlet_room(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct outlet *o = ctx;
	struct channel *c = o->from;

	if (outlet_push(o)) {
		if (o->done < c->len)
			return 0;
		watch_remove(&o->watch);
		c->pending--;
	}
	if (c->pending > 0)
		return 0;
	if (c->s->finishing)
		return channel_event(c, c->fd, EPOLLIN, err);
	return channel_watch(c, err);
}

static int offer(struct channel *c, struct outlet *o, struct err *err)
{
	o->done = 0;
	if (!sink_is_open(&o->sink) || !outlet_push(o) || o->done == c->len)
		return 0;
	int r = loop_watch(c->s->config.loop, sink_fd(&o->sink), EPOLLOUT, outlet_room, o,
			   &o->watch, err);
	if (r == 0)
		c->pending++;
	return r;
}

static int hand_on(struct channel *c, struct err *err)
{
	int r = c->s->config.log ? log_write(c->s->config.log, c->stream, c->chunk, c->len, err)
				 : 0;

	for (struct attachment *a = c->s->attachments; a && r == 0; a = a->next)
		r = offer(c, &a->outlets[c - c->s->outs], err);
	return r;
}

/* Reads and hands on; once the process is gone, until nothing is left. */
static int channel_event(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct channel *c = ctx;
	struct stdio *s = c->s;

	if (!c->chunk)
		c->chunk = malloc(CHUNK);
	if (!c->chunk)
		return err_set(err, ENOMEM, "out of memory");
	do {
		ssize_t n = c->fd >= 0 ? read(c->fd, c->chunk, CHUNK) : 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN && !s->finishing)
			return 0;
		if (n <= 0) { /* EIO: a terminal without its other end */
			channel_end(c);
			maybe_done(s);
			return 0;
		}
		c->len = (size_t)n;
		int r = hand_on(c, err);
		if (r < 0)
			return r;
	} while (s->finishing && c->pending == 0);
	if (c->pending > 0)
		watch_remove(&c->watch);
	return 0;
}

void stdio_finish(struct stdio *s, void (*done)(void *ctx), void *ctx)
{
	struct err ignored =
		ERR_INIT; /* a client that cannot be served ends like one that hung up */

	s->finishing = true;
	s->done = done;
	s->done_ctx = ctx;
	for (int i = 0; i < OUTS; i++) {
		if (s->outs[i].pending == 0 &&
		    channel_event(&s->outs[i], s->outs[i].fd, EPOLLIN, &ignored) < 0)
			channel_end(&s->outs[i]);
	}
	maybe_done(s);
}

/* --- input --- */

static void source_close(struct attachment *a)
{
	watch_remove(&a->in_watch);
	auto_close(&a->in);
}

static void input_close(struct stdio *s)
{
	watch_remove(&s->in_watch);
	auto_close(&s->in);
	s->in_len = 0;
	for (struct attachment *a = s->attachments; a; a = a->next)
		source_close(a);
}

static int sources_watch(struct stdio *s, struct err *err)
{
	int r = 0;

	for (struct attachment *a = s->attachments; a && r == 0 && s->running; a = a->next) {
		if (a->in >= 0 && !a->in_watch)
			r = loop_watch(s->config.loop, a->in, EPOLLIN, source_event, a,
				       &a->in_watch, err);
	}
	return r;
}

static int input_room(void *ctx, int fd, uint32_t events, struct err *err);

/* Writes what is waiting to the process; while some is left, watches for room instead of reading
 * clients. */
static int input_push(struct stdio *s, struct err *err)
{
	while (s->in_done < s->in_len) {
		ssize_t n = write(s->in, s->in_chunk + s->in_done, s->in_len - s->in_done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			input_close(s);
			return 0;
		}
		if (n < 0) {
			for (struct attachment *a = s->attachments; a; a = a->next)
				watch_remove(&a->in_watch);
			return s->in_watch ? 0
					   : loop_watch(s->config.loop, s->in, EPOLLOUT, input_room,
							s, &s->in_watch, err);
		}
		s->in_done += (size_t)n;
	}
	s->in_len = 0;
	watch_remove(&s->in_watch);
	return sources_watch(s, err);
}

static int input_room(void *ctx, int fd, uint32_t events, struct err *err)
{
	return input_push(ctx, err);
}

static int source_event(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct attachment *a = ctx;
	struct stdio *s = a->s;

	if (s->in < 0) {
		source_close(a);
		return 0;
	}
	if (!s->in_chunk)
		s->in_chunk = malloc(CHUNK);
	if (!s->in_chunk)
		return err_set(err, ENOMEM, "out of memory");
	ssize_t n = source_read(a->in, s->in_chunk, CHUNK);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		source_close(a);
		if (s->config.stdin_once && !s->config.tty)
			input_close(s);
		return 0;
	}
	s->in_len = (size_t)n;
	s->in_done = 0;
	return input_push(s, err);
}

/* --- the process's side --- */

static int make_pipe(int *ret_read, int *ret_write, struct err *err)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_sys(err, "create pipe");
	*ret_read = p[0];
	*ret_write = p[1];
	return 0;
}

static int set_nonblock(int fd, struct err *err)
{
	return fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? err_sys(err, "make a pipe non-blocking") : 0;
}

int stdio_open(struct stdio *s, struct process_io *ret, struct err *err)
{
	int r = 0;

	stdio_reset(s);
	if (!s->config.tty) {
		if (s->config.open_stdin)
			r = make_pipe(&s->ends[0], &s->in, err);
		for (int i = 0; i < OUTS && r == 0; i++) {
			r = make_pipe(&s->outs[i].fd, &s->ends[1 + i], err);
			if (r == 0)
				r = set_nonblock(s->outs[i].fd, err);
		}
		if (r == 0 && s->in >= 0)
			r = set_nonblock(s->in, err);
	}
	if (r < 0) {
		stdio_reset(s);
		return r;
	}
	*ret = (struct process_io){s->ends[0], s->ends[1], s->ends[2]};
	return 0;
}

int stdio_started(struct stdio *s, int console, struct err *err)
{
	int r = 0;

	for (int i = 0; i < 3; i++)
		auto_close(&s->ends[i]);
	if (console >= 0) {
		s->outs[0].fd = console;
		r = set_nonblock(console, err);
		s->in = fcntl(console, F_DUPFD_CLOEXEC, 3); /* epoll knows a descriptor once */
	}
	s->running = true;
	for (int i = 0; i < OUTS && r == 0; i++)
		r = channel_watch(&s->outs[i], err);
	if (r == 0 && s->in < 0)
		input_close(s);
	return r == 0 ? sources_watch(s, err) : r;
}

void stdio_reset(struct stdio *s)
{
	for (struct attachment *a = s->attachments; a; a = a->next) {
		watch_remove(&a->in_watch);
		for (int i = 0; i < OUTS; i++)
			watch_remove(&a->outlets[i].watch);
	}
	for (int i = 0; i < OUTS; i++) {
		channel_end(&s->outs[i]);
		s->outs[i].pending = 0;
		free(s->outs[i].chunk);
		s->outs[i].chunk = NULL;
	}
	watch_remove(&s->in_watch);
	auto_close(&s->in);
	free(s->in_chunk);
	s->in_chunk = NULL;
	s->in_len = 0;
	for (int i = 0; i < 3; i++)
		auto_close(&s->ends[i]);
	s->running = false;
	s->finishing = false;
	s->done = NULL;
}

/* --- clients --- */

int stdio_attach(struct stdio *s, const struct attach_fds *fds, bool foreground,
		 struct attachment **ret, struct err *err)
{
	AUTO_CLOSE int in = fds->in;
	int outs[OUTS] = {fds->out, fds->err};
	struct attachment *a = calloc(1, sizeof(*a));
	if (!a) {
		auto_close(&outs[0]);
		auto_close(&outs[1]);
		return err_set(err, ENOMEM, "out of memory");
	}
	a->s = s;
	a->foreground = foreground;
	if (s->config.tty && in >= 0 && outs[0] < 0)
		outs[0] = fcntl(in, F_DUPFD_CLOEXEC, 3);
	for (int i = 0; i < OUTS; i++) {
		a->outlets[i] = (struct outlet){.a = a, .from = &s->outs[i]};
		sink_open(&a->outlets[i].sink, outs[i]);
	}
	a->in = TAKE_FD(in);
	a->next = s->attachments;
	s->attachments = a;
	*ret = a;
	if (s->running && s->in < 0)
		source_close(a);
	return sources_watch(s, err);
}

void stdio_detach(struct stdio *s, struct attachment **a)
{
	struct err ignored = ERR_INIT; /* the stream is watched again at the next chance */

	if (!*a)
		return;
	struct attachment **at = &s->attachments;
	while (*at != *a)
		at = &(*at)->next;
	*at = (*a)->next;
	if (s->config.stdin_once && !s->config.tty && (*a)->in >= 0)
		input_close(s);
	source_close(*a);
	for (int i = 0; i < OUTS; i++)
		outlet_close(&(*a)->outlets[i]);
	free(*a);
	*a = NULL;

	void (*done)(void *) = TAKE_PTR(s->done); /* which may free s: called last */
	for (int i = 0; i < OUTS; i++) {
		struct channel *c = &s->outs[i];
		if (s->running && c->pending == 0 &&
		    (s->finishing ? channel_event(c, c->fd, EPOLLIN, &ignored)
				  : channel_watch(c, &ignored)) < 0)
			channel_end(c);
	}
	s->done = done;
	maybe_done(s);
}

void stdio_free(struct stdio *s)
{
	if (!s)
		return;
	stdio_reset(s);
	while (s->attachments) {
		struct attachment *a = s->attachments;
		stdio_detach(s, &a);
	}
	free(s);
}
