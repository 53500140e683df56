/* SPDX-License-Identifier: Apache-2.0 */
#include "image/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/db.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/json.h"
#include "base/store.h"
#include "image/digest.h"
#include "image/sha256.h"

#define LAYER_TYPE "application/vnd.oci.image.layer.v1.tar"

enum { CHUNK = 256 << 10 };

void kept_done(struct kept *kept)
{
	image_done(&kept->image);
	free(kept->config);
	free(kept->manifest);
	free(kept->layers);
	*kept = (struct kept){0};
}

static int open_in(const struct store *store, const char *folder, const char *name,
		   const char *ending, struct err *err)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%.80s%s", folder, name, ending);
	int fd = openat(store->root_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? err_sys(err, "open '%s/%s'", store->root, path) : fd;
}

int kept_open_blob(const struct store *store, const char *hex, struct err *err)
{
	return open_in(store, "blobs/sha256", hex, "", err);
}

int kept_open_layer(const struct store *store, const char *key, struct err *err)
{
	return open_in(store, "layers", key, ".erofs", err);
}

/* By what a blob begins with. */
static const char *media_type(int fd)
{
	uint8_t head[4] = {0};

	if (pread(fd, head, sizeof(head), 0) != sizeof(head))
		return LAYER_TYPE;
	if (head[0] == 0x1f && head[1] == 0x8b)
		return LAYER_TYPE "+gzip";
	return memcmp(head, "\x28\xb5\x2f\xfd", 4) == 0 ? LAYER_TYPE "+zstd" : LAYER_TYPE;
}

/* Whether the blob is there in full: then layer i goes out as it. */
static int take_blob(const struct store *store, const char *blob, uint64_t size,
		     struct kept_layer *layer)
{
	struct err ignored = ERR_INIT; /* pruned: the layer file is there */
	struct stat st;

	AUTO_CLOSE int fd = blob && digest_is_hex(blob, strlen(blob))
				    ? kept_open_blob(store, blob, &ignored)
				    : -1;
	if (fd < 0 || fstat(fd, &st) < 0 || (uint64_t)st.st_size != size)
		return 0;
	memcpy(layer->digest, blob, DIGEST_HEX + 1);
	layer->size = size;
	layer->media_type = media_type(fd);
	layer->blob = true;
	return 1;
}

/* upper: there are layers below it. */
static int take_tar(const struct store *store, const char *key, bool upper,
		    struct kept_layer *layer, struct err *err)
{
	struct layer_info info = {0};

	AUTO_CLOSE int fd = kept_open_layer(store, key, err);
	if (fd < 0)
		return fd;
	int r = layer_write_tar(fd, upper, NULL, NULL, &info, err);
	if (r < 0)
		return err_wrap(err, "layer file %.12s", key);
	sha256_format(info.diff_id, layer->digest);
	memcpy(layer->diff_id, layer->digest, DIGEST_HEX + 1);
	layer->size = info.tar_bytes;
	layer->media_type = LAYER_TYPE;
	return 0;
}

/* Decides for each layer what of it goes out. */
static int take_layers(const struct store *store, struct kept *k, bool *ret_all_blobs,
		       struct err *err)
{
	AUTO(auto_rows_free) struct rows *rows = NULL;
	size_t i = 0;

	k->layers = calloc(k->image.layers.n + 1, sizeof(*k->layers));
	if (!k->layers)
		return err_set(err, ENOMEM, "out of memory");
	*ret_all_blobs = true;
	int r = db_query(store->db,
			 "SELECT blob, blob_size FROM manifest_layer WHERE manifest=?"
			 " ORDER BY position",
			 DB_VALUES(DB_TEXT(k->image.id)), &rows, err);
	for (; r >= 0 && (r = rows_next(rows, err)) > 0 && i < k->image.layers.n; i++) {
		struct kept_layer *layer = &k->layers[i];
		memcpy(layer->diff_id, k->image.diff_ids.v[i], DIGEST_HEX + 1);
		if (take_blob(store, rows_text(rows, 0), (uint64_t)rows_int(rows, 1), layer))
			continue;
		*ret_all_blobs = false;
		r = take_tar(store, k->image.layer_keys.v[i], i > 0, layer, err);
		k->changed |= r == 0 && strcmp(layer->diff_id, k->image.diff_ids.v[i]) != 0;
	}
	if (r >= 0 && i != k->image.layers.n)
		r = err_set(err, ENOENT, "image '%.12s': was just removed", k->image.id);
	return r < 0 ? r : 0;
}

/* The config with the diff-ids of what goes out. */
static int change_config(struct kept *k, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	struct json_object *rootfs = NULL;

	int r = json_parse(k->image.json, strlen(k->image.json), IMAGE_JSON_MAX, "image config",
			   &doc, err);
	if (r == 0)
		r = json_need(json_get_obj(doc, "rootfs", &rootfs, err), "rootfs", err);
	if (r < 0)
		return r;
	struct json_object *ids = json_object_new_array();
	for (size_t i = 0; i < k->image.layers.n; i++) {
		char text[DIGEST_HEX + 8];
		(void)snprintf(text, sizeof(text), "sha256:%s", k->layers[i].diff_id);
		json_object_array_add(ids, json_object_new_string(text));
	}
	json_object_object_add(rootfs, "diff_ids", ids);
	const char *text = json_object_to_json_string_ext(doc,
							  JSON_C_TO_STRING_PLAIN |
								  JSON_C_TO_STRING_NOSLASHESCAPE);
	k->config = text ? strdup(text) : NULL;
	return k->config ? 0 : err_set(err, ENOMEM, "out of memory");
}

