/* SPDX-License-Identifier: Apache-2.0 */
/* A store keeps an image's signatures in ROOT/signatures/ID.json. */
#include "image/signature.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/db.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/json.h"
#include "base/store.h"
#include "base/str.h"
#include "image/image_priv.h"

#define PAYLOAD_TYPE "cosign container image signature"

enum { FILE_BYTES_MAX = 48 << 20, INDEX_BYTES_ALL = 8 << 20, NAME = DIGEST_HEX + 16 };

void signatures_done(struct signatures *list)
{
	for (size_t i = 0; i < list->n; i++) {
		free(list->v[i].payload);
		free(list->v[i].base64);
	}
	free(list->v);
	strv_done(&list->indexes);
	*list = (struct signatures){0};
}

int signatures_add(struct signatures *list, const char *payload, const char *base64,
		   struct err *err)
{
	for (size_t i = 0; i < list->n; i++) {
		if (strcmp(list->v[i].payload, payload) == 0 &&
		    strcmp(list->v[i].base64, base64) == 0)
			return 0;
	}
	if (list->n == SIGNATURES_MAX)
		return err_set(err, E2BIG, "more than %d signatures", SIGNATURES_MAX);
	struct signature *v = reallocarray(list->v, list->n + 1, sizeof(*v));
	if (!v)
		return err_set(err, ENOMEM, "out of memory");
	list->v = v;
	v[list->n] = (struct signature){strdup(payload), strdup(base64)};
	if (v[list->n].payload && v[list->n].base64) {
		list->n++;
		return 0;
	}
	free(v[list->n].payload);
	free(v[list->n].base64);
	return err_set(err, ENOMEM, "out of memory");
}

static void drop_oldest(struct strv *indexes)
{
	free(indexes->v[0]);
	memmove(indexes->v, indexes->v + 1, indexes->n * sizeof(*indexes->v)); /* and its NULL */
	indexes->n--;
}

int signatures_add_index(struct signatures *list, const char *text, size_t n, struct err *err)
{
	struct strv *all = &list->indexes;
	size_t bytes = 0;

	if (strlen(text) != n)
		return err_set(err, EINVAL, "an index is no text");
	for (size_t i = 0; i < all->n; i++) {
		if (strcmp(all->v[i], text) == 0)
			return 0;
		bytes += strlen(all->v[i]);
	}
	while (all->n > 0 && (all->n >= INDEXES_MAX || bytes + n > INDEX_BYTES_ALL)) {
		bytes -= strlen(all->v[0]);
		drop_oldest(all);
	}
	return strv_add(all, text, err);
}

/* A signature, or {"index": TEXT}. */
static int parse_one(struct json_object *obj, struct signatures *list, struct err *err)
{
	const char *payload = NULL;
	const char *base64 = NULL;
	const char *index = NULL;

	if (!json_is_obj(obj))
		return err_set(err, EUCLEAN, "not an object");
	int r = json_get_str(obj, "index", &index, err);
	if (r != 0)
		return r < 0 ? r : signatures_add_index(list, index, strlen(index), err);
	r = json_need(json_get_str(obj, "payload", &payload, err), "payload", err);
	if (r >= 0)
		r = json_need(json_get_str(obj, "signature", &base64, err), "signature", err);
	return r < 0 ? r : signatures_add(list, payload, base64, err);
}

static int parse_file(const struct buf *text, struct signatures *list, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;

	int r = json_parse(text->data ? text->data : "", text->len, FILE_BYTES_MAX, "signatures",
			   &doc, err);
	if (r == 0 && !json_is_array(doc))
		r = err_set(err, EUCLEAN, "signatures: not a JSON array");
	for (size_t i = 0; r == 0 && i < json_len(doc); i++)
		r = parse_one(json_at(doc, i), list, err);
	return r;
}

static void file_name(const char *id, char name[NAME])
{
	(void)snprintf(name, NAME, "%.64s.json", id);
}

