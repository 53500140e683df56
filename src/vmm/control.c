/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"

enum { NUMBER_MAX_LEN = 20 /* digits */, HEAD_MAX = NUMBER_MAX_LEN + 8 };

void control_say(struct control_call *call, const char *fmt, ...)
{
	size_t room = sizeof(call->answer) - call->len;
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(call->answer + call->len, room, fmt, ap);
	va_end(ap);
	call->len += n < 0 || (size_t)n >= room ? room : (size_t)n; /* room: it did not fit */
}

/* --- one request --- */

/* Splits the first word off *text, which goes on behind it. */
static char *next_word(char **text)
{
	char *word = *text + strspn(*text, " ");
	char *end = word + strcspn(word, " ");

	*text = end + strspn(end, " ");
	if (*end)
		*end = '\0';
	return word;
}

static bool is_number(const char *word)
{
	size_t n = strlen(word);

	return n > 0 && n <= NUMBER_MAX_LEN && strspn(word, "0123456789") == n;
}

static int carry_out(struct control *c, const char *verb, struct err *err)
{
	for (const struct control_verb *v = c->verbs; v->name; v++) {
		if (strcmp(v->name, verb) != 0)
			continue;
		int r = v->fn(c->ctx, &c->call, err);
		if (r == 0 && c->call.len >= sizeof(c->call.answer))
			r = err_set(err, E2BIG, "the answer is too long");
		return r;
	}
	return err_set(err, EINVAL, "'%.40s' is no request", verb);
}

/* Nobody waits for whoever asks and does not read: such an answer is lost. */
static void answer(struct control *c, const char *number, struct err *failure)
{
	char head[HEAD_MAX];
	int n = snprintf(head, sizeof(head), "%s %s ", number, failure ? "error" : "ok");
	char *text = failure ? failure->msg : c->call.answer;
	struct iovec iov[] = {{head, (size_t)n}, {text, strlen(text)}};

	ssize_t sent = writev(c->fd, iov, 2);
	(void)sent;
}

static int serve(struct control *c, const char **ret_number, struct err *err)
{
	char *text = c->request;
	const char *number = next_word(&text);

	if (!is_number(number))
		return err_set(err, EINVAL, "a request begins with its number");
	*ret_number = number;
	const char *verb = next_word(&text);
	c->call.args = text;
	return carry_out(c, verb, err);
}

/* --- the socket --- */

/* The bytes of the next packet, which is in c->request; 0 at the end, negative when there is none
 * or not all of it came. */
static ssize_t receive(struct control *c)
{
	struct control_call *call = &c->call;

	call->n_fds = CONTROL_FDS_MAX;
	ssize_t n = fd_receive(c->fd, c->request, CONTROL_REQUEST_MAX, call->fds, &call->n_fds);
	if (n > 0)
		c->request[n] = '\0';
	return n;
}

/* Why what came is no request; 0: it is one. */
static int judge(const struct control *c, ssize_t n, int code, struct err *err)
{
	if (n < 0 && code == E2BIG)
		return err_set(err, E2BIG, "not all descriptors of the request came");
	if (n < 0 || strlen(c->request) != (size_t)n)
		return err_set(err, E2BIG, "a request is a text of at most %d bytes",
			       CONTROL_REQUEST_MAX);
	return 0;
}

static int requested(void *ctx, int fd, uint32_t events, struct err *err)
{
	struct control *c = ctx;
	struct err failure = ERR_INIT;
	const char *number = "0"; /* of what has none */
	int r;

	(void)fd;
	(void)events;
	(void)err;
	c->call.len = 0;
	c->call.answer[0] = '\0';
	ssize_t n = receive(c);
	int code = n < 0 ? errno : 0;
	if (code == EAGAIN)
		return 0;
	if (n == 0 || (n < 0 && code != EMSGSIZE && code != E2BIG)) {
		watch_remove(&c->watch);
		return 0;
	}
	r = judge(c, n, code, &failure);
	if (r == 0)
		r = serve(c, &number, &failure);
	for (size_t i = 0; i < c->call.n_fds; i++) /* before whoever sent them hears of it */
		auto_close(&c->call.fds[i]);
	answer(c, number, r < 0 ? &failure : NULL);
	return 0;
}

int control_init(struct control *c, int fd, struct loop *loop, const struct control_verb *verbs,
		 void *ctx, struct err *err)
{
	*c = (struct control){.fd = fd, .verbs = verbs, .ctx = ctx};
	if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return err_sys(err, "control: descriptor %d", fd);
	return loop_watch(loop, fd, EPOLLIN, requested, c, &c->watch, err);
}

void control_done(struct control *c)
{
	watch_remove(&c->watch);
}
