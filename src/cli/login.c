/* SPDX-License-Identifier: Apache-2.0 */
/* login, logout, search: what hull-registry does by itself. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cli/commands.h"
#include "registry/registry.h"

struct login_args {
	const char *user;
	bool from_stdin, no_verify;
};

static const struct option login_options[] = {
	{"username", 'u', OPTION_STRING, "USER", "who (else it is asked for)",
	 offsetof(struct login_args, user)},
	{"password-stdin", 0, OPTION_FLAG, NULL, "take the password from standard input",
	 offsetof(struct login_args, from_stdin)},
	OPTION_TLS_VERIFY(offsetof(struct login_args, no_verify)),
};

/* A registry's host, with or without port: what an image's name may begin with. */
static int check_host(const char *host, struct err *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789.-:[]";

	if (!*host || *host == '-' || strspn(host, allowed) != strlen(host))
		return err_set(err, EINVAL, "'%.100s' is no registry: HOST or HOST:PORT", host);
	return 0;
}

static int login(struct call *call, struct err *err)
{
	const struct login_args *a = call->options;
	AUTO_STRV struct strv args = {0};

	int r = check_host(call->operands[0], err);
	if (r == 0)
		r = strv_add(&args, "login", err);
	if (r == 0 && a->from_stdin)
		r = strv_add(&args, "--password-stdin", err);
	if (r == 0 && a->no_verify)
		r = strv_add(&args, "--any", err);
	if (r == 0 && a->user)
		r = strv_add(&args, "--username", err);
	if (r == 0 && a->user)
		r = strv_add(&args, a->user, err);
	if (r == 0)
		r = strv_add(&args, "--", err);
	if (r == 0)
		r = strv_add(&args, call->operands[0], err);
	return r == 0 ? registry_run(&args, err) : r;
}

static int logout(struct call *call, struct err *err)
{
	AUTO_STRV struct strv args = {0};

	int r = check_host(call->operands[0], err);
	if (r == 0)
		r = strv_add(&args, "logout", err);
	if (r == 0)
		r = strv_add(&args, call->operands[0], err);
	return r == 0 ? registry_run(&args, err) : r;
}

struct search_args {
	int64_t limit;
	const char *index;
};

static const struct search_args search_defaults = {.limit = 25, .index = "index.docker.io"};

static const struct option search_options[] = {
	{"limit", 0, OPTION_INT, "N", "show at most N (25)", offsetof(struct search_args, limit)},
	{"index", 0, OPTION_STRING, "HOST", "ask HOST instead of Docker's index",
	 offsetof(struct search_args, index)},
};

static int search(struct call *call, struct err *err)
{
	const struct search_args *a = call->options;
	AUTO_STRV struct strv args = {0};
	char limit[32];

	(void)snprintf(limit, sizeof(limit), "%jd", (intmax_t)a->limit);
	int r = check_host(a->index, err);
	if (r == 0)
		r = strv_add(&args, "search", err);
	if (r == 0)
		r = strv_add(&args, call->operands[0], err);
	if (r == 0)
		r = strv_add(&args, limit, err);
	if (r == 0)
		r = strv_add(&args, a->index, err);
	return r == 0 ? registry_run(&args, err) : r;
}

const struct command command_login = {
	.names = {"login"},
	.operands = "REGISTRY",
	.summary = "Keep a name and password for a registry",
	.example = "hull login registry.example.org\n"
		   "hull login -u me --password-stdin docker.io <secret",
	.groups = {OPTION_GROUP(login_options, 0)},
	.size = sizeof(struct login_args),
	.min = 1,
	.max = 1,
	.run = login,
};

const struct command command_logout = {
	.names = {"logout"},
	.operands = "REGISTRY",
	.summary = "Forget the name and password for a registry",
	.example = "hull logout registry.example.org",
	.min = 1,
	.max = 1,
	.run = logout,
};

const struct command command_search = {
	.names = {"search"},
	.operands = "TERM",
	.summary = "Look for images in Docker's index",
	.example = "hull search --limit 5 nginx",
	.groups = {OPTION_GROUP(search_options, 0)},
	.size = sizeof(struct search_args),
	.defaults = &search_defaults,
	.min = 1,
	.max = 1,
	.run = search,
};
