/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "oci/oci.h"

/* The option that a word names: "--name", "--name=value", "-name", "-x". *ret_value is what stands
 * behind '=', or NULL. */
static const struct oci_option *find(const struct oci_command *command, const char *word,
				     const char **ret_value)
{
	const char *name = word + 1 + (word[1] == '-');
	size_t n = strcspn(name, "=");

	*ret_value = name[n] == '=' ? name + n + 1 : NULL;
	for (const struct oci_option *o = command->options; o->name; o++) {
		if (strlen(o->name) == n && strncmp(o->name, name, n) == 0)
			return o;
		if (word[1] != '-' && n == 1 && o->letter == name[0])
			return o;
	}
	return NULL;
}

static int take(struct oci_options *options, const struct oci_option *o, const char *value,
		struct err *err)
{
	char *at = (char *)options + o->offset;

	switch (o->kind) {
	case OCI_FLAG:
		if (value && strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
			return err_set(err, EINVAL, "--%s: '%s' is neither true nor false", o->name,
				       value);
		*(bool *)(void *)at = !value || strcmp(value, "true") == 0;
		return 0;
	case OCI_VALUE:
		*(const char **)(void *)at = value;
		return 0;
	case OCI_LIST:
		return strv_add((struct strv *)(void *)at, value, err);
	}
	return 0;
}

int oci_args(struct oci *oci, const struct oci_command *command, char **argv, size_t n,
	     struct err *err)
{
	size_t i = 0;

	for (; i < n && argv[i][0] == '-' && argv[i][1]; i++) {
		const char *value;
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			oci->options.help = true;
			return 0;
		}
		const struct oci_option *o = find(command, argv[i], &value);
		if (!o)
			return err_set(err, EINVAL, "%s: no such option", argv[i]);
		if (o->kind != OCI_FLAG && !value) {
			if (i + 1 == n)
				return err_set(err, EINVAL, "--%s: wants a value", o->name);
			value = argv[++i];
		}
		int r = take(&oci->options, o, value, err);
		if (r < 0)
			return r;
	}
	oci->words = argv + i;
	oci->n_words = n - i;
	if (oci->n_words < command->min || oci->n_words > command->max)
		return err_set(err, EINVAL, "usage: hull-oci [GLOBAL OPTION…] %s [OPTION…] %s",
			       command->name, command->words);
	return 0;
}

int oci_preserved(const struct oci *oci, unsigned *ret, struct err *err)
{
	enum { MOST = 1024 };
	const char *listen = getenv("LISTEN_FDS");
	int64_t n = 0;
	int64_t sockets = 0;
	int r = 0;

	if (oci->options.preserve_fds)
		r = parse_int(oci->options.preserve_fds, 0, MOST, "--preserve-fds", &n, err);
	if (r == 0 && listen && *listen)
		r = parse_int(listen, 0, MOST, "LISTEN_FDS", &sockets, err);
	for (int fd = 3; r == 0 && fd < 3 + n + sockets; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			r = err_sys(err, "--preserve-fds: descriptor %d", fd);
	}
	if (r == 0)
		*ret = (unsigned)(n + sockets);
	return r;
}
