/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/json.h"
#include "engine/build.h"
#include "engine/session.h"
#include "image/image.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

int set_str(char **to, const char *s, struct err *err)
{
	if (!s)
		return 0;
	*to = strdup(s);
	return *to ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* --entrypoint: a JSON list, or one word. */
static int entrypoint_words(const char *text, struct strv *to, struct err *err)
{
	AUTO(auto_json_free) struct json_object *list = NULL;
	struct err ignored = ERR_INIT; /* no list: then it is the program's name */

	if (!*text)
		return 0;
	if (*text != '[' ||
	    json_parse(text, strlen(text), 1 << 16, "--entrypoint", &list, &ignored) < 0)
		return strv_add(to, text, err);
	for (size_t i = 0; i < json_len(list); i++) {
		const char *word = json_text(json_at(list, i));
		if (!word)
			return err_set(err, EINVAL, "--entrypoint: '%s' is not a list of strings",
				       text);
		int r = strv_add(to, word, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The args that run, by docker's rules about entrypoint and command. */
static int build_args(const struct run_options *o, const struct image *image, struct strv *ret,
		      struct err *err)
{
	int r = o->entrypoint ? entrypoint_words(o->entrypoint, ret, err)
			      : strv_add_all(ret, &image->config.entrypoint, err);

	for (size_t i = 0; r == 0 && i < o->n_command; i++)
		r = strv_add(ret, o->command[i], err);
	if (r == 0 && o->n_command == 0 && !o->entrypoint)
		r = strv_add_all(ret, &image->config.cmd, err);
	if (r == 0 && (ret->n == 0 || !ret->v[0][0]))
		r = err_set(err, EINVAL, "'%s' does not say what to run: name a command after it",
			    o->image);
	return r;
}

static int build_env(const struct build *b, struct err *err)
{
	struct strv *env = &b->plan->process.env;
	char hostname[256];

	(void)snprintf(hostname, sizeof(hostname), "HOSTNAME=%s", b->plan->hostname);
	int r = strv_add(env, DEFAULT_PATH, err);
	if (r == 0)
		r = strv_add(env, hostname, err);
	if (r == 0 && b->options->tty)
		r = strv_add(env, "TERM=xterm", err);
	for (size_t i = 0; r == 0 && i < b->image->config.env.n; i++)
		r = strv_set_env(env, b->image->config.env.v[i], err);
	if (r == 0)
		r = env_options(&b->options->env, &b->options->env_files, env, err);
	return r;
}

static int build_hostname(const struct build *b, struct err *err)
{
	const char *name = b->options->hostname;
	char own[65];

	if (name && (!*name || strlen(name) > 64 || strpbrk(name, " /\n\t") || name[0] == '-'))
		return err_set(err, EINVAL, "--hostname: '%s' is not a host's name", name);
	if (!name && b->options->network && strcmp(b->options->network, "host") == 0) {
		if (gethostname(own, sizeof(own)) < 0)
			return err_sys(err, "read the host's name");
		own[sizeof(own) - 1] = '\0';
		name = own;
	}
	if (!name) {
		(void)snprintf(own, sizeof(own), "%.*s", 12, b->id);
		name = own;
	}
	int r = set_str(&b->plan->hostname, name, err);
	return r < 0 ? r : set_str(&b->plan->domainname, b->options->domainname, err);
}

static int build_place(const struct build *b, struct err *err)
{
	const struct run_options *o = b->options;
	struct plan_process *p = &b->plan->process;
	const char *cwd = o->workdir ? o->workdir : b->image->config.workdir;
	const char *user = o->user ? o->user : b->image->config.user;

	if (o->workdir && o->workdir[0] != '/')
		return err_set(err, EINVAL, "-w: '%s' is not an absolute path", o->workdir);
	int r = set_str(&p->cwd, cwd && *cwd ? cwd : "/", err);
	if (r == 0)
		r = set_str(&p->user, user && *user ? user : NULL, err);
	return r < 0 ? r : strv_add_all(&p->groups, &o->groups, err);
}

int build_process(const struct build *b, struct err *err)
{
	const struct run_options *o = b->options;
	struct plan_process *p = &b->plan->process;

	int r = build_place(b, err);
	if (r == 0)
		r = build_hostname(b, err);
	if (r == 0)
		r = build_args(o, b->image, &p->args, err);
	if (r == 0)
		r = build_env(b, err);
	if (r < 0)
		return r;
	p->tty = o->tty;
	if (o->tty)
		terminal_size(&p->rows, &p->cols);
	if (o->oom_score_adj < -1000 || o->oom_score_adj > 1000)
		return err_set(err, ERANGE, "--oom-score-adj: outside -1000 to 1000");
	p->has_oom_score_adj = o->oom_score_adj != 0;
	p->oom_score_adj = (uint32_t)o->oom_score_adj;
	b->plan->init = o->init;
	return 0;
}
