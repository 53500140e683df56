/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/proc.h"
#include "base/store.h"
#include "base/str.h"
#include "image/image.h"

enum {
	SAID_MAX = 2048,
	ANSWER_MAX = 48 << 10, /* fits a pipe: it is read after all that is said */
	STEP = 16 << 10
};

/* Who hears what the program says on the way; told NULL: nobody. */
struct listener {
	void (*told)(void *ctx, const char *line);
	void *ctx;
};

/* "error ERRNO TEXT", the last line of what it said. */
static int take_error(const char *said, struct err *err)
{
	const char *text = NULL;
	char *words = NULL;

	if (str_prefix(said, TOOL_ERROR, &text)) {
		long code = strtol(text, &words, 10);
		if (code > 0 && code < 4096 && *words == ' ')
			return err_set(err, (int)code, "%s", words + 1);
	}
	return err_set(err, EIO, "hull-image ended without an answer");
}

/* Hands on each line but the error, which is left in said. */
static int read_said(int fd, const struct listener *listener, char said[SAID_MAX], struct err *err)
{
	AUTO_FREE char *line = NULL;
	size_t room = 0;
	FILE *from = fdopen(fd, "r");

	if (!from) {
		auto_close(&fd);
		return err_sys(err, "read what hull-image says");
	}
	for (ssize_t n; (n = getline(&line, &room, from)) > 0;) {
		line[n - (line[n - 1] == '\n')] = '\0';
		if (str_prefix(line, TOOL_ERROR, NULL))
			(void)snprintf(said, SAID_MAX, "%s", line);
		else if (listener->told)
			listener->told(listener->ctx, line);
	}
	(void)fclose(from);
	return 0;
}

static int read_answer(int from, struct buf *answer, struct err *err)
{
	for (;;) {
		char *at = buf_reserve(answer, STEP);
		if (!at)
			return buf_check(answer, err);
		ssize_t n = read_upto(from, at, STEP, "answer of hull-image", err);
		if (n <= 0)
			return (int)n;
		answer->len += (size_t)n;
		answer->data[answer->len] = '\0';
		if (answer->len > ANSWER_MAX)
			return err_set(err, EFBIG, "answer of hull-image: too long");
	}
}

static int pipe_ends(int *ret_from, int *ret_to, struct err *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, "create pipe");
	*ret_from = ends[0];
	*ret_to = ends[1];
	return 0;
}

/* Starts it, listens to what it says, lets it answer, and waits for its end. */
static int run(const char *const *argv, int out, struct buf *answer,
	       const struct listener *listener, char said[SAID_MAX], struct err *err)
{
	AUTO_CLOSE int from = -1;
	AUTO_CLOSE int to = -1;
	AUTO_CLOSE int said_from = -1;
	AUTO_CLOSE int said_to = -1;

	int r = answer ? pipe_ends(&from, &to, err) : 0;
	if (r == 0)
		r = pipe_ends(&said_from, &said_to, err);
	if (r < 0)
		return r;
	pid_t pid = proc_spawn(
		&(struct spawn){.argv = argv, .in = -1, .out = answer ? to : out, .err = said_to},
		err);
	auto_close(&to);
	auto_close(&said_to);
	if (pid < 0)
		return pid;
	struct err bad_read = ERR_INIT; /* the wait comes first */
	r = read_said(TAKE_FD(said_from), listener, said, &bad_read);
	if (r == 0 && answer)
		r = read_answer(from, answer, &bad_read);
	auto_close(&from);
	int status = proc_wait(pid, err);
	return status >= 0 && r < 0 ? err_set(err, bad_read.code, "%s", bad_read.msg) : status;
}

/*
 * Runs `hull-image ROOT args...` (NULL-terminated, the verb first). What it writes goes to `out`,
 * or is appended to *answer when that is not NULL. Returns its status 0 or 1, or its failure.
 */
static int run_heard(const struct store *store, const char *const *args, int out,
		     struct buf *answer, const struct listener *listener, struct err *err)
{
	AUTO_FREE char *program = NULL;
	AUTO_STRV struct strv argv = {0};
	char said[SAID_MAX] = "";

