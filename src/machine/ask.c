/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "base/str.h"

enum { DRAIN_PACKETS = 256 };

/* A request without an answer. */
struct ask {
	struct asker *asker;
	struct ask *next;
	uint64_t number;
	struct timer *patience;
	ask_fn *fn;
	void *ctx;
};

struct asker {
	struct loop *loop;
	int fd;
	struct watch *watch; /* NULL: the monitor hung up, or is heard no more */
	asker_line_fn *said;
	void *ctx;
	struct ask *asks;
	unsigned n_asks, noise;
	uint64_t last_number;
	bool freed; /* by a function that was being called */
	unsigned busy; /* such calls */
	char packet[ASK_ANSWER_MAX + 1];
};

/* --- requests --- */

static void forget(struct ask *ask)
{
	struct ask **at = &ask->asker->asks;

	while (*at != ask)
		at = &(*at)->next;
	*at = ask->next;
	ask->asker->n_asks--;
	timer_cancel(&ask->patience);
	free(ask);
}

static void release(struct asker *a)
{
	if (a->freed && a->busy == 0)
		free(a);
}

/* The asker may be freed by whom it tells: whoever calls this looks at a->freed afterwards. */
static void tell(struct ask *ask, const struct err *failure, const char *answer)
{
	ask_fn *fn = ask->fn;
	void *ctx = ask->ctx;

	forget(ask);
	fn(ctx, failure, answer);
}

static void fail_all(struct asker *a, const char *why)
{
	struct err failure = ERR_INIT;

	(void)err_set(&failure, ECONNRESET, "%s", why);
	a->busy++;
	while (a->asks)
		tell(a->asks, &failure, NULL);
	a->busy--;
}

static int patience_over(void *ctx, struct err *err)
{
	struct ask *ask = ctx;
	struct asker *a = ask->asker;
	struct err failure = ERR_INIT;

	(void)err;
	ask->patience = NULL;
	(void)err_set(&failure, ETIMEDOUT, "the monitor does not answer");
	a->busy++;
	tell(ask, &failure, NULL);
	a->busy--;
	release(a);
	return 0;
}

static bool send_packet(const struct asker *a, uint64_t number, const struct ask_request *request)
{
	AUTO_FREE char *text = NULL;
	int len = asprintf(&text, "%" PRIu64 " %s", number, request->text);

	return len >= 0 &&
	       fd_send(a->fd, text, (size_t)len, request->fds, request->n_fds, MSG_DONTWAIT) >= 0;
}

static int ask_new(struct asker *a, const struct ask_request *request, ask_fn *fn, void *ctx,
		   struct ask **ret, struct err *err)
{
	if (!a->watch)
		return err_set(err, ECONNRESET, "the monitor listens no more");
	if (a->n_asks == ASKS_MAX)
		return err_set(err, EBUSY, "the monitor has too much to answer");
	struct ask *ask = malloc(sizeof(*ask));
	if (!ask)
		return err_set(err, ENOMEM, "out of memory");
	*ask = (struct ask){
		.asker = a, .next = a->asks, .number = a->last_number + 1, .fn = fn, .ctx = ctx};
	uint64_t patience = request->patience_ms ? request->patience_ms : ASK_MS;
	int r = loop_timer(a->loop, patience, patience_over, ask, &ask->patience, err);
	if (r < 0) {
		free(ask);
		return r;
	}
	a->last_number++;
	a->asks = ask;
	a->n_asks++;
	*ret = ask;
	return 0;
}

void asker_ask(struct asker *a, const struct ask_request *request, ask_fn *fn, void *ctx)
{
	struct err failure = ERR_INIT;
	struct ask *ask = NULL;

	int r = request->n_fds > ASK_FDS_MAX
			? err_set(&failure, E2BIG, "too many descriptors for one request")
			: ask_new(a, request, fn, ctx, &ask, &failure);
	if (r < 0 || !ask) {
		fn(ctx, &failure, NULL);
		return;
	}
	if (send_packet(a, ask->number, request))
		return;
	(void)err_sys(&failure, "ask the monitor");
	forget(ask);
	fn(ctx, &failure, NULL);
}

