/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer is made again by importing the image from its own kept blobs, laid out as an OCI layout:
 * the importer finds that the one file is missing and makes it, from the same bytes the same bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/db.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/store.h"
#include "base/str.h"
#include "image/bundle.h"
#include "image/check.h"
#include "image/import_spec.h"
#include "image/import_work.h"
#include "image/kept.h"
#include "image/save.h"
#include "image/sha256.h"

struct repair {
	const struct store *store; /* borrowed */
	struct mounter *mounter; /* borrowed */
	void (*say)(const char *line);
	struct strv blobs, layers; /* damaged */
	bool stays; /* something is beyond mending */
};

static void repair_done(struct repair *p)
{
	strv_done(&p->blobs);
	strv_done(&p->layers);
}

static void say(const struct repair *p, const char *what, const char *key, const char *then)
{
	AUTO_FREE char *line = NULL;

	if (asprintf(&line, "%s %.64s: %s", what, key, then) < 0)
		line = NULL;
	p->say(line ? line : what);
}

static int note(void *ctx, enum damage kind, const char *key, const char *why, struct err *err)
{
	struct repair *p = ctx;

	say(p, damage_name(kind), key, why);
	if (kind == DAMAGE_BLOB)
		return strv_add(&p->blobs, key, err);
	if (kind == DAMAGE_LAYER)
		return strv_add(&p->layers, key, err);
	say(p, damage_name(kind), key,
	    kind == DAMAGE_IMAGE ? "left as it is (hull rmi takes it away)"
				 : "left as they are: nothing could be trusted in their place");
	p->stays = true;
	return 0;
}

/* Removes a file of the store; absent is fine. */
static int drop_file(const struct store *store, const char *folder, const char *key,
		     const char *ending, struct err *err)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%.64s%s", folder, key, ending);
	if (unlinkat(store->root_fd, path, 0) < 0 && errno != ENOENT)
		return err_sys(err, "remove '%s/%s'", store->root, path);
	return 0;
}

/* Imports the layout in `path`, which is image `id` itself, into what is there of it. */
static int import_layout(const struct repair *p, const char *id, int dir, const char *path,
			 const char *layout, struct err *err)
{
	AUTO(auto_bundle_free) struct bundle *bundle = NULL;
	AUTO(import_spec_done) struct import_spec spec = {0};
	AUTO_IMAGE struct image image = {0};
	AUTO_FREE char *platform = NULL;
	char config[DIGEST_HEX + 1];

	int r = image_find(p->store, id, &image, err);
	if (r < 0)
		return r;
	if (asprintf(&platform, "%s/%s", image.os, image.architecture) < 0) {
		platform = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	const struct image_import what = {.source = layout, .name = "repair", .platform = platform};
	int source = bundle_source(layout, err);
	r = source < 0 ? source : bundle_open(source, layout, dir, &bundle, err);
	if (r == 0)
		r = import_read(bundle, &what, &spec, err);
	if (r == 0)
		r = sha256_hex(spec.config, strlen(spec.config), config, err);
	if (r == 0 && strcmp(config, id) != 0)
		r = err_set(err, ENOENT, "not all of its blobs are kept");
	if (r < 0)
		return r;
	AUTO(import_work_done)
	struct import_work work = {.store = p->store,
				   .bundle = bundle,
				   .mounter = p->mounter,
				   .spec = &spec,
				   .dir = dir,
				   .path = path};
	r = import_make(&work, err);
	return r < 0 ? r : import_commit(&work, id, spec.config, NULL, err);
}

static int import_again(const struct repair *p, const char *id, int dir, const char *path,
			struct err *err)
{
	AUTO_FREE char *layout = path_join(path, "layout");

	if (!layout)
		return err_set(err, ENOMEM, "out of memory");
	if (mkdirat(dir, "layout", 0700) < 0)
		return err_sys(err, "make folder '%s'", layout);
	AUTO_CLOSE int fd = store_folder(dir, "layout", err);
	if (fd < 0)
		return fd;
	int r = save_layout(p->store, id, fd, err);
	return r < 0 ? r : import_layout(p, id, dir, path, layout, err);
}

/* Makes the missing layers of image `id` again. */
static int remake(const struct repair *p, const char *id, struct err *err)
{
	AUTO_FREE char *path = NULL;

	AUTO_CLOSE int dir = image_workdir(p->store, &path, err);
	if (dir < 0)
		return dir;
	int r = import_again(p, id, dir, path, err);
	image_workdir_remove(p->store, path);
	return r;
}

/* The images that have the layer. */
static int users_of(const struct store *store, const char *key, struct strv *ret, struct err *err)
{
	AUTO(auto_rows_free) struct rows *rows = NULL;

	int r = db_query(store->db, "SELECT DISTINCT manifest FROM manifest_layer WHERE layer=?",
			 DB_VALUES(DB_TEXT(key)), &rows, err);
	while (r >= 0 && (r = rows_next(rows, err)) > 0)
		r = strv_add(ret, rows_text(rows, 0), err);
	return r;
}

static int remove_users(struct repair *p, const struct strv *users, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < users->n; i++) {
		AUTO_STRV struct strv done = {0};
		r = image_remove(p->store, users->v[i], true, &done, err);
		for (size_t k = 0; k < done.n; k++)
			p->say(done.v[k]);
	}
	return r;
}

static bool layer_is_there(const struct store *store, const char *key)
{
	struct err ignored = ERR_INIT; /* only whether */

	AUTO_CLOSE int fd = kept_open_layer(store, key, &ignored);
	return fd >= 0;
}

static int mend_layer(struct repair *p, const char *key, struct err *err)
{
	AUTO_STRV struct strv users = {0};
	struct err why = ERR_INIT;

	int r = users_of(p->store, key, &users, err);
	if (r == 0)
		r = drop_file(p->store, "layers", key, ".erofs", err);
	for (size_t i = 0; r == 0 && i < users.n && !layer_is_there(p->store, key); i++) {
		struct err failure = ERR_INIT; /* another image may have what this one lacks */
		if (remake(p, users.v[i], &failure) < 0)
			why = failure;
	}
	if (r < 0)
		return r;
	if (layer_is_there(p->store, key)) {
		say(p, "layer", key, "made again of its kept blob");
		return 0;
	}
	say(p, "layer", key, "cannot be made again:");
	p->say(why.msg);
	return remove_users(p, &users, err);
}

/* Files first that others are made of. */
static int mend(struct repair *p, struct err *err)
{
	AUTO_CLOSE int lock = image_lock(p->store, false, err);
	int r = lock < 0 ? lock : 0;

	for (size_t i = 0; r == 0 && i < p->blobs.n; i++) {
		r = drop_file(p->store, "blobs/sha256", p->blobs.v[i], "", err);
		if (r == 0)
			say(p, "blob", p->blobs.v[i], "removed");
	}
	/* All damaged layers go before one is made again: it may lie on another. */
	for (size_t i = 0; r == 0 && i < p->layers.n; i++)
		r = drop_file(p->store, "layers", p->layers.v[i], ".erofs", err);
	for (size_t i = 0; r == 0 && i < p->layers.n; i++)
		r = mend_layer(p, p->layers.v[i], err);
	return r;
}

int store_repair(const struct store *store, struct mounter *mounter,
		 void (*say_line)(const char *line), struct err *err)
{
	AUTO(repair_done)
	struct repair p = {.store = store, .mounter = mounter, .say = say_line};

	int r = store_check(store, mounter, false, note, &p, err);
	if (r == 0)
		r = mend(&p, err);
	if (r == 0)
		r = image_gc(store, err);
	return r < 0 ? r : p.stays;
}