	int r = program_path("hull-image", &program, err);
	if (r == 0)
		r = strv_add(&argv, program, err);
	if (r == 0)
		r = strv_add(&argv, store->root, err);
	for (; r == 0 && *args; args++)
		r = strv_add(&argv, *args, err);
	if (r < 0)
		return r;
	int status = run((const char *const *)argv.v, out, answer, listener, said, err);
	return status <= 1 ? status : take_error(said, err);
}

/* With nobody listening. */
static int run_tool(const struct store *store, const char *const *args, int out, struct buf *answer,
		    struct err *err)
{
	return run_heard(store, args, out, answer, &(struct listener){NULL, NULL}, err);
}

int image_save(const struct store *store, const struct strv *names, int out, struct err *err)
{
	AUTO_STRV struct strv args = {0};

	int r = strv_add(&args, "save", err);
	if (r == 0)
		r = strv_add_all(&args, names, err);
	return r < 0 ? r : run_tool(store, (const char *const *)args.v, out, NULL, err);
}

int image_check(const struct store *store, bool quick, int out, struct err *err)
{
	return run_tool(store, (const char *const[]){"check", quick ? "quick" : NULL, NULL}, out,
			NULL, err);
}

int image_repair(const struct store *store, int out, struct err *err)
{
	return run_tool(store, (const char *const[]){"repair", NULL}, out, NULL, err);
}

int image_sign(const struct store *store, const char *what, const char *repository, const char *key,
	       struct err *err)
{
	return run_tool(store,
			(const char *const[]){"sign", key, what, repository ? repository : "",
					      NULL},
			-1, NULL, err);
}

/* The first line of an answer, in *ret; the caller frees. */
static int take_line(struct buf *answer, char **ret, struct err *err)
{
	if (!answer->data)
		return err_set(err, EIO, "hull-image ended without an answer");
	answer->data[strcspn(answer->data, "\n")] = '\0';
	*ret = buf_take(answer);
	return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

int image_sign_remote(const struct store *store, const struct image_sign_remote *what,
		      char **ret_digest, struct err *err)
{
	AUTO_BUF struct buf answer = BUF_INIT;

	int r = run_tool(store,
			 (const char *const[]){"sign-remote", what->key, what->name,
					       what->repository ? what->repository : "",
					       what->no_verify ? "any" : "checked", NULL},
			 -1, &answer, err);
	return r < 0 ? r : take_line(&answer, ret_digest, err);
}

int image_verify(const struct store *store, const char *what, const char *repository,
		 const struct strv *keys, struct err *why, struct err *err)
{
	AUTO_STRV struct strv args = {0};
	AUTO_BUF struct buf answer = BUF_INIT;

	int r = strv_add(&args, "verify", err);
	if (r == 0)
		r = strv_add(&args, what, err);
	if (r == 0)
		r = strv_add(&args, repository ? repository : "", err);
	if (r == 0)
		r = strv_add_all(&args, keys, err);
	if (r == 0)
		r = run_tool(store, (const char *const *)args.v, -1, &answer, err);
	if (r < 0)
		return r;
	if (r == 0)
		return 1;
	(void)err_set(why, EACCES, "%.*s", (int)strcspn(answer.data ? answer.data : "", "\n"),
		      answer.data ? answer.data : "");
	return 0;
}

int image_push(const struct store *store, const struct image_push *what, char **ret_digest,
	       struct err *err)
{
	AUTO_BUF struct buf answer = BUF_INIT;

	int r = run_heard(store,
			  (const char *const[]){"push", what->image, what->to ? what->to : "",
						what->no_verify ? "any" : "checked", NULL},
			  -1, &answer, &(struct listener){what->told, what->ctx}, err);
	if (r < 0)
		return r;
	return take_line(&answer, ret_digest, err);
}

int image_key_new(const struct store *store, const char *prefix, bool sealed, struct err *err)
{
	return run_tool(store,
			(const char *const[]){"key-new", prefix, sealed ? "sealed" : "plain", NULL},
			-1, NULL, err);
}
