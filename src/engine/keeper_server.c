/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/keeper_server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "engine/keeper.h"
#include "engine/keeper_exec.h"
#include "engine/keeper_net.h"
#include "engine/keeper_stdio.h"

enum { CLIENTS_MAX = 256, FDS_MAX = 3 };

struct client {
	struct server *s;
	struct client *next;
	int fd;
	struct watch *watch;
	struct attachment *attachment;
};

enum call_kind { CALL_ANSWER, CALL_EXEC, CALL_WAIT, CALL_STOP };

/* A request whose answer has not been given yet. */
struct call {
	struct server *s;
	struct call *next;
	struct client *client; /* NULL: it hung up */
	enum call_kind kind;
	uint32_t number, verb;
	bool detach;
	bool adds; /* NETWORK: the interface comes */
	char interface[8]; /* NETWORK */
	bool limits; /* UPDATE: it is about the network too, whose rates were these */
	struct network_rates before;
};

struct server {
	struct keeper *k;
	int fd;
	struct watch *watch;
	struct client *clients;
	struct call *calls;
	unsigned n_clients;
};

/* --- answering --- */

static void client_free(struct client *c)
{
	struct server *s = c->s;
	struct client **at = &s->clients;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	s->n_clients--;
	for (struct call *call = s->calls; call; call = call->next) {
		if (call->client == c)
			call->client = NULL;
	}
	watch_remove(&c->watch);
	auto_close(&c->fd);
	stdio_detach(s->k->stdio, &c->attachment);
	free(c);
}

static void call_free(struct call *call)
{
	struct call **at = &call->s->calls;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	execs_forget(call->s->k->execs, call);
	free(call);
}

/* A client that does not read its answers is hung up on by the next event; here its answer is lost.
 */
