/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hull-image: what hull does to images with digests and signatures, so that `hull` itself need not
 * load libcrypto. `hull-image ROOT VERB [ARGUMENT...]`, run by tool.c: results on standard
 * output; lines on standard error are shown as they come, but for a failure, which is the line
 * "error ERRNO TEXT" there and status 125; 1 is an answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/store.h"
#include "image/check.h"
#include "image/image.h"
#include "image/import_confine.h"
#include "image/mounter.h"
#include "image/pass.h"
#include "image/push.h"
#include "image/save.h"
#include "image/seal.h"
#include "image/sign.h"
#include "image/sign_key.h"
#include "image/tool.h"

static int save(const struct store *store, char **args, size_t n, struct err *err)
{
	return save_archive(store, (const char *const *)args, n, STDOUT_FILENO, err);
}

/* A line without anything that a terminal would take for a command. */
static void say(const char *line)
{
	for (; *line; line++)
		(void)putchar((unsigned char)*line < 0x20 || *line == 0x7f ? '?' : *line);
	(void)putchar('\n');
}

static int say_damage(void *ctx, enum damage kind, const char *key, const char *why,
		      struct err *err)
{
	AUTO_FREE char *line = NULL;
	bool *found = ctx;

	*found = true;
	if (asprintf(&line, "%s %.64s: %s", damage_name(kind), key, why) < 0) {
		line = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	say(line);
	return 0;
}

/* What is read from here on was made by strangers. */
static int confine(const struct store *store, struct mounter **ret, struct err *err)
{
	int r = mounter_new(store->root, ret, err);

	return r < 0 ? r : import_confine(store->root, -1, err);
}

static int check(const struct store *store, char **args, size_t n, struct err *err)
{
	AUTO(auto_mounter_free) struct mounter *mounter = NULL;
	bool quick = n > 0 && strcmp(args[0], "quick") == 0;
	bool found = false;

	int r = confine(store, &mounter, err);
	if (r == 0)
		r = store_check(store, mounter, quick, say_damage, &found, err);
	return r < 0 ? r : found;
}

static int repair(const struct store *store, char **args, size_t n, struct err *err)
{
	AUTO(auto_mounter_free) struct mounter *mounter = NULL;

	(void)args;
	(void)n;
	int r = confine(store, &mounter, err);
	return r < 0 ? r : store_repair(store, mounter, say, err);
}

static int open_key(const char *path, struct sign_key **ret, struct err *err)
{
	AUTO(buf_erase) struct buf pem = BUF_INIT;
	AUTO(auto_secret) char *pass = NULL;

	int r = file_read(AT_FDCWD, path, SIGNATURE_BYTES_MAX, &pem, err);
	if (r == 0 && sign_key_is_sealed(pem.data, pem.len))
		r = pass_read("Passphrase of the key: ", false, &pass, err);
	if (r == 0)
		r = sign_key_private(pem.data ? pem.data : "", pem.len, pass, ret, err);
	return r < 0 ? err_wrap(err, "key '%.200s'", path) : 0;
}

/* KEY, IMAGE, REPOSITORY or "" */
static int sign(const struct store *store, char **args, size_t n, struct err *err)
{
	AUTO(auto_sign_key_free) struct sign_key *key = NULL;

	(void)n;
	int r = open_key(args[0], &key, err);
	return r < 0 ? r : sign_image(store, args[1], args[2][0] ? args[2] : NULL, key, err);
}

/* KEY, NAME, REPOSITORY or "", "checked" or "any" */
static int sign_there(const struct store *store, char **args, size_t n, struct err *err)
{
	AUTO(auto_sign_key_free) struct sign_key *key = NULL;
	char digest[DIGEST_HEX + 1];

	(void)store;
	(void)n;
	int r = open_key(args[0], &key, err);
	if (r == 0)
		r = sign_remote(args[1], strcmp(args[3], "any") == 0, args[2][0] ? args[2] : NULL,
				key, digest, err);
	return r < 0 ? r : printf("sha256:%s\n", digest) < 0 ? err_sys(err, "answer") : 0;
}

static int verify(const struct store *store, char **args, size_t n, struct err *err)
{
	AUTO(trusted_done) struct trusted trusted = {0};
	struct err why = ERR_INIT;

	int r = trusted_open((const char *const *)args + 2, n - 2, &trusted, err);
	if (r == 0)
		r = verify_image(store, args[0], args[1][0] ? args[1] : NULL, &trusted, &why, err);
	if (r < 0)
		return r;
	if (r == 0)
		say(why.msg);
	return r == 0;
}

/* A new file with that ending. */
static int put_key(const char *prefix, const char *ending, mode_t mode, const struct buf *pem,
		   struct err *err)
{
	AUTO_FREE char *path = NULL;

