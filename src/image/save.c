/* SPDX-License-Identifier: Apache-2.0 */
#include "image/save.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/json.h"
#include "base/store.h"
#include "image/kept.h"
#include "image/tar_emit.h"
#include "image/tree.h"

enum { BLOB_PATH = DIGEST_HEX + 32 };

static const char layout_text[] = "{\"imageLayoutVersion\":\"1.0.0\"}";

/* The images of one archive, and how each is called in it. */
struct set {
	struct kept *images;
	struct strv *names;
	size_t n;
};

static void set_done(struct set *set)
{
	for (size_t i = 0; set->images && set->names && i < set->n; i++) {
		kept_done(&set->images[i]);
		strv_done(&set->names[i]);
	}
	free(set->images);
	free(set->names);
}

/* Where the image is in the set, or n. */
static size_t set_find(const struct set *set, size_t n, const char *id)
{
	size_t at = 0;

	while (at < n && strcmp(set->images[at].image.id, id) != 0)
		at++;
	return at;
}

/* Asked for by name: that name; else all it has. */
static int add_names(struct strv *names, const struct image *image, const char *what,
		     struct err *err)
{
	const char *hex = what;

	(void)str_prefix(what, "sha256:", &hex);
	bool by_id = strncmp(image->id, hex, strlen(hex)) == 0;
	if (!by_id && image->name)
		return str_in(image->name,
			      (const char *const *)(names->v ? names->v : (char *[]){NULL}))
			       ? 0
			       : strv_add(names, image->name, err);
	return names->n > 0 ? 0 : strv_add_all(names, &image->names, err);
}

static int set_open(const struct store *store, const char *const *names, size_t n, struct set *set,
		    struct err *err)
{
	set->images = calloc(n + 1, sizeof(*set->images));
	set->names = calloc(n + 1, sizeof(*set->names));
	if (!set->images || !set->names)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		AUTO_KEPT struct kept k = {0};
		int r = kept_open(store, names[i], &k, err);
		if (r < 0)
			return r;
		size_t at = set_find(set, set->n, k.image.id);
		r = add_names(&set->names[at], &k.image, names[i], err);
		if (r < 0)
			return r;
		if (at == set->n) {
			set->images[set->n++] = k;
			k = (struct kept){0};
		}
	}
	return 0;
}

/* --- the documents --- */

static void put_digest(struct json_out *out, const char *key, const char *prefix, const char *hex)
{
	char text[BLOB_PATH];

	(void)snprintf(text, sizeof(text), "%s%s", prefix, hex);
	json_put_str(out, key, text);
}

static void put_entry(struct json_out *out, const struct kept *k, const char *name)
{
	json_begin(out, NULL);
	json_put_str(out, "mediaType",
		     strstr(k->manifest, "vnd.docker.distribution.manifest.v2")
			     ? "application/vnd.docker.distribution.manifest.v2+json"
			     : "application/vnd.oci.image.manifest.v1+json");
	put_digest(out, "digest", "sha256:", k->manifest_digest);
	json_put_uint(out, "size", strlen(k->manifest));
	if (name) {
		json_begin(out, "annotations");
		json_put_str(out, "io.containerd.image.name", name);
		json_put_str(out, "org.opencontainers.image.ref.name", name);
		json_end(out);
	}
	json_begin(out, "platform");
	json_put_str(out, "architecture", k->image.architecture);
	json_put_str(out, "os", k->image.os);
	if (k->image.variant)
		json_put_str(out, "variant", k->image.variant);
	json_end(out);
	json_end(out);
}

static void put_index(struct buf *to, const struct set *set)
{
	struct json_out out = JSON_OUT(to, false);

	json_begin(&out, NULL);
	json_put_int(&out, "schemaVersion", 2);
	json_put_str(&out, "mediaType", "application/vnd.oci.image.index.v1+json");
	json_begin_array(&out, "manifests");
	for (size_t i = 0; i < set->n; i++) {
		for (size_t k = 0; k < set->names[i].n; k++)
			put_entry(&out, &set->images[i], set->names[i].v[k]);
		if (set->names[i].n == 0)
			put_entry(&out, &set->images[i], NULL);
	}
	json_end_array(&out);
	json_end(&out);
}

