/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies TCP connections between a published port and the workload.
 *
 * A connection has two sides, each with bytes that its socket did not take yet (at most one chunk:
 * while there are any, the other side is not read, so a slow reader slows the writer). The end of
 * one direction is passed on by shutdown() and the other goes on; anything else that ends a side
 * resets both. A side is watched only for what it can do something about, since the kernel reports
 * hang-ups unasked and for ever: not at all while it waits for the other to drain, or when it is
 * finished both ways.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "network/relay.h"

enum { ACCEPTS = 16, READS = 4 /* in one turn, so that others get theirs */ };

struct side {
	struct connection *connection;
	int fd; /* owned */
	struct watch *watch;
	uint32_t events; /* what watch waits for */
	struct buf pending; /* to be written to fd */
	bool eof; /* fd was read to its end */
	bool shut; /* and written to its end */
};

enum { CALLER, WORKLOAD };

struct connection {
	struct ports *set;
	struct connection *prev, *next;
	struct side side[2];
	bool connecting; /* to the workload */
};

static int resume_accepting(void *ctx, struct err *err)
{
	struct ports *set = ctx;
	int r = 0;

	set->pause = NULL;
	for (size_t i = 0; i < set->n_endpoints && r == 0; i++) {
		if (!set->endpoints[i].udp && !set->endpoints[i].watch)
			r = relay_tcp_watch(&set->endpoints[i], err);
	}
	return r;
}

/* Callers queue in the kernel meanwhile. */
static int pause_accepting(struct ports *set, struct err *err)
{
	if (set->pause)
		return 0;
	int r = loop_timer(set->loop, RELAY_PAUSE_MS, resume_accepting, set, &set->pause, err);
	for (size_t i = 0; i < set->n_endpoints && r == 0; i++) {
		if (!set->endpoints[i].udp)
			watch_remove(&set->endpoints[i].watch);
	}
	return r;
}

static void connection_free(struct connection *c)
{
	for (int i = 0; i < 2; i++) {
		watch_remove(&c->side[i].watch);
		auto_close(&c->side[i].fd);
		buf_done(&c->side[i].pending);
	}
	if (c->prev)
		c->prev->next = c->next;
	else
		c->set->connections = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->set->n_connections--;
	free(c);
}

/* Ends it as a failure: both peers get a reset instead of an orderly end. */
static void connection_reset(struct connection *c)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	for (int i = 0; i < 2; i++) {
		if (c->side[i].fd >= 0)
			(void)setsockopt(c->side[i].fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	}
	connection_free(c);
}

static struct side *other(struct side *s)
{
	return &s->connection->side[s == &s->connection->side[CALLER] ? WORKLOAD : CALLER];
}

/* Passes the end of the other side's input on, once all before it is written. */
static void pass_end(struct side *s)
{
	if (!s->shut && s->pending.len == 0 && other(s)->eof) {
		(void)shutdown(s->fd, SHUT_WR);
		s->shut = true;
	}
}

