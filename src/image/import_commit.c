/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of an import. Files first: each is whole and on disk, and gets its final name by a link
 * that never replaces another's. Then one transaction. Whoever dies in between leaves files that no
 * record names, which image_gc() takes away.
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
#include "base/json.h"
#include "base/store.h"
#include "image/import_work.h"
#include "image/layer.h"
#include "image/verity.h"

/* Gives the file `from` of the importer the name `to` in dir. One that is there has the same
 * content, unless somebody has cut it: then it is replaced. */
static int place(const struct import_work *work, const char *from, int dir, const char *to,
		 struct err *err)
{
	struct stat mine, there;

	if (linkat(work->dir, from, dir, to, 0) == 0)
		return 0;
	if (errno != EEXIST)
		return err_sys(err, "put '%s' in place", to);
	if (fstatat(work->dir, from, &mine, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fstatat(dir, to, &there, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "stat '%s'", to);
	if (mine.st_size == there.st_size)
		return 0;
	return renameat(work->dir, from, dir, to) < 0 ? err_sys(err, "put '%s' in place", to) : 0;
}

static int place_files(struct import_work *work, struct err *err)
{
	AUTO_CLOSE int layers = store_folder(work->store->root_fd, "layers", err);
	AUTO_CLOSE int blobs = layers < 0 ? layers
					  : store_folder(work->store->root_fd, "blobs/sha256", err);
	int r = blobs < 0 ? blobs : 0;

	for (size_t i = 0; r == 0 && i < work->spec->n; i++) {
		struct import_made *made = &work->made[i];
		char name[DIGEST_HEX + 8];
		(void)snprintf(name, sizeof(name), "%s.erofs", made->key);
		auto_close(&made->fd); /* what is open for writing cannot be sealed */
		if (made->file[0])
			r = place(work, made->file, layers, name, err);
		if (r == 0 && made->file[0])
			(void)verity_seal(layers, name);
		if (r == 0 && made->blob_file[0] && made->blob[0])
			r = place(work, made->blob_file, blobs, made->blob, err);
	}
	if (r == 0 && (fsync(layers) < 0 || fsync(blobs) < 0))
		r = err_sys(err, "write the store's folders to disk");
	return r;
}

static int record_layers(struct db *txn, const struct import_work *work, const char *id,
			 struct err *err)
{
	int r = db_run(txn, "DELETE FROM manifest_layer WHERE manifest=?", DB_VALUES(DB_TEXT(id)),
		       err);

	for (size_t i = 0; r >= 0 && i < work->spec->n; i++) {
		const struct import_made *made = &work->made[i];
		r = db_run(
			txn,
			"INSERT INTO layer(key, diff_id, chain, format, size, entries, created_ns)"
			" VALUES(?,?,?,?,?,?,?)"
			" ON CONFLICT(key) DO UPDATE SET size=excluded.size",
			DB_VALUES(DB_TEXT(made->key), DB_TEXT(made->diff_id), DB_INT(made->chain),
				  DB_INT(LAYER_FORMAT), DB_INT(made->image_bytes),
				  DB_INT(made->entries), DB_INT(image_now_ns())),
			err);
		if (r < 0)
			return r;
		bool kept = made->blob[0] != '\0';
		r = db_run(txn,
			   "INSERT INTO manifest_layer(manifest, position, layer, blob, blob_size)"
			   " VALUES(?,?,?,?,?)",
			   DB_VALUES(DB_TEXT(id), DB_INT(i), DB_TEXT(made->key),
				     DB_TEXT(kept ? made->blob : NULL),
				     kept ? DB_INT(made->blob_bytes) : DB_NULL),
			   err);
	}
	return r < 0 ? r : 0;
}

/* Whether the image is there with a manifest, and what comes now has none: then what is there knows
 * more and stays. */
static int knows_more(struct db *txn, const struct import_work *work, const char *id,
		      struct err *err)
{
	int64_t one = 0;

	if (work->spec->manifest)
		return 0;
	return db_int(txn, "SELECT 1 FROM manifest WHERE id=? AND manifest IS NOT NULL",
		      DB_VALUES(DB_TEXT(id)), &one, err);
}

static int record_manifest(struct db *txn, const struct import_work *work, const char *id,
			   const char *config, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	AUTO_IMAGE struct image image = {0};
	uint64_t size = 0;

	int r = json_parse(config, strlen(config), IMAGE_JSON_MAX, "image config", &doc, err);
	if (r == 0)
		r = image_parse_config(doc, &image, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < work->spec->n; i++)
		size += work->made[i].image_bytes;
	const struct import_spec *spec = work->spec;
	r = db_run(txn,
		   "INSERT INTO manifest(id, os, architecture, variant, created_ns, imported_ns,"
		   " size, manifest_digest, manifest, config) VALUES(?,?,?,?,?,?,?,?,?,?)"
		   " ON CONFLICT(id) DO UPDATE SET imported_ns=excluded.imported_ns, removed=0,"
		   " manifest_digest=excluded.manifest_digest, manifest=excluded.manifest",
		   DB_VALUES(DB_TEXT(id), DB_TEXT(image.os), DB_TEXT(image.architecture),
			     DB_TEXT(image.variant), DB_INT(image.created_ns),
			     DB_INT(image_now_ns()), DB_INT(size),
			     DB_TEXT(spec->manifest ? spec->manifest_digest : NULL),
			     DB_TEXT(spec->manifest), DB_TEXT(config)),
		   err);
	return r < 0 ? r : 0;
}

int import_commit(struct import_work *work, const char *id, const char *config, const char *name,
		  struct err *err)
{
	AUTO_TXN struct db *txn = NULL;

	int r = place_files(work, err);
	if (r == 0)
		r = db_begin(work->store->db, &txn, err);
	if (r < 0)
		return r;
	int known = knows_more(txn, work, id, err);
	if (known < 0)
		return known;
	if (known) {
		r = image_pin(txn, id, err);
	} else {
		r = record_manifest(txn, work, id, config, err);
		if (r == 0)
			r = record_layers(txn, work, id, err);
	}
	if (r == 0 && name)
		r = image_set_name(txn, id, name, err);
	if (r == 0)
		r = db_commit(&txn, err);
	return r == 0 ? db_sync(work->store->db, err) : r;
}