/* docker's manifest.json. */
static void put_manifests(struct buf *to, const struct set *set)
{
	struct json_out out = JSON_OUT(to, false);

	json_begin_array(&out, NULL);
	for (size_t i = 0; i < set->n; i++) {
		const struct kept *k = &set->images[i];
		json_begin(&out, NULL);
		put_digest(&out, "Config", "blobs/sha256/", k->id);
		if (set->names[i].n > 0)
			json_put_strv(&out, "RepoTags", &set->names[i]);
		else
			json_put_null(&out, "RepoTags");
		json_begin_array(&out, "Layers");
		for (size_t l = 0; l < k->image.layers.n; l++)
			put_digest(&out, NULL, "blobs/sha256/", k->layers[l].digest);
		json_end_array(&out);
		json_end(&out);
	}
	json_end_array(&out);
}

/* How many bytes of a name are its repository; each name in the store has a tag. */
static size_t repository_len(const char *name)
{
	const char *colon = strrchr(name, ':');

	return colon ? (size_t)(colon - name) : strlen(name);
}

/* One name after the other, of all images: false behind the last. */
static bool next_name(const struct set *set, size_t *image, size_t *name)
{
	(*name)++;
	while (*image < set->n && *name >= set->names[*image].n) {
		(*image)++;
		*name = 0;
	}
	return *image < set->n;
}

/* Every tag of the repository that the name `of` begins with. */
static void put_tags(struct json_out *out, const struct set *set, const char *of)
{
	size_t len = repository_len(of);

	for (size_t i = 0, k = SIZE_MAX; next_name(set, &i, &k);) {
		const char *name = set->names[i].v[k];
		size_t top = set->images[i].image.layers.n;
		if (top > 0 && repository_len(name) == len && strncmp(name, of, len) == 0 &&
		    name[len] == ':')
			json_put_str(out, name + len + 1, set->images[i].layers[top - 1].digest);
	}
}

/* docker's table of before manifest.json: repository, tag, top layer. */
static void put_repositories(struct buf *to, const struct set *set)
{
	struct json_out out = JSON_OUT(to, false);
	AUTO_BUF struct buf done = BUF_INIT; /* repositories that were put, each between newlines */

	buf_str(&done, "\n");
	json_begin(&out, NULL);
	for (size_t i = 0, k = SIZE_MAX; next_name(set, &i, &k);) {
		const char *name = set->names[i].v[k];
		char text[512];
		(void)snprintf(text, sizeof(text), "\n%.*s\n", (int)repository_len(name), name);
		if (!done.data || strstr(done.data, text))
			continue;
		buf_str(&done, text + 1);
		text[strlen(text) - 1] = '\0';
		json_begin(&out, text + 1);
		put_tags(&out, set, name);
		json_end(&out);
	}
	json_end(&out);
	to->bad |= done.bad;
}

/* --- the archive --- */

static int write_fd(void *ctx, const void *bytes, size_t n, struct err *err)
{
	const int *fd = ctx;

	return write_all(*fd, bytes, n, "the archive", err);
}

static int emit_header(struct tar_emitter *tar, const char *path, mode_t mode, uint64_t size,
		       struct err *err)
{
	const struct tree_entry entry = {.path = path, .mode = mode};

	return tar_emit_entry(tar, &entry, size, err);
}

static int emit_text(struct tar_emitter *tar, const char *path, const char *text, size_t n,
		     struct err *err)
{
	int r = emit_header(tar, path, S_IFREG | 0644, n, err);

	if (r == 0)
		r = tar_emit_content(tar, text, n, err);
	return r < 0 ? r : tar_emit_padding(tar, n, err);
}

static int emit_buf(struct tar_emitter *tar, const char *path, struct buf *text, struct err *err)
{
	int r = buf_check(text, err);

	if (r == 0)
		r = emit_text(tar, path, text->data, text->len, err);
	buf_clear(text);
	return r;
}

static int emit_documents(struct tar_emitter *tar, const struct set *set, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;

	int r = emit_text(tar, "oci-layout", layout_text, strlen(layout_text), err);
	put_index(&text, set);
	if (r == 0)
		r = emit_buf(tar, "index.json", &text, err);
	put_manifests(&text, set);
	if (r == 0)
		r = emit_buf(tar, "manifest.json", &text, err);
	put_repositories(&text, set);
	if (r == 0)
		r = emit_buf(tar, "repositories", &text, err);
	if (r == 0)
		r = emit_header(tar, "blobs", S_IFDIR | 0755, 0, err);
	return r < 0 ? r : emit_header(tar, "blobs/sha256", S_IFDIR | 0755, 0, err);
}

