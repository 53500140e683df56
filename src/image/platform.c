/* SPDX-License-Identifier: Apache-2.0 */
#include "image/platform.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "image/image.h"

void platform_done(struct platform *platform)
{
	free(platform->os);
	free(platform->architecture);
	free(platform->variant);
	*platform = (struct platform){0};
}

static bool is_word(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= 32 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_.-") == n;
}

/* The word that *text begins with, up to a '/' or the end; *text is moved behind both. NULL when
 * memory is out; the caller frees. */
static char *take_word(const char **text)
{
	size_t n = strcspn(*text, "/");
	char *word = strndup(*text, n);

	*text += n + ((*text)[n] == '/');
	return word;
}

int platform_parse(const char *text, struct platform *ret, struct err *err)
{
	AUTO_FREE char *host = NULL;
	struct platform p = {0};

	if (!text && asprintf(&host, "linux/%s", image_host_architecture()) < 0) {
		host = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	const char *rest = text ? text : host;
	size_t n = strlen(rest);
	bool closed = n > 0 && rest[n - 1] != '/';
	p.os = take_word(&rest);
	p.architecture = take_word(&rest);
	if (*rest)
		p.variant = strdup(rest);
	if (closed && p.os && p.architecture && is_word(p.os) && is_word(p.architecture) &&
	    (!p.variant || is_word(p.variant))) {
		*ret = p;
		return 0;
	}
	platform_done(&p);
	return err_set(err, EINVAL, "--platform '%.80s': not OS/ARCHITECTURE[/VARIANT]",
		       text ? text : "");
}

bool platform_is(const struct platform *p, const char *os, const char *architecture)
{
	return strcmp(p->os, os) == 0 && strcmp(p->architecture, architecture) == 0;
}