	if (asprintf(&path, "%s%s", prefix, ending) < 0) {
		path = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return err_sys(err, "create '%s'", path);
	int r = write_all(fd, pem->data, pem->len, path, err);
	if (r == 0 && fsync(fd) < 0)
		r = err_sys(err, "write '%s'", path);
	return r;
}

static int key_new(const struct store *store, char **args, size_t n, struct err *err)
{
	AUTO(auto_sign_key_free) struct sign_key *key = NULL;
	AUTO(buf_erase) struct buf secret = BUF_INIT;
	AUTO_BUF struct buf public = BUF_INIT;
	AUTO(auto_secret) char *pass = NULL;

	(void)store;
	int r = n > 1 && strcmp(args[1], "sealed") == 0
			? pass_read("Passphrase for the key: ", true, &pass, err)
			: 0;
	if (r == 0)
		r = sign_key_new(&key, err);
	if (r == 0)
		r = sign_key_write_private(key, pass, &secret, err);
	if (r == 0)
		r = sign_key_write_public(key, &public, err);
	if (r == 0)
		r = put_key(args[0], ".key", 0600, &secret, err);
	return r < 0 ? r : put_key(args[0], ".pub", 0644, &public, err);
}

static void tell(void *ctx, const char *line)
{
	(void)ctx;
	(void)fprintf(stderr, "%s\n", line);
}

/* IMAGE, NAME or "", "checked" or "any" */
static int push(const struct store *store, char **args, size_t n, struct err *err)
{
	char digest[DIGEST_HEX + 1];

	(void)n;
	int r = push_image(store,
			   &(struct image_push){.image = args[0],
						.to = args[1][0] ? args[1] : NULL,
						.no_verify = strcmp(args[2], "any") == 0,
						.told = tell},
			   digest, err);
	return r < 0 ? r : printf("sha256:%s\n", digest) < 0 ? err_sys(err, "answer") : 0;
}

static const struct {
	const char *name;
	size_t min;
	int (*run)(const struct store *store, char **args, size_t n, struct err *err);
} verbs[] = {
	{"save", 1, save},
	{"check", 0, check},
	{"repair", 0, repair},
	{"sign", 3, sign},
	{"sign-remote", 4, sign_there},
	{"verify", 3, verify},
	{"key-new", 1, key_new},
	{"push", 3, push},
};

static int run(int argc, char **argv, struct err *err)
{
	AUTO(auto_store_close) struct store *store = NULL;
	enum { FIRST = 3 };

	for (size_t i = 0; argc >= FIRST && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		size_t n = (size_t)(argc - FIRST);
		if (strcmp(argv[2], verbs[i].name) != 0 || n < verbs[i].min)
			continue;
		int r = store_open(argv[1], &store, err);
		return r < 0 ? r : verbs[i].run(store, argv + FIRST, n, err);
	}
	return err_set(err, EINVAL, "hull-image: called with other arguments than ROOT VERB ...");
}

int main(int argc, char **argv)
{
	struct err err = ERR_INIT;

	int r = run(argc, argv, &err);
	if (r >= 0 && fflush(stdout) != 0)
		r = err_sys(&err, "write the answer");
	if (r < 0)
		(void)fprintf(stderr, TOOL_ERROR "%d %s\n", err.code, err.msg);
	return r < 0 ? TOOL_FAILED : r;
}