/* Answers 1 and the blob's path when it is not in the archive yet. */
static int is_new(struct strv *done, const char *hex, char path[BLOB_PATH], struct err *err)
{
	(void)snprintf(path, BLOB_PATH, "blobs/sha256/%s", hex);
	for (size_t i = 0; i < done->n; i++) {
		if (strcmp(done->v[i], hex) == 0)
			return 0;
	}
	int r = strv_add(done, hex, err);
	return r < 0 ? r : 1;
}

static int emit_document_blob(struct tar_emitter *tar, struct strv *done, const char *hex,
			      const char *text, struct err *err)
{
	char path[BLOB_PATH];

	int r = is_new(done, hex, path, err);
	return r > 0 ? emit_text(tar, path, text, strlen(text), err) : r;
}

static int emit_image(const struct store *store, struct tar_emitter *tar, const struct kept *k,
		      struct strv *done, struct err *err)
{
	char path[BLOB_PATH];

	int r = emit_document_blob(tar, done, k->manifest_digest, k->manifest, err);
	if (r == 0)
		r = emit_document_blob(tar, done, k->id, k->config, err);
	for (size_t i = 0; r == 0 && i < k->image.layers.n; i++) {
		const struct kept_layer *layer = &k->layers[i];
		r = is_new(done, layer->digest, path, err);
		if (r <= 0)
			continue;
		r = emit_header(tar, path, S_IFREG | 0644, layer->size, err);
		if (r == 0)
			r = kept_write(store, k, i, tar_emit_content, tar, err);
		if (r == 0)
			r = tar_emit_padding(tar, layer->size, err);
	}
	return r;
}

int save_archive(const struct store *store, const char *const *names, size_t n, int fd,
		 struct err *err)
{
	AUTO(set_done) struct set set = {0};
	AUTO(auto_tar_emitter_free) struct tar_emitter *tar = NULL;
	AUTO_STRV struct strv done = {0};
	struct layer_info info;

	int r = set_open(store, names, n, &set, err);
	if (r == 0)
		r = tar_emitter_new(write_fd, &fd, &tar, err);
	if (r == 0)
		r = emit_documents(tar, &set, err);
	for (size_t i = 0; r == 0 && i < set.n; i++) {
		r = emit_image(store, tar, &set.images[i], &done, err);
		if (r < 0)
			(void)err_wrap(err, "image '%.12s'", set.images[i].image.id);
	}
	return r < 0 ? r : tar_emit_end(tar, &info, err);
}

/* --- the layout --- */

static int put_file(int dirfd, const char *path, const char *text, size_t n, struct err *err)
{
	AUTO_CLOSE int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	return fd < 0 ? err_sys(err, "create '%s'", path) : write_all(fd, text, n, path, err);
}

static int put_layer(const struct store *store, const struct kept *k, size_t i, int dirfd,
		     struct err *err)
{
	char path[BLOB_PATH];

	(void)snprintf(path, sizeof(path), "blobs/sha256/%s", k->layers[i].digest);
	if (k->layers[i].blob)
		return linkat(store->root_fd, path, dirfd, path, 0) < 0 && errno != EEXIST
			       ? err_sys(err, "link '%s'", path)
			       : 0;
	AUTO_CLOSE int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == EEXIST ? 0 : err_sys(err, "create '%s'", path);
	return kept_write(store, k, i, write_fd, &fd, err);
}

int save_layout(const struct store *store, const char *what, int dirfd, struct err *err)
{
	AUTO(set_done) struct set set = {0};
	AUTO_BUF struct buf index = BUF_INIT;
	char path[BLOB_PATH];

	int r = set_open(store, &what, 1, &set, err);
	if (r < 0)
		return r;
	const struct kept *k = &set.images[0];
	put_index(&index, &set);
	r = buf_check(&index, err);
	if (r == 0 &&
	    (mkdirat(dirfd, "blobs", 0700) < 0 || mkdirat(dirfd, "blobs/sha256", 0700) < 0))
		r = err_sys(err, "make folder 'blobs'");
	if (r == 0)
		r = put_file(dirfd, "oci-layout", layout_text, strlen(layout_text), err);
	if (r == 0)
		r = put_file(dirfd, "index.json", index.data, index.len, err);
	(void)snprintf(path, sizeof(path), "blobs/sha256/%s", k->manifest_digest);
	if (r == 0)
		r = put_file(dirfd, path, k->manifest, strlen(k->manifest), err);
	(void)snprintf(path, sizeof(path), "blobs/sha256/%s", k->id);
	if (r == 0)
		r = put_file(dirfd, path, k->config, strlen(k->config), err);
	for (size_t i = 0; r == 0 && i < k->image.layers.n; i++)
		r = put_layer(store, k, i, dirfd, err);
	return r;
}
