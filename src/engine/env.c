/* SPDX-License-Identifier: Apache-2.0 */
/* Environment assignments from the command line and from files. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "engine/build.h"

enum { ENV_FILE_MAX = 1 << 20 };

/* Adds "KEY=VALUE", or "KEY" with this process's own value (nothing when it has none). */
static int env_add(struct strv *env, const char *text, const char *what, struct err *err)
{
	const char *equals = strchr(text, '=');

	if (equals == text || !*text)
		return err_set(err, EINVAL, "%s: '%s' has no name before the '='", what, text);
	if (equals)
		return strv_set_env(env, text, err);
	const char *own = getenv(text);
	if (!own)
		return 0;
	AUTO_FREE char *assignment = NULL;
	if (asprintf(&assignment, "%s=%s", text, own) < 0)
		return err_set(err, ENOMEM, "out of memory");
	return strv_set_env(env, assignment, err);
}

/* One line, without its end. */
static int env_line(const char *line, size_t n, const char *what, struct strv *env, struct err *err)
{
	while (n > 0 && isspace((unsigned char)*line)) {
		line++;
		n--;
	}
	if (n > 0 && line[n - 1] == '\r')
		n--;
	if (n == 0 || *line == '#')
		return 0;
	const char *equals = memchr(line, '=', n);
	size_t key = equals ? (size_t)(equals - line) : n;
	for (size_t i = 0; i < key; i++) {
		if (isspace((unsigned char)line[i]))
			return err_set(err, EINVAL, "%s: a name with a space in it", what);
	}
	AUTO_FREE char *text = strndup(line, n);
	if (!text)
		return err_set(err, ENOMEM, "out of memory");
	return env_add(env, text, what, err);
}

int env_file_parse(const char *text, size_t n, const char *name, struct strv *env, struct err *err)
{
	unsigned number = 0;

	if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark */
		text += 3;
		n -= 3;
	}
	if (memchr(text, '\0', n))
		return err_set(err, EINVAL, "--env-file: '%s' holds a NUL byte: it is no text",
			       name);
	while (n > 0) {
		char what[128];
		const char *nl = memchr(text, '\n', n);
		size_t len = nl ? (size_t)(nl - text) : n;
		(void)snprintf(what, sizeof(what), "--env-file: %.80s, line %u", name, ++number);
		int r = env_line(text, len, what, env, err);
		if (r < 0)
			return r;
		text += len + (nl != NULL);
		n -= len + (nl != NULL);
	}
	return 0;
}

int env_options(const struct strv *env, const struct strv *files, struct strv *to, struct err *err)
{
	for (size_t i = 0; i < files->n; i++) {
		AUTO_BUF struct buf text = BUF_INIT;
		int r = file_read(AT_FDCWD, files->v[i], ENV_FILE_MAX, &text, err);
		if (r < 0)
			return err_wrap(err, "--env-file");
		r = env_file_parse(text.data ? text.data : "", text.len, files->v[i], to, err);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < env->n; i++) {
		int r = env_add(to, env->v[i], "-e", err);
		if (r < 0)
			return r;
	}
	return 0;
}