static void put_descriptor(struct json_out *out, const char *key, const char *type,
			   const char *digest, uint64_t size)
{
	char text[DIGEST_HEX + 8];

	(void)snprintf(text, sizeof(text), "sha256:%s", digest);
	json_begin(out, key);
	json_put_str(out, "mediaType", type);
	json_put_str(out, "digest", text);
	json_put_uint(out, "size", size);
	json_end(out);
}

static int make_manifest(struct kept *k, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct json_out out = JSON_OUT(&text, false);

	json_begin(&out, NULL);
	json_put_int(&out, "schemaVersion", 2);
	json_put_str(&out, "mediaType", "application/vnd.oci.image.manifest.v1+json");
	put_descriptor(&out, "config", "application/vnd.oci.image.config.v1+json", k->id,
		       strlen(k->config));
	json_begin_array(&out, "layers");
	for (size_t i = 0; i < k->image.layers.n; i++)
		put_descriptor(&out, NULL, k->layers[i].media_type, k->layers[i].digest,
			       k->layers[i].size);
	json_end_array(&out);
	json_end(&out);
	int r = buf_check(&text, err);
	if (r == 0)
		k->manifest = buf_take(&text);
	return r < 0 || k->manifest ? r : err_set(err, ENOMEM, "out of memory");
}

/* The manifest it came with when everything it names goes out, else one of our own. */
static int settle_manifest(const struct store *store, struct kept *k, bool all_blobs,
			   struct err *err)
{
	int r = 0;

	if (all_blobs && !k->changed)
		r = db_text(store->db, "SELECT manifest FROM manifest WHERE id=?",
			    DB_VALUES(DB_TEXT(k->image.id)), &k->manifest, err);
	if (r == 0)
		r = make_manifest(k, err);
	if (r >= 0)
		r = sha256_hex(k->manifest, strlen(k->manifest), k->manifest_digest, err);
	return r;
}

static int settle(const struct store *store, struct kept *k, struct err *err)
{
	bool all_blobs = false;

	int r = take_layers(store, k, &all_blobs, err);
	if (r < 0)
		return r;
	if (k->changed) {
		r = change_config(k, err);
	} else {
		k->config = strdup(k->image.json);
		r = k->config ? 0 : err_set(err, ENOMEM, "out of memory");
	}
	if (r == 0)
		r = sha256_hex(k->config, strlen(k->config), k->id, err);
	if (r == 0 && !k->changed && strcmp(k->id, k->image.id) != 0)
		r = err_set(err, EUCLEAN, "its config has the digest %s", k->id);
	return r < 0 ? r : settle_manifest(store, k, all_blobs, err);
}

int kept_open(const struct store *store, const char *what, struct kept *ret, struct err *err)
{
	AUTO_KEPT struct kept k = {0};

	int r = image_find(store, what, &k.image, err);
	if (r < 0)
		return r;
	r = settle(store, &k, err);
	if (r < 0)
		return err_wrap(err, "image '%.200s'", what);
	*ret = k;
	k = (struct kept){0};
	return 0;
}

/* A kept blob, hashed on its way. */
static int write_blob(const struct store *store, const struct kept_layer *layer,
		      layer_write_fn *write, void *ctx, struct err *err)
{
	AUTO(auto_digest_free) struct digest *digest = NULL;
	AUTO_FREE char *chunk = malloc(CHUNK);
	AUTO_CLOSE int fd = kept_open_blob(store, layer->digest, err);
	uint8_t sum[LAYER_DIGEST];
	char hex[DIGEST_HEX + 1];
	uint64_t left = layer->size;

	if (fd < 0)
		return fd;
	if (!chunk)
		return err_set(err, ENOMEM, "out of memory");
	int r = digest_new(&digest, err);
	while (r == 0 && left > 0) {
		size_t want = left < CHUNK ? (size_t)left : CHUNK;
		ssize_t n = read_upto(fd, chunk, want, "a kept blob", err);
		if (n <= 0)
			return n < 0 ? (int)n : err_set(err, EUCLEAN, "it became shorter");
		r = digest_add(digest, chunk, (size_t)n, err);
		if (r == 0)
			r = write(ctx, chunk, (size_t)n, err);
		left -= (uint64_t)n;
	}
	if (r == 0)
		r = digest_end(digest, sum, err);
	if (r < 0)
		return r;
	sha256_format(sum, hex);
	return strcmp(hex, layer->digest) == 0
		       ? 0
		       : err_set(err, EUCLEAN, "it has the digest %s (see hull system repair)",
				 hex);
}

static int write_tar(const struct store *store, const struct kept *kept, size_t i,
		     layer_write_fn *write, void *ctx, struct err *err)
{
	struct layer_info info = {0};
	char hex[DIGEST_HEX + 1];

	AUTO_CLOSE int fd = kept_open_layer(store, kept->image.layer_keys.v[i], err);
	if (fd < 0)
		return fd;
	int r = layer_write_tar(fd, i > 0, write, ctx, &info, err);
	if (r < 0)
		return r;
	sha256_format(info.diff_id, hex);
	return strcmp(hex, kept->layers[i].digest) == 0
		       ? 0
		       : err_set(err, EUCLEAN, "it changed while it was read");
}

int kept_write(const struct store *store, const struct kept *kept, size_t i, layer_write_fn *write,
	       void *ctx, struct err *err)
{
	const struct kept_layer *layer = &kept->layers[i];

	int r = layer->blob ? write_blob(store, layer, write, ctx, err)
			    : write_tar(store, kept, i, write, ctx, err);
	return r < 0 ? err_wrap(err, "%s %.12s", layer->blob ? "blob" : "layer", layer->digest) : 0;
}