/* Writes to a side, keeping what it does not take; false when it is broken. */
static bool side_write(struct side *s, const char *bytes, size_t n)
{
	ssize_t done = send(s->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (done < 0 && errno != EAGAIN && errno != EINTR)
		return false;
	if (done < 0)
		done = 0;
	buf_add(&s->pending, bytes + done, n - (size_t)done);
	return !s->pending.bad;
}

static bool side_flush(struct side *s)
{
	ssize_t done = send(s->fd, s->pending.data, s->pending.len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (done < 0)
		return errno == EAGAIN || errno == EINTR;
	if ((size_t)done == s->pending.len)
		buf_done(&s->pending); /* an idle connection holds no memory */
	else
		buf_consume(&s->pending, (size_t)done);
	return true;
}

/* Copies from one side to the other while both are willing; false when one is broken. */
static bool side_pump(struct side *s, char *scratch)
{
	struct side *to = other(s);

	for (int i = 0; i < READS && !s->eof && to->pending.len == 0; i++) {
		ssize_t n = recv(s->fd, scratch, RELAY_CHUNK, MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		if (n == 0)
			s->eof = true;
		else if (!side_write(to, scratch, (size_t)n))
			return false;
	}
	return true;
}

static int side_ready(void *ctx, int fd, uint32_t events, struct err *err);

static int side_update(struct side *s, struct err *err)
{
	bool connecting = s->connection->connecting;
	bool to_read = !s->eof && !connecting && other(s)->pending.len == 0;
	bool to_write = s->pending.len > 0 || (connecting && s == &s->connection->side[WORKLOAD]);
	uint32_t events = (to_read ? EPOLLIN : 0U) | (to_write ? EPOLLOUT : 0U);

	if (events == 0 && (!s->eof || s->shut)) {
		watch_remove(&s->watch);
		return 0;
	}
	if (!s->watch)
		return loop_watch(s->connection->set->loop, s->fd, s->events = events, side_ready,
				  s, &s->watch, err);
	if (s->events == events)
		return 0;
	s->events = events;
	return watch_events(s->watch, events, err);
}

/* After each turn: what is to be passed on, watched, or over. A failure here is the connection's
 * only: the keeper goes on. */
static void connection_update(struct connection *c)
{
	struct err failure = ERR_INIT;

	pass_end(&c->side[CALLER]);
	pass_end(&c->side[WORKLOAD]);
	if (c->side[CALLER].shut && c->side[WORKLOAD].shut)
		connection_free(c);
	else if (side_update(&c->side[CALLER], &failure) < 0 ||
		 side_update(&c->side[WORKLOAD], &failure) < 0)
		connection_reset(c);
}

static bool finish_connect(struct connection *c)
{
	int code = 0;
	socklen_t len = sizeof(code);

	if (getsockopt(c->side[WORKLOAD].fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0 || code != 0)
		return false;
	c->connecting = false;
	return true;
}

static int side_ready(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct side *s = ctx;
	struct connection *c = s->connection;
	bool sound = true;

	(void)fd;
	char *scratch = relay_scratch(c->set, err);
	if (!scratch)
		return -ENOMEM;
	if (c->connecting && s == &c->side[WORKLOAD])
		sound = finish_connect(c);
	else if (events & EPOLLERR)
		sound = false;
	if (sound && s->pending.len > 0 && (events & EPOLLOUT))
		sound = side_flush(s);
	if (sound && (events & (EPOLLIN | EPOLLHUP)) && !c->connecting)
		sound = side_pump(s, scratch);
	if (sound)
		connection_update(c);
	else
		connection_reset(c);
	return 0;
}

static int connect_workload(const struct endpoint *e)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(e->port),
				 .sin_addr.s_addr = htonl(e->set->address)};

	AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
		return -1;
	return TAKE_FD(fd);
}

/* Takes fd. A caller that cannot be connected is reset. */
static void connection_start(const struct endpoint *e, int fd)
{
	struct connection *c = calloc(1, sizeof(*c));
	int on = 1;

	if (!c) {
		auto_close(&fd);
		return;
	}
	c->set = e->set;
	c->connecting = true;
	c->next = e->set->connections;
	if (c->next)
		c->next->prev = c;
	e->set->connections = c;
	e->set->n_connections++;
	c->side[CALLER] = (struct side){.connection = c, .fd = fd};
	c->side[WORKLOAD] = (struct side){.connection = c, .fd = connect_workload(e)};
	if (c->side[WORKLOAD].fd < 0) {
		connection_reset(c);
		return;
	}
	for (int i = 0; i < 2; i++) /* a peer that vanished is noticed some day */
		(void)setsockopt(c->side[i].fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	connection_update(c);
}

static int endpoint_ready(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct endpoint *e = ctx;

	(void)events;
	for (int i = 0; i < ACCEPTS; i++) {
		if (e->set->n_connections >= RELAY_CONNECTIONS_MAX)
			return pause_accepting(e->set, err);
		int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (c >= 0)
			connection_start(e, c);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			return pause_accepting(e->set, err);
		else if (errno == EAGAIN)
			return 0;
	}
	return 0;
}

int relay_tcp_watch(struct endpoint *e, struct err *err)
{
	return loop_watch(e->set->loop, e->fd, EPOLLIN, endpoint_ready, e, &e->watch, err);
}

void relay_tcp_stop(struct ports *set)
{
	timer_cancel(&set->pause);
	while (set->connections)
		connection_reset(set->connections);
}
