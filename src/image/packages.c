/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image of Debian packages: mmdebstrap makes the root as a tar, which is imported while it
 * comes. Nothing of it is kept unless both end well.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/proc.h"
#include "image/image.h"

/* "nginx", "libc6:amd64", "nginx=1.22.1-9"; nothing that mmdebstrap would take for an option or for
 * two. */
static int check_package(const char *name, struct err *err)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		"+-.:=~_";
	size_t n = strlen(name);

	if (n > 0 && n < 200 && name[0] != '-' && name[0] != '.' && strspn(name, letters) == n)
		return 0;
	return err_set(err, EINVAL, "'%.80s' is not the name of a package", name);
}

/* A word of its own for mmdebstrap. */
static int check_word(const char *what, const char *text, struct err *err)
{
	return text && (text[0] == '-' || text[0] == '\0')
		       ? err_set(err, EINVAL, "%s '%.80s': not one", what, text)
		       : 0;
}

static int build_args(const struct image_packages *p, struct strv *args, struct err *err)
{
	AUTO_BUF struct buf include = BUF_INIT;
	int r = 0;

	buf_str(&include, "--include=");
	for (size_t i = 0; r == 0 && i < p->packages.n; i++) {
		r = check_package(p->packages.v[i], err);
		buf_printf(&include, "%s%s", i ? "," : "", p->packages.v[i]);
	}
	if (r == 0)
		r = check_word("--suite", p->suite, err);
	if (r == 0)
		r = check_word("--mirror", p->mirror, err);
	if (r == 0)
		r = buf_check(&include, err);
	if (r < 0)
		return r;
	const char *const words[] = {
		"mmdebstrap",
		"--quiet",
		"--variant=minbase",
		"--dpkgopt=path-exclude=/usr/share/doc/*",
		"--dpkgopt=path-include=/usr/share/doc/*/copyright",
		"--dpkgopt=path-exclude=/usr/share/man/*",
		"--customize-hook=rm -rf \"$1\"/var/lib/apt/lists/* \"$1\"/var/cache/apt/*.bin",
		include.data,
		p->suite,
		"-",
		p->mirror,
	};
	for (size_t i = 0; r == 0 && i < sizeof(words) / sizeof(words[0]) && words[i]; i++)
		r = strv_add(args, words[i], err);
	return r;
}

/* Starts mmdebstrap; what it writes comes out of *ret_from. */
static pid_t start(const struct strv *args, int *ret_from, struct err *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, "create pipe");
	AUTO_CLOSE int from = ends[0];
	AUTO_CLOSE int to = ends[1];
	pid_t pid = proc_spawn(&(struct spawn){.argv = (const char *const *)args->v,
					       .in = -1,
					       .out = to,
					       .err = STDERR_FILENO},
			       err);
	if (pid >= 0)
		*ret_from = TAKE_FD(from);
	return pid;
}

int image_from_packages(const struct store *store, const struct image_packages *p, char **ret_id,
			struct err *err)
{
	AUTO_STRV struct strv args = {0};
	struct err import_err = ERR_INIT; /* what mmdebstrap says goes before */
	AUTO_CLOSE int from = -1;

	int r = build_args(p, &args, err);
	pid_t pid = r < 0 ? r : start(&args, &from, err);
	if (pid < 0)
		return err->code == ENOENT
			       ? err_wrap(err, "mmdebstrap (its Debian package is missing)")
			       : pid;
	if (dup2(from, STDIN_FILENO) < 0) /* where an import reads "-" from */
		r = err_sys(&import_err, "hand over the root");
	auto_close(&from);
	const struct image_import what = {
		.source = "-", .name = p->name, .cmd = p->cmd, .env = p->env, .platform = NULL};
	if (r == 0)
		r = image_import(store, &what, ret_id, &import_err);
	(void)close(STDIN_FILENO); /* a reader that gave up ends the writer */
	int status = proc_wait(pid, err);
	if (status < 0)
		return status;
	if (status > 0 && r == 0) {
		AUTO_STRV struct strv gone = {0};
		free(TAKE_PTR(*ret_id));
		(void)!image_remove(store, p->name, true, &gone, &import_err);
	}
	if (status > 0)
		return err_set(err, EIO, "mmdebstrap ended with status %d", status);
	return r < 0 ? err_set(err, import_err.code, "%s", import_err.msg) : 0;
}
