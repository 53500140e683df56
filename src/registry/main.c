/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hull-registry: the one program that speaks HTTP. What is sent to it is read without any rights:
 * all that takes a user's (configuration, credentials, keys) is done before the first exchange.
 *
 *	hull-registry serve FD read|write verified|any HOST REPOSITORY   see registry.h
 *	hull-registry login|logout|search …                              for hull itself
 */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "registry/confine.h"
#include "registry/ops.h"

static int serve_main(int argc, char **argv, struct err *err)
{
	struct session s;
	int64_t fd = 0;

	if (argc != 6)
		return err_set(err, EINVAL, "called with other arguments than those of its door");
	const struct session_target target = {.write = strcmp(argv[2], "write") == 0,
					      .any = strcmp(argv[3], "any") == 0,
					      .host = argv[4],
					      .repository = argv[5]};
	int r = parse_int(argv[1], 0, 1 << 20, "the socket", &fd, err);
	if (r == 0 && fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
		r = err_sys(err, "the socket");
	if (r < 0)
		return r;
	struct err why = ERR_INIT; /* told to who asks: that one has a line for its user */
	r = session_init(&target, &s, &why);
	if (r == 0) {
		session_know(&s);
		r = registry_confine(&why);
	}
	/* What threads still use is left to the end of the process. */
	return r == 0 ? serve((int)fd, &s, err) : serve_refusal((int)fd, &why, err);
}

static const struct {
	const char *word;
	int (*fn)(int argc, char **argv, struct err *err);
} parts[] = {
	{"serve", serve_main},
	{"login", login_main},
	{"logout", logout_main},
	{"search", search_main},
};

int main(int argc, char **argv)
{
	struct err err = ERR_INIT;
	int r = -1;

	(void)signal(SIGPIPE, SIG_IGN);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		r = err_set(&err, ENOMEM, "out of memory");
	else if (argc < 2)
		r = err_set(&err, EINVAL, "a worker of hull, not to be called by hand");
	for (size_t i = 0; !err.code && i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (strcmp(argv[1], parts[i].word) == 0)
			r = parts[i].fn(argc - 1, argv + 1, &err);
	}
	if (r < 0)
		(void)fprintf(stderr, "hull: %s: %s\n", argc > 1 ? argv[1] : "hull-registry",
			      err.msg);
	_exit(r < 0 || fflush(stdout) != 0 ? 125 : 0); /* threads may be at work */
}