/* The folder, made if need be; locked when something is to be changed. */
static int open_folder(const struct store *store, bool lock, struct err *err)
{
	if (mkdirat(store->root_fd, "signatures", 0700) == 0) {
		if (fsync(store->root_fd) < 0)
			return err_sys(err, "write '%s' to disk", store->root);
	} else if (errno != EEXIST) {
		return err_sys(err, "make folder '%s/signatures'", store->root);
	}
	AUTO_CLOSE int fd = store_folder(store->root_fd, "signatures", err);
	if (fd < 0)
		return fd;
	while (lock && flock(fd, LOCK_EX) < 0) {
		if (errno != EINTR)
			return err_sys(err, "lock the store's signatures");
	}
	return TAKE_FD(fd);
}

static int read_in(int folder, const char *id, struct signatures *ret, struct err *err)
{
	AUTO_SIGNATURES struct signatures list = {0};
	AUTO_BUF struct buf text = BUF_INIT;
	struct err failure = ERR_INIT;
	char name[NAME];

	file_name(id, name);
	int r = file_read(folder, name, FILE_BYTES_MAX, &text, &failure);
	if (r < 0 && failure.code == ENOENT) {
		*ret = (struct signatures){0};
		return 0;
	}
	if (r < 0)
		return err_set(err, failure.code, "%s", failure.msg);
	r = parse_file(&text, &list, err);
	if (r < 0)
		return err_wrap(err, "signatures of image %.12s", id);
	*ret = list;
	list = (struct signatures){0};
	return 0;
}

int signatures_read(const struct store *store, const char *id, struct signatures *ret,
		    struct err *err)
{
	AUTO_CLOSE int folder = open_folder(store, false, err);

	return folder < 0 ? folder : read_in(folder, id, ret, err);
}

static void format(const struct signatures *list, struct buf *to)
{
	struct json_out out = JSON_OUT(to, false);

	json_begin_array(&out, NULL);
	for (size_t i = 0; i < list->n; i++) {
		json_begin(&out, NULL);
		json_put_str(&out, "payload", list->v[i].payload);
		json_put_str(&out, "signature", list->v[i].base64);
		json_end(&out);
	}
	for (size_t i = 0; i < list->indexes.n; i++) {
		json_begin(&out, NULL);
		json_put_str(&out, "index", list->indexes.v[i]);
		json_end(&out);
	}
	json_end_array(&out);
}

/* Whole and on disk before it gets its name. */
static int write_in(int folder, const char *id, const struct buf *text, struct err *err)
{
	static const char part[] = "new";
	char name[NAME];

	file_name(id, name);
	AUTO_CLOSE int fd = openat(folder, part,
				   O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(err, "create '%s'", part);
	int r = write_all(fd, text->data, text->len, name, err);
	if (r == 0 &&
	    (fsync(fd) < 0 || renameat(folder, part, folder, name) < 0 || fsync(folder) < 0))
		r = err_sys(err, "write '%s'", name);
	return r;
}

static int add_all(struct signatures *list, const struct signatures *more, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < more->n; i++)
		r = signatures_add(list, more->v[i].payload, more->v[i].base64, err);
	for (size_t i = 0; r == 0 && i < more->indexes.n; i++)
		r = signatures_add_index(list, more->indexes.v[i], strlen(more->indexes.v[i]), err);
	return r;
}

int signatures_keep(const struct store *store, const char *id, const struct signatures *more,
		    struct err *err)
{
	AUTO_SIGNATURES struct signatures list = {0};
	AUTO_BUF struct buf text = BUF_INIT;

	AUTO_CLOSE int folder = open_folder(store, true, err);
	if (folder < 0)
		return folder;
	int r = read_in(folder, id, &list, err);
	if (r == 0)
		r = add_all(&list, more, err);
	if (r < 0)
		return r;
	format(&list, &text);
	r = buf_check(&text, err);
	return r < 0 ? r : write_in(folder, id, &text, err);
}

