/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies datagrams between a published port and the workload: for each caller a session with a
 * socket of its own towards the workload, so that answers find their way back. Datagrams may be
 * lost; nothing here waits or keeps them.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "network/relay.h"

enum { DATAGRAMS = 16 /* in one turn */, SWEEP_MS = 10000 };

/* Room for one IP_PKTINFO or IPV6_PKTINFO. */
union control {
	size_t alignment; /* of struct cmsghdr, which ends with a flexible array */
	char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

struct session {
	const struct endpoint *endpoint;
	struct session *prev, *next;
	struct sockaddr_storage caller;
	socklen_t caller_len;
	union control local; /* which of our addresses the caller used, to answer from it */
	size_t local_len;
	int fd; /* connected to the workload; owned */
	struct watch *watch;
	uint64_t used_ms;
};

static void unlink_session(struct session *s)
{
	struct ports *set = s->endpoint->set;

	if (s->prev)
		s->prev->next = s->next;
	else
		set->sessions = s->next;
	if (s->next)
		s->next->prev = s->prev;
	s->prev = NULL;
	s->next = NULL;
	set->n_sessions--;
}

static void link_session(struct session *s)
{
	struct ports *set = s->endpoint->set;

	s->next = set->sessions;
	if (s->next)
		s->next->prev = s;
	set->sessions = s;
	set->n_sessions++;
	s->used_ms = clock_ms();
}

static void session_free(struct session *s)
{
	unlink_session(s);
	watch_remove(&s->watch);
	auto_close(&s->fd);
	free(s);
}

/* Ends sessions from the last used on: those idle for too long, and as many as it takes to have at
 * most `max`. */
static void trim(struct ports *set, size_t max)
{
	struct session *last = set->sessions;

	while (last && last->next)
		last = last->next;
	while (last &&
	       (set->n_sessions > max || clock_ms() - last->used_ms >= RELAY_SESSION_IDLE_MS)) {
		struct session *before = last->prev;
		session_free(last);
		last = before;
	}
}

static int sweep(void *ctx, struct err *err)
{
	struct ports *set = ctx;

	set->sweep = NULL;
	trim(set, RELAY_SESSIONS_MAX);
	return set->sessions ? loop_timer(set->loop, SWEEP_MS, sweep, set, &set->sweep, err) : 0;
}

/* From the workload to the caller. */
static int session_ready(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct session *s = ctx;

	(void)events;
	char *scratch = relay_scratch(s->endpoint->set, err);
	if (!scratch)
		return -ENOMEM;
	for (int i = 0; i < DATAGRAMS; i++) {
		ssize_t n = recv(fd, scratch, RELAY_CHUNK, MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) /* nobody listens in the workload: as if the datagram were lost */
			continue;
		struct iovec iov = {.iov_base = scratch, .iov_len = (size_t)n};
		struct msghdr msg = {.msg_name = &s->caller,
				     .msg_namelen = s->caller_len,
				     .msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = s->local_len ? &s->local : NULL,
				     .msg_controllen = s->local_len};
		(void)sendmsg(s->endpoint->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	unlink_session(s);
	link_session(s);
	return 0;
}

/* Keeps the address the caller used; the way out is left to routing. */
static void keep_local(struct session *s, struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);

	if (!c || c->cmsg_len > sizeof(s->local))
		return;
	memcpy(&s->local, c, c->cmsg_len);
	if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
		struct in_pktinfo info;
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		info.ipi_ifindex = 0;
		memcpy(s->local.bytes + CMSG_LEN(0), &info, sizeof(info));
		s->local_len = CMSG_SPACE(sizeof(info));
	} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
		struct in6_pktinfo info;
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		if (!IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
			info.ipi6_ifindex = 0;
		memcpy(s->local.bytes + CMSG_LEN(0), &info, sizeof(info));
		s->local_len = CMSG_SPACE(sizeof(info));
	}
}

static struct session *find(const struct endpoint *e, const struct msghdr *msg)
{
	for (struct session *s = e->set->sessions; s; s = s->next) {
		if (s->endpoint == e && s->caller_len == msg->msg_namelen &&
		    memcmp(&s->caller, msg->msg_name, s->caller_len) == 0)
			return s;
	}
	return NULL;
}

/* A new session for the caller of msg, or NULL: then its datagram is lost. */
static struct session *open_session(const struct endpoint *e, struct msghdr *msg)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(e->port),
				 .sin_addr.s_addr = htonl(e->set->address)};
	struct ports *set = e->set;
	struct err lost = ERR_INIT;

	trim(set, RELAY_SESSIONS_MAX - 1);
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
		return NULL;
	if (!set->sweep && loop_timer(set->loop, SWEEP_MS, sweep, set, &set->sweep, &lost) < 0)
		return NULL;
	AUTO_FREE struct session *s = calloc(1, sizeof(*s));
	if (!s || loop_watch(set->loop, fd, EPOLLIN, session_ready, s, &s->watch, &lost) < 0)
		return NULL;
	s->endpoint = e;
	s->fd = TAKE_FD(fd);
	memcpy(&s->caller, msg->msg_name, msg->msg_namelen);
	s->caller_len = msg->msg_namelen;
	keep_local(s, msg);
	link_session(s);
	return TAKE_PTR(s);
}

/* From callers to the workload. */
static int endpoint_ready(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct endpoint *e = ctx;

	(void)events;
	char *scratch = relay_scratch(e->set, err);
	if (!scratch)
		return -ENOMEM;
	for (int i = 0; i < DATAGRAMS; i++) {
		struct sockaddr_storage from = {.ss_family = AF_UNSPEC};
		union control control = {.bytes = {0}};
		struct iovec iov = {.iov_base = scratch, .iov_len = RELAY_CHUNK};
		struct msghdr msg = {.msg_name = &from,
				     .msg_namelen = sizeof(from),
				     .msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = &control,
				     .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0 || (msg.msg_flags & MSG_TRUNC))
			continue;
		struct session *s = find(e, &msg);
		if (s) {
			unlink_session(s);
			link_session(s);
		} else {
			s = open_session(e, &msg);
		}
		if (s)
			(void)send(s->fd, scratch, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	return 0;
}

int relay_udp_watch(struct endpoint *e, struct err *err)
{
	return loop_watch(e->set->loop, e->fd, EPOLLIN, endpoint_ready, e, &e->watch, err);
}

void relay_udp_stop(struct ports *set)
{
	timer_cancel(&set->sweep);
	while (set->sessions)
		session_free(set->sessions);
}