/* --- answers --- */

static struct ask *find(const struct asker *a, uint64_t number)
{
	struct ask *ask = a->asks;

	while (ask && ask->number != number)
		ask = ask->next;
	return ask;
}

/* "NUMBER ok [ANSWER]" or "NUMBER error TEXT"; whether it answers a request. */
static bool take_answer(struct asker *a, const char *packet)
{
	struct err failure = ERR_INIT;
	const char *text;
	char *end;

	uint64_t number = strtoull(packet, &end, 10);
	struct ask *ask = find(a, number);
	if (!ask || *end != ' ')
		return false;
	end++;
	if (str_prefix(end, "ok ", &text)) {
		tell(ask, NULL, text);
	} else if (str_prefix(end, "error ", &text)) {
		(void)err_set(&failure, EIO, "%.*s", (int)strcspn(text, "\n"), text);
		tell(ask, &failure, NULL);
	} else {
		return false;
	}
	return true;
}

/* What comes from a machine is shown to people: no byte of it may steer their terminal. */
static void clean(char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char ch = (unsigned char)text[i];
		if ((ch < ' ' && ch != '\n') || ch == 0x7f)
			text[i] = '?';
	}
	text[n] = '\0';
}

static void take_packet(struct asker *a, size_t n)
{
	clean(a->packet, n);
	if (a->packet[0] >= '0' && a->packet[0] <= '9') {
		a->noise += !take_answer(a, a->packet);
		return;
	}
	a->noise++; /* its last word is the only one that is due */
	a->packet[strcspn(a->packet, "\n")] = '\0';
	a->said(a->ctx, a->packet);
}

/* One packet; how many bytes came, 0 at the end. */
static ssize_t read_packet(struct asker *a)
{
	ssize_t n = recv(a->fd, a->packet, ASK_ANSWER_MAX, MSG_DONTWAIT);

	if (n < 0 && errno == ECONNRESET) /* it left a request unread; what it said comes after */
		n = recv(a->fd, a->packet, ASK_ANSWER_MAX, MSG_DONTWAIT);
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? -EAGAIN : 0;
	if (n > 0) {
		a->busy++;
		take_packet(a, (size_t)n);
		a->busy--;
	}
	return n;
}

static int readable(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct asker *a = ctx;

	(void)fd;
	(void)events;
	(void)err;
	ssize_t n = read_packet(a);
	if (!a->freed && (n == 0 || a->noise > ASK_NOISE_MAX)) {
		watch_remove(&a->watch);
		fail_all(a, n == 0 ? "the monitor has gone" : "the monitor talks nonsense");
	}
	release(a);
	return 0;
}

void asker_end(struct asker *a)
{
	if (!a)
		return;
	a->busy++;
	for (int i = 0; i < DRAIN_PACKETS && !a->freed && read_packet(a) > 0; i++)
		;
	if (!a->freed) {
		watch_remove(&a->watch);
		fail_all(a, "the monitor has gone");
	}
	a->busy--;
	release(a);
}

int asker_new(struct loop *loop, int fd, asker_line_fn *said, void *ctx, struct asker **ret,
	      struct err *err)
{
	AUTO(auto_asker_free) struct asker *a = calloc(1, sizeof(*a));

	if (!a)
		return err_set(err, ENOMEM, "out of memory");
	*a = (struct asker){.loop = loop, .fd = fd, .said = said, .ctx = ctx};
	int r = loop_watch(loop, fd, EPOLLIN, readable, a, &a->watch, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(a);
	return 0;
}

void asker_free(struct asker *a)
{
	if (!a)
		return;
	watch_remove(&a->watch);
	while (a->asks)
		forget(a->asks);
	a->freed = true;
	release(a);
}