static bool is_unknown(const struct store *store, const char *name)
{
	struct err ignored = ERR_INIT; /* not known whether: it stays */
	char id[DIGEST_HEX + 1];
	int64_t one = 0;

	if (strlen(name) != DIGEST_HEX + strlen(".json") || !digest_is_hex(name, DIGEST_HEX))
		return false;
	memcpy(id, name, DIGEST_HEX);
	id[DIGEST_HEX] = '\0';
	return db_int(store->db, "SELECT 1 FROM manifest WHERE id=?", DB_VALUES(DB_TEXT(id)), &one,
		      &ignored) == 0;
}

int signatures_sweep(const struct store *store, struct err *err)
{
	int fd = openat(store->root_fd, "signatures",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		auto_close(&fd);
		return errno == ENOENT ? 0 : err_sys(err, "list '%s/signatures'", store->root);
	}
	for (struct dirent *d; (d = readdir(dir)) != NULL;) {
		if (is_unknown(store, d->d_name))
			(void)unlinkat(fd, d->d_name, 0);
	}
	(void)closedir(dir);
	return 0;
}

void payload_write(const char *repository, const char *digest, struct buf *to)
{
	struct json_out out = JSON_OUT(to, false);
	char text[DIGEST_HEX + 8];

	(void)snprintf(text, sizeof(text), "sha256:%.64s", digest);
	json_begin(&out, NULL);
	json_begin(&out, "critical");
	json_begin(&out, "identity");
	json_put_str(&out, "docker-reference", repository);
	json_end(&out);
	json_begin(&out, "image");
	json_put_str(&out, "docker-manifest-digest", text);
	json_end(&out);
	json_put_str(&out, "type", PAYLOAD_TYPE);
	json_end(&out);
	json_put_null(&out, "optional");
	json_end(&out);
}

void payload_done(struct payload *payload)
{
	free(payload->repository);
	free(payload->digest);
	*payload = (struct payload){0};
}

/* `critical`: its type, and what it is about. */
static int parse_critical(struct json_object *critical, const char **repository,
			  const char **digest, struct err *err)
{
	struct json_object *identity = NULL, *image = NULL;
	const char *type = NULL;

	int r = json_need(json_get_str(critical, "type", &type, err), "type", err);
	if (r >= 0 && strcmp(type, PAYLOAD_TYPE) != 0)
		return err_set(err, EINVAL, "type '%.60s' is not a signature of an image", type);
	if (r >= 0)
		r = json_need(json_get_obj(critical, "image", &image, err), "image", err);
	if (r >= 0)
		r = json_need(json_get_str(image, "docker-manifest-digest", digest, err),
			      "docker-manifest-digest", err);
	if (r >= 0)
		r = json_get_obj(critical, "identity", &identity, err);
	if (r > 0)
		r = json_get_str(identity, "docker-reference", repository, err);
	return r < 0 ? r : 0;
}

int payload_parse(const char *text, size_t n, struct payload *ret, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	struct json_object *critical = NULL;
	const char *repository = "", *digest = NULL;
	const char *hex = NULL;

	int r = json_parse(text, n, SIGNATURE_BYTES_MAX, "payload", &doc, err);
	if (r == 0 && !json_is_obj(doc))
		r = err_set(err, EINVAL, "payload: not an object");
	if (r == 0)
		r = json_need(json_get_obj(doc, "critical", &critical, err), "critical", err);
	if (r >= 0)
		r = parse_critical(critical, &repository, &digest, err);
	if (r < 0)
		return r;
	if (!str_prefix(digest, "sha256:", &hex) || !digest_is_hex(hex, strlen(hex)))
		return err_set(err, EINVAL, "docker-manifest-digest '%.80s' is no digest", digest);
	AUTO_FREE char *whose = strdup(repository);
	AUTO_FREE char *what = strdup(hex);
	if (!whose || !what)
		return err_set(err, ENOMEM, "out of memory");
	*ret = (struct payload){TAKE_PTR(whose), TAKE_PTR(what)};
	return 0;
}
