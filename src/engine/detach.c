/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detach.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

/* One key: a character, or "ctrl-" and one of a-z @ [ \ ] ^ _. */
static int parse_key(const char *text, size_t n)
{
	const char *rest;

	if (n == 1)
		return (unsigned char)text[0];
	if (n != 6 || !str_prefix(text, "ctrl-", &rest))
		return -1;
	int c = toupper((unsigned char)*rest);
	return c >= '@' && c <= '_' ? c - '@' : -1;
}

int detach_parse(const char *text, struct detach *ret, struct err *err)
{
	struct detach d = {.n = 0};

	for (const char *p = text ? text : "ctrl-p,ctrl-q"; *p;) {
		size_t n = strcspn(p, ",");
		int key = parse_key(p, n);
		if (key < 0 || d.n == DETACH_KEYS_MAX || (p[n] == ',' && p[n + 1] == '\0'))
			return err_set(err, EINVAL,
				       "--detach-keys: '%s' is not a list of keys (ctrl-p,ctrl-q)",
				       text);
		d.keys[d.n++] = (unsigned char)key;
		p += n + (p[n] == ',');
	}
	*ret = d;
	return 0;
}

size_t detach_scan(struct detach *d, const char *bytes, size_t n, bool *ret_left)
{
	*ret_left = false;
	for (size_t i = 0; d->n > 0 && i < n; i++) {
		unsigned char c = (unsigned char)bytes[i];
		if (c != d->keys[d->seen])
			d->seen = 0;
		if (c == d->keys[d->seen])
			d->seen++;
		if (d->seen == d->n) {
			d->seen = 0;
			*ret_left = true;
			return i;
		}
	}
	return n;
}
