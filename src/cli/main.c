/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cli/cli.h"
#include "engine/engine.h"

void complain(const char *command, const char *message)
{
	fprintf(stderr, "hull: %s%s", command ? command : "", command ? ": " : "");
	for (const char *p = message; *p; p++)
		(void)fputc((unsigned char)*p < ' ' || *p == 0x7f ? '?' : *p, stderr);
	(void)fputc('\n', stderr);
}

int call_engine(struct call *call, struct engine **ret, struct err *err)
{
	if (!call->engine) {
		const char *root = call->root ? call->root : getenv("HULL_ROOT");
		int r = engine_open(root && *root ? root : NULL, &call->engine, err);
		if (r < 0)
			return r;
	}
	*ret = call->engine;
	return 0;
}

/* Carries out the command that words begin with. */
static int dispatch(const char *root, char **words, size_t n)
{
	struct err err = ERR_INIT;
	struct call call = {.root = root};
	size_t used = 0;

	call.command = command_find(words, n, &used);
	if (!call.command && command_is_group(words[0])) {
		if (n == 1 || words[1][0] == '-') {
			help_group(words[0]);
			return n == 1 ? EXIT_HULL_FAILED : 0;
		}
		(void)err_set(&err, EINVAL, "'%s': no such command (see hull %s --help)", words[1],
			      words[0]);
	} else if (!call.command) {
		(void)err_set(&err, EINVAL, "'%s': no such command (see hull --help)", words[0]);
	}
	if (!call.command) {
		complain(NULL, err.msg);
		return EXIT_HULL_FAILED;
	}
	int r = args_parse(&call, words + used, n - used, &err);
	if (r == 1) {
		help_command(call.command);
		r = 0;
	} else if (r == 0) {
		r = call.command->run(&call, &err);
	}
	args_done(&call);
	engine_free(call.engine);
	if (r < 0) {
		complain(call.command->names[0], err.msg);
		return EXIT_HULL_FAILED;
	}
	return r;
}

int main(int argc, char **argv)
{
	const char *root = NULL;
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		const char *value;
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			help_group(NULL);
			return 0;
		}
		if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-v") == 0) {
			argv[i] = (char[]){"version"};
			break;
		}
		if (str_prefix(argv[i], "--root=", &value)) {
			root = value;
		} else if (strcmp(argv[i], "--root") == 0 && i + 1 < argc) {
			root = argv[++i];
		} else {
			complain(argv[i], "no such option (see hull --help)");
			return EXIT_HULL_FAILED;
		}
	}
	if (i >= argc) {
		help_group(NULL);
		return EXIT_HULL_FAILED;
	}
	int status = dispatch(root, argv + i, (size_t)(argc - i));
	if (fflush(stdout) != 0 || ferror(stdout)) {
		if (errno != EPIPE)
			complain(NULL, "cannot write to standard output");
		return status ? status : EXIT_HULL_FAILED;
	}
	return status;
}
