/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tree_name.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

const char *show(const char *name, struct shown *shown)
{
	char *to = shown->text, *end = shown->text + TREE_SHOWN_MAX;

	for (; *name != '\0' && to < end; name++) {
		unsigned char c = (unsigned char)*name;
		if (c < 0x20 || c >= 0x7f)
			to += snprintf(to, 5, "\\x%02x", c);
		else
			*to++ = *name;
	}
	memcpy(to, "...", 4);
	if (*name == '\0')
		*to = '\0';
	return shown->text;
}

/* Judges one component. */
static int check_component(const char *name, size_t len, struct err *err)
{
	if (len == 0)
		return err_set(err, EINVAL, "an empty name in the path");
	if (len > TREE_NAME_MAX)
		return err_set(err, ENAMETOOLONG, "a name of more than %d bytes", TREE_NAME_MAX);
	if (len == 1 && name[0] == '.')
		return err_set(err, EINVAL, "'.' in the path");
	if (len == 2 && name[0] == '.' && name[1] == '.')
		return err_set(err, EINVAL, "'..' in the path");
	return 0;
}

int name_clean(const char *path, char text[TREE_PATH_MAX], struct err *err)
{
	if (*path == '\0')
		return err_set(err, EINVAL, "an empty path");
	while (path[0] == '/' || (path[0] == '.' && (path[1] == '/' || path[1] == '\0')))
		path++;
	size_t len = strnlen(path, TREE_PATH_MAX);
	if (len > 0 && path[len - 1] == '/')
		len--;
	if (len >= TREE_PATH_MAX - 1)
		return err_set(err, ENAMETOOLONG, "a path of %d bytes or more", TREE_PATH_MAX - 1);

	for (size_t at = 0; len > 0 && at <= len;) {
		const char *slash = memchr(path + at, '/', len - at);
		size_t n = slash ? (size_t)(slash - path) - at : len - at;
		int r = check_component(path + at, n, err);
		if (r < 0)
			return r;
		at += n + 1;
	}
	memcpy(text, path, len);
	text[len] = '\0';
	return 0;
}
