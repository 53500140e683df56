/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting hull-import. What it writes on standard output is its answer, one line: "ok ID", or
 * "error ERRNO TEXT".
 */
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
#include "image/image.h"
#include "image/image_priv.h"

/* Appends "FLAG=value" when there is a value. */
static int add_flag(struct strv *args, const char *flag, const char *value, struct err *err)
{
	AUTO_FREE char *arg = NULL;

	if (!value)
		return 0;
	if (asprintf(&arg, "%s=%s", flag, value) < 0) {
		arg = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	return strv_add(args, arg, err);
}

static int add_flags(struct strv *args, const char *flag, const struct strv *values,
		     struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < values->n; i++)
		r = add_flag(args, flag, values->v[i], err);
	return r;
}

static int build_args(const struct store *store, const struct image_import *what, struct strv *args,
		      struct err *err)
{
	AUTO_FREE char *program = NULL;

	int r = program_path("hull-import", &program, err);
	if (r == 0)
		r = strv_add(args, program, err);
	const struct {
		const char *flag, *value;
	} single[] = {
		{"--root", store->root},
		{"--platform", what->platform},
		{"--ref", what->ref},
		{"--cmd", what->cmd},
		{"--entrypoint", what->entrypoint},
		{"--workdir", what->workdir},
		{"--user", what->user},
		{"--stop-signal", what->stop_signal},
	};
	const struct {
		const char *flag;
		const struct strv *values;
	} several[] = {
		{"--env", &what->env},
		{"--expose", &what->expose},
		{"--label", &what->labels},
		{"--volume", &what->volumes},
	};
	for (size_t i = 0; r == 0 && i < sizeof(single) / sizeof(single[0]); i++)
		r = add_flag(args, single[i].flag, single[i].value, err);
	for (size_t i = 0; r == 0 && i < sizeof(several) / sizeof(several[0]); i++)
		r = add_flags(args, several[i].flag, several[i].values, err);
	if (r == 0)
		r = strv_add(args, "--", err);
	if (r == 0)
		r = strv_add(args, what->source, err);
	return r == 0 ? strv_add(args, what->name, err) : r;
}

/* The program's answer and its exit status. */
static int run_worker(const struct strv *args, bool with_stdin, struct buf *answer, struct err *err)
{
	enum { ANSWER_MAX = 2048 };
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, "create pipe");
	AUTO_CLOSE int from = ends[0];
	AUTO_CLOSE int to = ends[1];
	pid_t pid = proc_spawn(&(struct spawn){.argv = (const char *const *)args->v,
					       .in = with_stdin ? STDIN_FILENO : -1,
					       .out = to,
					       .err = STDERR_FILENO},
			       err);
	auto_close(&to);
	if (pid < 0)
		return pid;
	struct err bad_read = ERR_INIT; /* the wait comes first */
	char *at = buf_reserve(answer, ANSWER_MAX);
	ssize_t n = at ? read_upto(from, at, ANSWER_MAX, "answer of hull-import", &bad_read)
		       : buf_check(answer, &bad_read);
	auto_close(&from);
	int status = proc_wait(pid, err);
	if (status >= 0 && n < 0)
		return err_set(err, bad_read.code, "%s", bad_read.msg);
	if (n > 0) {
		answer->len += (size_t)n;
		answer->data[answer->len] = '\0';
	}
	return status;
}

int image_answer_parse(char *answer, int status, char **ret_id, struct err *err)
{
	const char *text = NULL;
	char *end = strchr(answer, '\n');

	if (end)
		*end = '\0';
	if (status == 0 && str_prefix(answer, "ok ", &text) && digest_is_hex(text, strlen(text))) {
		*ret_id = strdup(text);
		return *ret_id ? 0 : err_set(err, ENOMEM, "out of memory");
	}
	if (status == 1 && str_prefix(answer, "error ", &text)) {
		char *words = NULL;
		long code = strtol(text, &words, 10);
		if (code > 0 && code < 4096 && *words == ' ')
			return err_set(err, (int)code, "%s", words + 1);
	}
	return err_set(err, EIO, "hull-import ended with status %d and no answer", status);
}

int image_import(const struct store *store, const struct image_import *what, char **ret_id,
		 struct err *err)
{
	AUTO_REFERENCE struct reference ref = {0};
	AUTO_STRV struct strv args = {0};
	AUTO_BUF struct buf answer = BUF_INIT;

	int r = reference_parse(what->name, &ref, err);
	if (r == 0)
		r = build_args(store, what, &args, err);
	if (r == 0)
		r = run_worker(&args, strcmp(what->source, "-") == 0, &answer, err);
	if (r < 0)
		return r;
	return answer.data ? image_answer_parse(answer.data, r, ret_id, err)
			   : err_set(err, ENOMEM, "out of memory");
}
