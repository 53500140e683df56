/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting hull-import. What it writes on standard output is its answer: "ok ID", or "error ERRNO
 * TEXT"; before that, when it loads, a line "loaded ID NAME" for each name.
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
		{"--load", what->load},
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
	return r == 0 && what->name ? strv_add(args, what->name, err) : r;
}

/* The program's answer and its exit status. */
static int run_worker(const struct strv *args, bool with_stdin, struct buf *answer, struct err *err)
{
	enum { ANSWER_MAX = 1 << 20 };
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

int image_pull(const struct store *store, const struct image_pull *what, char **ret_id,
	       struct err *err)
{
	AUTO_FREE char *program = NULL;
	AUTO_STRV struct strv args = {0};
	AUTO_BUF struct buf answer = BUF_INIT;

	int r = program_path("hull-import", &program, err);
	if (r == 0)
		r = strv_add(&args, program, err);
	if (r == 0)
		r = strv_add(&args, "--pull", err);
	if (r == 0 && what->quiet)
		r = strv_add(&args, "--quiet", err);
	if (r == 0 && what->no_verify)
		r = strv_add(&args, "--any", err);
	if (r == 0)
		r = add_flag(&args, "--root", store->root, err);
	if (r == 0)
		r = add_flag(&args, "--platform", what->platform, err);
	if (r == 0)
		r = strv_add(&args, "--", err);
	if (r == 0)
		r = strv_add(&args, what->name, err);
	if (r == 0)
		r = strv_add(&args, what->name, err);
	if (r == 0)
		r = run_worker(&args, false, &answer, err);
	if (r < 0)
		return r;
	return answer.data ? image_answer_parse(answer.data, r, ret_id, err)
			   : err_set(err, ENOMEM, "out of memory");
}

/* "loaded ID NAME" lines into *loaded; returns what follows them. */
static int take_loaded(char *answer, struct strv *loaded, char **ret_rest, struct err *err)
{
	const char *text = NULL;

	while (str_prefix(answer, "loaded ", &text)) {
		char *end = strchr(answer, '\n');
		if (!end)
			break;
		*end = '\0';
		int r = strv_add(loaded, text, err);
		if (r < 0)
			return r;
		answer = end + 1;
	}
	*ret_rest = answer;
	return 0;
}

int image_load(const struct store *store, const char *source, const char *platform,
	       struct strv *loaded, struct err *err)
{
	const struct image_import what = {.source = source, .platform = platform, .load = "all"};
	AUTO_STRV struct strv args = {0};
	AUTO_BUF struct buf answer = BUF_INIT;
	AUTO_FREE char *id = NULL;
	char *rest = NULL;

	int r = build_args(store, &what, &args, err);
	if (r == 0)
		r = run_worker(&args, strcmp(source, "-") == 0, &answer, err);
	if (r < 0)
		return r;
	int status = r;
	if (!answer.data)
		return err_set(err, ENOMEM, "out of memory");
	r = take_loaded(answer.data, loaded, &rest, err);
	return r < 0 ? r : image_answer_parse(rest, status, &id, err);
}
