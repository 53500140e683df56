/* SPDX-License-Identifier: Apache-2.0 */
/* The side of hull-registry that is asked: a thread for each question, so that a slow one holds up
 * no other. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "registry/ops.h"

enum { THREADS_MAX = 64 };

/* One question, owned by its thread. */
struct question {
	struct session *s;
	int data, answer;
	char text[REGISTRY_LINE + 1];
};

static atomic_uint running;

static const struct {
	const char *word;
	int words; /* that follow */
	int (*fn)(struct op *op, struct err *err);
} ops[] = {
	{"manifest", 2, op_manifest}, {"referrers", 2, op_referrers},
	{"blob", 3, op_blob},         {"upload", 3, op_upload},
	{"put", 2, op_put},
};

static int carry_out(struct question *q, struct op *op, struct err *err)
{
	char *rest = NULL;
	const char *verb = strtok_r(q->text, " ", &rest);
	int n = 0;

	for (char *w; n < OP_WORDS && (w = strtok_r(NULL, " ", &rest)); n++)
		op->words[n] = w;
	for (size_t i = 0; verb && i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (strcmp(verb, ops[i].word) == 0 && n == ops[i].words)
			return ops[i].fn(op, err);
	}
	return err_set(err, EINVAL, "hull-registry is asked something unknown");
}

/* A registry's words are in it: it stays one line, and no order to a terminal. */
static void one_line(char *text)
{
	for (char *p = text; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	}
}

/* Answers with the failure, or, if that is none, with `what`. */
static void finish(struct question *q, struct err *failure, const char *what)
{
	struct err gone = ERR_INIT; /* nobody waits for the answer */
	char line[REGISTRY_LINE + 16];

	if (failure->code != 0)
		(void)snprintf(line, sizeof(line), "error %d %s", failure->code, failure->msg);
	else
		(void)snprintf(line, sizeof(line), "ok %s", what);
	one_line(line);
	auto_close(&q->data);
	(void)!write_all(q->answer, line, strlen(line), "the answer", &gone);
	auto_close(&q->answer);
}

static void *answer(void *ctx)
{
	struct question *q = ctx;
	struct op op = {.s = q->s, .data = q->data};
	struct err failure = ERR_INIT;

	(void)!carry_out(q, &op, &failure);
	finish(q, &failure, op.answer);
	free(q);
	(void)atomic_fetch_sub(&running, 1);
	return NULL;
}

/* One packet with its two descriptors, into q: 1, or 0 at the end. */
static int receive(int fd, struct question *q, struct err *err)
{
	int fds[2];
	size_t n_fds = 2;

	ssize_t n = fd_receive(fd, q->text, REGISTRY_LINE, fds, &n_fds);
	if (n <= 0)
		return n < 0 ? err_sys(err, "wait for a question") : 0;
	if (n_fds != 2) {
		auto_close(&fds[0]);
		return err_set(err, EPROTO, "a question without its two descriptors");
	}
	q->text[n] = '\0';
	q->data = fds[0];
	q->answer = fds[1];
	return 1;
}

int serve_refusal(int fd, struct err *why, struct err *err)
{
	for (;;) {
		struct question q = {.s = NULL};
		int r = receive(fd, &q, err);
		if (r <= 0)
			return r;
		finish(&q, why, "");
	}
}

int serve(int fd, struct session *s, struct err *err)
{
	pthread_attr_t detached;

	int r = pthread_attr_init(&detached);
	if (r == 0)
		r = pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	if (r != 0)
		return err_set(err, r, "prepare threads: %s", strerrordesc_np(r));
	for (;;) {
		pthread_t thread;
		struct question *q = calloc(1, sizeof(*q));
		if (!q)
			return err_set(err, ENOMEM, "out of memory");
		q->s = s;
		r = receive(fd, q, err);
		if (r <= 0) {
			free(q);
			return r;
		}
		r = atomic_fetch_add(&running, 1) < THREADS_MAX
			    ? pthread_create(&thread, &detached, answer, q)
			    : EAGAIN;
		if (r != 0) /* the pipes close without an answer */
			return err_set(err, r, "start a thread: %s", strerrordesc_np(r));
	}
}
