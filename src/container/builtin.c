/* SPDX-License-Identifier: Apache-2.0 */
#include "container/builtin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/archive.h"
#include "base/err.h"
#include "proto/plan.h"

static int archive_out(int root, const struct strv *args, struct err *err)
{
	bool one_system = args->n > 1 && strcmp(args->v[1], "one-file-system") == 0;

	return archive_write(root, args->v[0], STDOUT_FILENO, one_system, err);
}

static int archive_in(int root, const struct strv *args, struct err *err)
{
	bool owners = args->n > 1 && strcmp(args->v[1], "owners") == 0;

	return archive_read(STDIN_FILENO, root, args->v[0], owners, err);
}

static const struct {
	const char *name;
	int (*run)(int root, const struct strv *args, struct err *err);
} builtins[] = {{"archive-out", archive_out}, {"archive-in", archive_in}};

enum { BUILTINS = sizeof(builtins) / sizeof(builtins[0]) };

int builtin_check(const struct plan_process *what, struct err *err)
{
	for (size_t i = 0; i < BUILTINS; i++) {
		if (strcmp(what->builtin, builtins[i].name) == 0 && what->args.n > 0)
			return 0;
	}
	return err_set(err, EINVAL, "'%s' is nothing that hull does inside", what->builtin);
}

void builtin_run(const struct plan_process *what)
{
	struct err err = ERR_INIT;
	int r = 0;

	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		r = err_sys(&err, "open '/'");
	for (size_t i = 0; r == 0 && i < BUILTINS; i++) {
		if (strcmp(what->builtin, builtins[i].name) == 0)
			r = builtins[i].run(root, &what->args, &err);
	}
	if (r < 0)
		(void)dprintf(STDERR_FILENO, "%s\n", err.msg);
	_exit(r < 0);
}