static void reply(const struct client *c, const struct control_reply *answer)
{
	AUTO_BUF struct buf bytes = BUF_INIT;

	record_encode(&control_reply_record, answer, &bytes);
	if (bytes.bad || bytes.len > CONTROL_PACKET_MAX) {
		const struct control_reply sorry = {.number = answer->number, .code = E2BIG};
		buf_done(&bytes);
		record_encode(&control_reply_record, &sorry, &bytes);
	}
	/* An empty record is no packet: the number is never 0. */
	if (send(c->fd, bytes.data, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		(void)shutdown(c->fd, SHUT_RDWR);
}

static void reply_failure(const struct client *c, uint32_t number, const struct err *failure)
{
	char message[ERR_MSG_MAX];

	memcpy(message, failure->msg, sizeof(message));
	const struct control_reply answer = {.number = number,
					     .code = (uint32_t)failure->code,
					     .message = message};
	reply(c, &answer);
}

static int call_new(struct client *c, const struct control_request *q, enum call_kind kind,
		    struct call **ret, struct err *err)
{
	struct call *call = calloc(1, sizeof(*call));
	if (!call)
		return err_set(err, ENOMEM, "out of memory");
	*call = (struct call){.s = c->s,
			      .next = c->s->calls,
			      .client = c,
			      .kind = kind,
			      .number = q->number,
			      .verb = q->verb,
			      .detach = q->detach};
	c->s->calls = call;
	*ret = call;
	return 0;
}

static void note_pause(struct keeper *k, uint32_t verb)
{
	if (verb != CONTROL_PAUSE && verb != CONTROL_RESUME)
		return;
	k->status.state = verb == CONTROL_PAUSE ? KEEPER_PAUSED : KEEPER_RUNNING;
	keeper_save_status(k);
}

/* isolation_reply of pause, stats, top and report. */
static void on_answer(void *ctx, const struct err *failure, const void *answer)
{
	struct call *call = ctx;
	struct control_reply r = {.number = call->number};
	bool told = !failure && answer;

	if (told && call->verb == CONTROL_STATS)
		r.stats = *(const struct isolation_stats *)answer;
	if (told && call->verb == CONTROL_TOP)
		r.top = *(const struct isolation_top *)answer;
	if (told && call->verb == CONTROL_REPORT)
		r.report = *(const struct machine_report *)answer;
	if (!failure)
		note_pause(call->s->k, call->verb);
	if (call->client && failure)
		reply_failure(call->client, call->number, failure);
	else if (call->client)
		reply(call->client, &r); /* borrows what the answer owns: not released here */
	call_free(call);
}

static void on_exec(void *ctx, uint32_t process, const struct err *failure,
		    const struct process_exit *end)
{
	struct call *call = ctx;
	struct control_reply r = {.number = call->number, .process = process, .ended = end != NULL};

	if (end)
		r.exit = *end;
	if (call->client && failure)
		reply_failure(call->client, call->number, failure);
	else if (call->client)
		reply(call->client, &r);
	if (failure || end || call->detach)
		call_free(call);
}

/* --- requests --- */

struct packet {
	struct control_request q;
	int fds[FDS_MAX];
	size_t n_fds;
};

static int need_running(const struct keeper *k, struct err *err)
{
	if (k->iso && (k->status.state == KEEPER_RUNNING || k->status.state == KEEPER_PAUSED))
		return 0;
	return err_set(err, ESRCH, "it is not running");
}

/* The descriptors in the order of the bits of `streams`; taken from the packet. */
static int take_streams(struct packet *p, struct attach_fds *ret, struct err *err)
{
	int *want[] = {&ret->in, &ret->out, &ret->err};
	size_t used = 0;

	*ret = (struct attach_fds){-1, -1, -1};
	if (p->q.streams & STREAM_TTY)
		p->q.streams = STREAM_IN;
	for (unsigned i = 0; i < 3; i++) {
		if (!(p->q.streams & 1U << i))
			continue;
		if (used == p->n_fds)
			return err_set(err, EBADMSG, "a stream came without its descriptor");
		*want[i] = TAKE_FD(p->fds[used]);
		used++;
	}
	return 0;
}

static int do_attach(struct client *c, struct packet *p, struct err *err)
{
	struct attach_fds fds;

	if (c->attachment)
		return err_set(err, EBUSY, "already attached");
	int r = take_streams(p, &fds, err);
	if (r < 0) {
		auto_close(&fds.in);
		auto_close(&fds.out);
		return r;
	}
	r = stdio_attach(c->s->k->stdio, &fds, p->q.foreground, &c->attachment, err);
	if (r < 0)
		return r;
	const struct control_reply ok = {.number = p->q.number};
	reply(c, &ok);
	keeper_begin(c->s->k);
	return 0;
}

static int do_exec(struct client *c, struct packet *p, struct err *err)
{
	struct exec_request x = {.process = &p->q.exec, .detach = p->q.detach, .told = on_exec};
	struct call *call = NULL;

	int r = need_running(c->s->k, err);
	if (r == 0 && c->s->k->status.state == KEEPER_PAUSED)
		r = err_set(err, EBUSY, "it is paused");
	if (r == 0)
		r = call_new(c, &p->q, CALL_EXEC, &call, err);
	if (r < 0)
		return r;
	x.ctx = call;
	r = take_streams(p, &x.fds, err);
	if (r < 0) {
		auto_close(&x.fds.in);
		auto_close(&x.fds.out);
	} else {
		r = exec_start(c->s->k->execs, &x, err);
	}
	if (r < 0)
		call_free(call);
	return r;
}

static int do_signal(struct client *c, struct packet *p, struct err *err)
{
	struct keeper *k = c->s->k;
	int sig = (int)p->q.signal;

	int r = need_running(k, err);
	if (r < 0)
		return r;
	int stop = k->orders.stop_signal ? (int)k->orders.stop_signal : SIGTERM;
	if (p->q.process == 0 && (sig == SIGKILL || sig == stop))
		k->stopping = true;
	r = k->ops->signal(k->iso, p->q.process, sig, p->q.all, err);
	if (r == 0)
		reply(c, &(const struct control_reply){.number = p->q.number});
	return r;
}

static int do_resize(struct client *c, struct packet *p, struct err *err)
{
	struct keeper *k = c->s->k;

	int r = need_running(k, err);
	if (r == 0)
		r = k->ops->resize(k->iso, p->q.process, p->q.rows, p->q.cols, err);
	if (r == 0)
		reply(c, &(const struct control_reply){.number = p->q.number});
	return r;
}

/* Whether the verb makes sense of a workload as it is now. */
static int may_ask(const struct keeper *k, uint32_t verb, struct err *err)
{
	bool paused = k->status.state == KEEPER_PAUSED;

	if (verb == CONTROL_PAUSE && paused)
		return err_set(err, EALREADY, "it is paused already");
	if (verb == CONTROL_RESUME && !paused)
		return err_set(err, EALREADY, "it is not paused");
	if (verb == CONTROL_REPORT && !k->ops->report)
		return err_set(err, ENOTSUP, "it is no machine");
	return 0;
}

/* Verbs that the isolation answers in its own time. */
static int do_ask(struct client *c, struct packet *p, struct err *err)
{
	struct keeper *k = c->s->k;
	struct call *call = NULL;

	int r = need_running(k, err);
	if (r == 0)
		r = may_ask(k, p->q.verb, err);
	if (r == 0)
		r = call_new(c, &p->q, CALL_ANSWER, &call, err);
	if (r < 0)
		return r;
	if (p->q.verb == CONTROL_STATS)
		k->ops->stats(k->iso, on_answer, call);
	else if (p->q.verb == CONTROL_TOP)
		k->ops->top(k->iso, on_answer, call);
	else if (p->q.verb == CONTROL_REPORT)
		k->ops->report(k->iso, on_answer, call);
	else
		k->ops->pause(k->iso, p->q.verb == CONTROL_PAUSE, on_answer, call);
	return 0;
}

/* isolation_reply of update: what it refuses is not half done. */
static void on_updated(void *ctx, const struct err *failure, const void *answer)
{
	struct call *call = ctx;
	struct keeper *k = call->s->k;
	struct err ignored = ERR_INIT; /* the failure is the one to tell */

	if (failure && call->limits) {
		AUTO_CLOSE int netns = k->ops->netns(k->iso);
		(void)!keeper_net_limit(k->net, &call->before, netns, &ignored);
	}
	on_answer(call, failure, answer);
}

/* The part of the limits that is the network's. */
static int limit_network(struct keeper *k, const struct plan_limits *l, struct call *call,
			 struct err *err)
{
	struct network_rates rates = keeper_net_rates(k->net);

	if (!l->net_ingress && !l->net_egress)
		return 0;
	call->before = rates;
	AUTO_CLOSE int netns = k->ops->netns(k->iso);
	if (!k->ops->interface && netns < 0)
		return err_set(err, ESRCH, "it has no network namespace of its own");
	if (l->net_ingress)
		rates.ingress = plan_rate(l->net_ingress);
	if (l->net_egress)
		rates.egress = plan_rate(l->net_egress);
	int r = keeper_net_limit(k->net, &rates, netns, err);
	call->limits = r == 0;
	return r;
}

static int do_update(struct client *c, struct packet *p, struct err *err)
{
	struct keeper *k = c->s->k;
	struct call *call = NULL;

	int r = need_running(k, err);
	if (r == 0)
		r = call_new(c, &p->q, CALL_ANSWER, &call, err);
	if (r < 0)
		return r;
	r = limit_network(k, &p->q.limits, call, err);
	if (r < 0)
		call_free(call);
	else
		k->ops->update(k->iso, &p->q.limits, on_updated, call);
	return r;
}

static int do_disk(struct client *c, struct packet *p, struct err *err)
{
	struct keeper *k = c->s->k;
	struct call *call = NULL;
	const struct isolation_disk disk = {.fd = p->q.streams ? p->fds[0] : -1,
					    .target = p->q.target,
					    .readonly = p->q.readonly};

	int r = need_running(k, err);
	if (r == 0 && (!disk.target || (disk.fd < 0 && p->q.streams)))
		r = err_set(err, EBADMSG, "a disk without a place or a file");
	if (r == 0)
		r = call_new(c, &p->q, CALL_ANSWER, &call, err);
	if (r == 0)
		k->ops->disk(k->iso, &disk, on_answer, call);
	return r;
}

/* isolation_reply of an interface: what the host has of it follows what is inside. */
static void on_interface(void *ctx, const struct err *failure, const void *answer)
{
	struct call *call = ctx;
	struct keeper *k = call->s->k;
	struct err err = ERR_INIT;

	if ((failure != NULL) == call->adds &&
	    keeper_net_remove(k->net, call->interface, &err) < 0 && !failure)
		failure = &err;
	if (keeper_net_list(k->net, &k->status.interfaces, &err) < 0 && !failure)
		failure = &err;
	keeper_save_status(k);
	on_answer(call, failure, answer);
}

static int change_interface(struct keeper *k, const struct control_request *q, struct call *call,
			    struct err *err)
{
	struct isolation_interface what = {.name = call->interface};
	int r = 0;

	AUTO_CLOSE int netns = k->ops->interface ? -1 : k->ops->netns(k->iso);
	if (!k->ops->interface && netns < 0)
		return err_set(err, ESRCH, "it has no network namespace of its own");
	if (q->address)
		r = keeper_net_add(k->net, call->interface, q->address, netns, &what, err);
	else
		r = keeper_net_has(k->net, call->interface, err);
	if (r < 0)
		return r;
	if (k->ops->interface)
		k->ops->interface(k->iso, &what, on_interface, call);
	else
		on_interface(call, NULL, NULL);
	return 0;
}

static int do_network(struct client *c, struct packet *p, struct err *err)
{
	struct call *call = NULL;

	int r = need_running(c->s->k, err);
	if (r == 0 && (!p->q.target || strlen(p->q.target) >= sizeof(call->interface)))
		r = err_set(err, EBADMSG, "an interface without a name");
	if (r == 0)
		r = call_new(c, &p->q, CALL_ANSWER, &call, err);
	if (r < 0)
		return r;
	call->adds = p->q.address != NULL;
	memcpy(call->interface, p->q.target, strlen(p->q.target));
	r = change_interface(c->s->k, &p->q, call, err);
	if (r < 0)
		call_free(call);
	return r;
}

static int do_wait(struct client *c, struct packet *p, struct err *err)
{
	struct call *call = NULL;

	return call_new(c, &p->q, CALL_WAIT, &call, err);
}

/* The stop itself may end the keeper's work: nothing may be touched behind it. */
static int do_stop(struct client *c, struct packet *p, struct err *err)
{
	struct call *call = NULL;

	int r = call_new(c, &p->q, CALL_STOP, &call, err);
	if (r == 0)
		keeper_stop(c->s->k, (int)p->q.signal, p->q.timeout_ms);
	return r;
}

static int dispatch(struct client *c, struct packet *p, struct err *err)
{
	static const struct {
		enum control_verb verb;
		int (*fn)(struct client *c, struct packet *p, struct err *err);
	} verbs[] = {
		{CONTROL_ATTACH, do_attach}, {CONTROL_EXEC, do_exec},
		{CONTROL_RESIZE, do_resize}, {CONTROL_SIGNAL, do_signal},
		{CONTROL_STOP, do_stop},     {CONTROL_WAIT, do_wait},
		{CONTROL_PAUSE, do_ask},     {CONTROL_RESUME, do_ask},
		{CONTROL_UPDATE, do_update}, {CONTROL_STATS, do_ask},
		{CONTROL_TOP, do_ask},       {CONTROL_REPORT, do_ask},
		{CONTROL_DISK, do_disk},     {CONTROL_NETWORK, do_network},
	};

	if (p->q.number == 0)
		return err_set(err, EBADMSG, "a request without a number");
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (verbs[i].verb == p->q.verb)
			return verbs[i].fn(c, p, err);
	}
	return err_set(err, ENOSYS, "unknown request %u", p->q.verb);
}

/* --- packets --- */

/* 1: a packet came; 0: none now; negative: the client is gone or talks nonsense. */
static int receive(int fd, struct packet *p, struct err *err)
{
	ssize_t len = recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
	if (len < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : err_sys(err, "receive");
	if (len == 0 || len > CONTROL_PACKET_MAX)
		return err_set(err, EBADMSG, "a packet of %zd bytes", len);

	AUTO_FREE char *bytes = malloc((size_t)len);
	if (!bytes)
		return err_set(err, ENOMEM, "out of memory");
	p->n_fds = FDS_MAX;
	ssize_t got = fd_receive(fd, bytes, (size_t)len, p->fds, &p->n_fds);
	if (got < 0)
		return err_sys(err, "receive");
	int r = record_decode(&control_request_record, bytes, (size_t)got, &p->q, err);
	return r < 0 ? r : 1;
}

static int on_request(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct client *c = ctx;
	struct packet p = {.fds = {-1, -1, -1}};
	struct err failure = ERR_INIT;

	int r = receive(fd, &p, &failure);
	if (r < 0) {
		client_free(c);
	} else if (r > 0) {
		uint32_t number = p.q.number;
		if (dispatch(c, &p, &failure) < 0)
			reply_failure(c, number ? number : 1, &failure);
	}
	record_done(&control_request_record, &p.q);
	for (size_t i = 0; i < FDS_MAX; i++)
		auto_close(&p.fds[i]);
	return 0;
}

static bool may_talk(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

static int on_connection(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct server *s = ctx;
	struct err ignored = ERR_INIT; /* out of descriptors or memory: the caller sees a hang-up */

	AUTO_CLOSE int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (peer < 0 || s->n_clients >= CLIENTS_MAX || !may_talk(peer))
		return 0;
	struct client *c = calloc(1, sizeof(*c));
	if (!c)
		return 0;
	c->s = s;
	if (loop_watch(s->k->loop, peer, EPOLLIN, on_request, c, &c->watch, &ignored) < 0) {
		free(c);
		return 0;
	}
	c->fd = TAKE_FD(peer);
	c->next = s->clients;
	s->clients = c;
	s->n_clients++;
	return 0;
}

/* The folder's path may be longer than a socket's name can be: it is named by descriptor. */
static int listen_at(int dirfd, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(err, "create socket");
	if (unlinkat(dirfd, "ctl", 0) < 0 && errno != ENOENT)
		return err_sys(err, "remove old 'ctl'");
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/ctl", dirfd);
	mode_t old = umask(0177);
	int r = bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0
			? err_sys(err, "bind socket 'ctl'")
			: 0;
	(void)umask(old);
	if (r == 0 && listen(fd, 64) < 0)
		r = err_sys(err, "listen on 'ctl'");
	return r < 0 ? r : TAKE_FD(fd);
}

int server_new(struct server **ret, struct keeper *k, struct err *err)
{
	struct server *s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	s->k = k;
	s->fd = listen_at(k->run_fd, err);
	int r = s->fd < 0 ? s->fd
			  : loop_watch(k->loop, s->fd, EPOLLIN, on_connection, s, &s->watch, err);
	if (r < 0) {
		server_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

/* --- the workload's life --- */

static void answer_calls(struct server *s, enum call_kind kind)
{
	for (struct call *call = s->calls, *next; call; call = next) {
		next = call->next;
		if (call->kind != kind)
			continue;
		const struct control_reply r = {.number = call->number,
						.ended = true,
						.exit = s->k->status.exit,
						.code = s->k->status.code,
						.message = s->k->status.code
								   ? s->k->status.exit.reason
								   : NULL};
		if (call->client)
			reply(call->client, &r);
		call_free(call);
	}
}

void server_ended(struct server *s)
{
	answer_calls(s, CALL_WAIT);
}

void server_gone(struct server *s)
{
	answer_calls(s, CALL_WAIT);
	answer_calls(s, CALL_STOP);
	watch_remove(&s->watch);
	(void)unlinkat(s->k->run_fd, "ctl", 0);
	auto_close(&s->fd);
}

void server_free(struct server *s)
{
	if (!s)
		return;
	while (s->calls)
		call_free(s->calls);
	while (s->clients)
		client_free(s->clients);
	watch_remove(&s->watch);
	auto_close(&s->fd);
	free(s);
}
