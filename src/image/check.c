/* SPDX-License-Identifier: Apache-2.0 */
#include "image/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/db.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/store.h"
#include "base/str.h"
#include "image/check_chain.h"
#include "image/digest.h"
#include "image/kept.h"
#include "image/sha256.h"

enum { CHUNK = 1 << 20 };

/* A check at work. */
struct check {
	const struct store *store; /* borrowed */
	struct mounter *mounter; /* borrowed */
	bool quick;
	damage_fn *fn;
	void *ctx;
};

const char *damage_name(enum damage kind)
{
	static const char *const names[] = {
		[DAMAGE_RECORDS] = "records",
		[DAMAGE_IMAGE] = "image",
		[DAMAGE_LAYER] = "layer",
		[DAMAGE_BLOB] = "blob",
	};

	return names[kind];
}

/* What failed is a damage when it is about content, else it ends the check: no memory is none. */
static int tell(const struct check *c, enum damage kind, const char *key, const struct err *why,
		struct err *err)
{
	if (why->code == ENOMEM || why->code == EBUSY || why->code == EMFILE ||
	    why->code == ENFILE || why->code == ENOSPC)
		return err_set(err, why->code, "%s %.64s: %s", damage_name(kind), key, why->msg);
	return c->fn(c->ctx, kind, key, why->msg, err);
}

/* --- records --- */

/* Every row of a query that names damage, but for `fine`. */
static int check_rows(const struct check *c, const char *sql, const char *fine, struct err *err)
{
	AUTO(auto_rows_free) struct rows *rows = NULL;

	int r = db_query(c->store->db, sql, NULL, &rows, err);
	while (r >= 0 && (r = rows_next(rows, err)) > 0) {
		const char *text = rows_text(rows, 0);
		if (fine && text && strcmp(text, fine) == 0)
			continue;
		r = c->fn(c->ctx, DAMAGE_RECORDS, "db", text ? text : "unknown", err);
	}
	return r;
}

static int check_records(const struct check *c, struct err *err)
{
	int r = check_rows(c,
			   c->quick ? "PRAGMA main.quick_check(20)"
				    : "PRAGMA main.integrity_check(20)",
			   "ok", err);
	if (r == 0)
		r = check_rows(c,
			       "SELECT 'a row of ' || \"table\" || ' names one of ' || parent ||"
			       " ' that is not there' FROM pragma_foreign_key_check LIMIT 20",
			       NULL, err);
	if (r == 0)
		r = check_rows(c,
			       "SELECT 'layer ' || key || ' belongs to no image' FROM layer WHERE"
			       " NOT EXISTS (SELECT 1 FROM manifest_layer WHERE layer=key)",
			       NULL, err);
	return r;
}

static int judge_document(const char *what, const char *text, const char *digest, struct err *err)
{
	char hex[DIGEST_HEX + 1];

	int r = sha256_hex(text, strlen(text), hex, err);
	if (r == 0 && strcmp(hex, digest) != 0)
		r = err_set(err, EUCLEAN, "its %s has the digest %s", what, hex);
	return r;
}

/* The image's documents, and that its layers are those its config names. */
static int judge_image(const struct store *store, const char *id, struct err *err)
{
	AUTO_IMAGE struct image image = {0};
	AUTO_FREE char *manifest = NULL;

	int r = image_find(store, id, &image, err);
	if (r == 0)
		r = judge_document("config", image.json, id, err);
	if (r == 0)
		r = db_text(store->db, "SELECT manifest FROM manifest WHERE id=?",
			    DB_VALUES(DB_TEXT(id)), &manifest, err);
	if (r >= 0 && manifest && image.manifest_digest)
		r = judge_document("manifest", manifest, image.manifest_digest, err);
	for (size_t i = 0; r >= 0 && i < image.layer_keys.n; i++) {
		int64_t one = 0;
		r = db_int(store->db, "SELECT 1 FROM layer WHERE key=? AND diff_id=?",
			   DB_VALUES(DB_TEXT(image.layer_keys.v[i]), DB_TEXT(image.diff_ids.v[i])),
			   &one, err);
		if (r == 0)
			r = err_set(err, EUCLEAN, "its layer %zu is another than its config says",
				    i);
	}
	return r < 0 ? r : 0;
}

/* The first column of all rows, so that no query stays open while content is read. */
static int list_keys(const struct store *store, const char *sql, struct strv *ret, struct err *err)
{
	AUTO(auto_rows_free) struct rows *rows = NULL;

	int r = db_query(store->db, sql, NULL, &rows, err);
	while (r >= 0 && (r = rows_next(rows, err)) > 0)
		r = strv_add(ret, rows_text(rows, 0) ? rows_text(rows, 0) : "", err);
	return r;
}

/* Whether the row is still there: removed meanwhile is no damage. */
static int is_there(const struct store *store, const char *sql, const char *key, struct err *err)
{
	int64_t one = 0;

	return db_int(store->db, sql, DB_VALUES(DB_TEXT(key)), &one, err);
}

/* Judges each key that `list` gives; `there` asks whether it is still recorded. */
static int check_each(const struct check *c, enum damage kind, const char *list, const char *there,
		      int (*judge)(const struct check *c, const char *key, struct err *err),
		      struct err *err)
{
	AUTO_STRV struct strv keys = {0};

	int r = list_keys(c->store, list, &keys, err);
	for (size_t i = 0; r >= 0 && i < keys.n; i++) {
		struct err why = ERR_INIT;
		if (judge(c, keys.v[i], &why) >= 0)
			continue;
		r = is_there(c->store, there, keys.v[i], err);
		if (r > 0)
			r = tell(c, kind, keys.v[i], &why, err);
	}
	return r;
}

static int check_image(const struct check *c, const char *key, struct err *err)
{
	return judge_image(c->store, key, err);
}

/* --- blobs --- */

/* The digest of all that is left in fd. */
static int rest_digest(int fd, char ret[DIGEST_HEX + 1], struct err *err)
{
	AUTO(auto_digest_free) struct digest *digest = NULL;
	AUTO_FREE char *chunk = malloc(CHUNK);
	uint8_t sum[LAYER_DIGEST];
	ssize_t n = 0;

	if (!chunk)
		return err_set(err, ENOMEM, "out of memory");
	int r = digest_new(&digest, err);
	while (r == 0 && (n = read_upto(fd, chunk, CHUNK, "blob", err)) > 0)
		r = digest_add(digest, chunk, (size_t)n, err);
	if (n < 0)
		return (int)n;
	if (r == 0)
		r = digest_end(digest, sum, err);
	if (r == 0)
		sha256_format(sum, ret);
	return r;
}

static int judge_blob_size(const struct check *c, const char *hex, int fd, struct err *err)
{
	struct stat st;
	int64_t size = 0;

	int r = db_int(c->store->db, "SELECT blob_size FROM manifest_layer WHERE blob=? LIMIT 1",
		       DB_VALUES(DB_TEXT(hex)), &size, err);
	if (r <= 0)
		return r;
	if (fstat(fd, &st) < 0)
		return err_sys(err, "stat");
	if (!S_ISREG(st.st_mode) || st.st_size != size)
		return err_set(err, EUCLEAN, "it has %jd bytes, not %jd", (intmax_t)st.st_size,
			       (intmax_t)size);
	return 0;
}

static int judge_blob(const struct check *c, const char *hex, struct err *err)
{
	struct err absent = ERR_INIT;
	char found[DIGEST_HEX + 1];

	AUTO_CLOSE int fd = kept_open_blob(c->store, hex, &absent);
	if (fd < 0)
		return absent.code == ENOENT ? 0 : err_set(err, absent.code, "%s", absent.msg);
	int r = judge_blob_size(c, hex, fd, err);
	if (r < 0 || c->quick)
		return r;
	r = rest_digest(fd, found, err);
	if (r == 0 && strcmp(found, hex) != 0)
		r = err_set(err, EUCLEAN, "it has the digest %s", found);
	return r;
}

/* --- layers --- */

struct layer_row {
	char diff_id[DIGEST_HEX + 1], blob[DIGEST_HEX + 1]; /* blob "": none was kept */
	bool chain;
	int64_t size, format;
};

static int find_row(const struct store *store, const char *key, struct layer_row *ret,
		    struct err *err)
{
	AUTO(auto_rows_free) struct rows *rows = NULL;

	int r = db_query(store->db,
			 "SELECT diff_id, chain, size, format, (SELECT blob FROM manifest_layer"
			 " WHERE layer=key AND blob IS NOT NULL LIMIT 1) FROM layer WHERE key=?",
			 DB_VALUES(DB_TEXT(key)), &rows, err);
	if (r == 0)
		r = rows_next(rows, err);
	if (r < 0)
		return r;
	const char *diff_id = r > 0 ? rows_text(rows, 0) : NULL;
	const char *blob = r > 0 ? rows_text(rows, 4) : NULL;
	if (!diff_id || !digest_is_hex(diff_id, strlen(diff_id)) ||
	    (blob && !digest_is_hex(blob, strlen(blob))) || !digest_is_hex(key, strlen(key)))
		return err_set(err, EUCLEAN, "its record is damaged");
	*ret = (struct layer_row){.chain = rows_int(rows, 1) != 0,
				  .size = rows_int(rows, 2),
				  .format = rows_int(rows, 3)};
	memcpy(ret->diff_id, diff_id, DIGEST_HEX + 1);
	if (blob)
		memcpy(ret->blob, blob, DIGEST_HEX + 1);
	return 0;
}

static int same_bytes(int a, int b, struct err *err)
{
	AUTO_FREE char *room = malloc((size_t)2 * CHUNK);
	off_t at = 0;

	if (!room)
		return err_set(err, ENOMEM, "out of memory");
	for (;;) {
		ssize_t n = pread(a, room, CHUNK, at);
		ssize_t m = pread(b, room + CHUNK, CHUNK, at);
		if (n < 0 || m < 0)
			return err_sys(err, "read");
		if (n != m || memcmp(room, room + CHUNK, (size_t)n) != 0)
			return err_set(err, EUCLEAN, "its content is not what its blob holds");
		if (n == 0)
			return 0;
		at += n;
	}
}

/* Makes the layer again of its blob, in a file without a name, and compares. lower, chain: as for
 * layer_finish(). */
static int compare_with_blob(const struct check *c, int fd, int blob,
			     const struct layer_lower *lower, const uint8_t *chain, struct err *err)
{
	AUTO(auto_layer_free) struct layer *layer = NULL;
	AUTO_CLOSE int tmp = openat(c->store->root_fd, "tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (tmp < 0)
		return err_sys(err, "create a file in '%s/tmp'", c->store->root);
	int r = layer_new(tmp, NULL, &layer, err);
	if (r == 0)
		r = layer_read_tar(layer, layer_read_fd, &blob, err);
	if (r == 0)
		r = layer_finish(layer, lower, chain, err);
	return r < 0 ? r : same_bytes(fd, tmp, err);
}

/* The same for a layer that is also made of what lies below it. */
static int compare_chained(const struct check *c, const char *key, int fd, int blob,
			   struct err *err)
{
	AUTO(auto_check_chain_free) struct check_chain *below = NULL;
	uint8_t chain[LAYER_DIGEST];

	int r = check_chain_new(c->store, c->mounter, key, &below, err);
	if (r <= 0)
		return r;
	sha256_unformat(key, chain);
	return compare_with_blob(c, fd, blob, check_chain_lower(below), chain, err);
}

/* A layer that never was another's tar has its own tar's digest as its diff-id. */
static int compare_with_digest(const struct layer_row *row, int fd, struct err *err)
{
	struct layer_info info = {0};
	char hex[DIGEST_HEX + 1];

	int r = layer_write_tar(fd, false, NULL, NULL, &info, err);
	if (r < 0)
		return r;
	sha256_format(info.diff_id, hex);
	return strcmp(hex, row->diff_id) == 0
		       ? 0
		       : err_set(err, EUCLEAN, "its content is not what its diff-id says");
}

static int compare_content(const struct check *c, const char *key, const struct layer_row *row,
			   int fd, struct err *err)
{
	struct err ignored = ERR_INIT; /* not kept any more: nothing to compare with */
	struct err bad = ERR_INIT; /* a damaged blob is told as such, and is no proof */

	if (row->blob[0] == '\0') /* what has a tar's digest only with those below has none here */
		return row->chain ? 0 : compare_with_digest(row, fd, err);
	AUTO_CLOSE int blob = kept_open_blob(c->store, row->blob, &ignored);
	if (blob < 0 || judge_blob(c, row->blob, &bad) < 0)
		return 0;
	return row->chain ? compare_chained(c, key, fd, blob, err)
			  : compare_with_blob(c, fd, blob, NULL, NULL, err);
}

static int judge_layer(const struct check *c, const char *key, struct err *err)
{
	struct layer_row row;
	uint8_t diff_id[LAYER_DIGEST], chain[LAYER_DIGEST];
	uint64_t names = 0;
	struct stat st;

	int r = find_row(c->store, key, &row, err);
	if (r < 0)
		return r;
	AUTO_CLOSE int fd = kept_open_layer(c->store, key, err);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return err_sys(err, "stat");
	if (st.st_size != row.size)
		return err_set(err, EUCLEAN, "it has %jd bytes, not %jd", (intmax_t)st.st_size,
			       (intmax_t)row.size);
	if (row.format != LAYER_FORMAT)
		return err_set(err, EUCLEAN, "it has the unknown format %jd", (intmax_t)row.format);
	sha256_unformat(row.diff_id, diff_id);
	sha256_unformat(key, chain);
	r = layer_check(fd, diff_id, row.chain ? chain : NULL, &names, err);
	return r == 0 && !c->quick ? compare_content(c, key, &row, fd, err) : r;
}

int store_check(const struct store *store, struct mounter *mounter, bool quick, damage_fn *fn,
		void *ctx, struct err *err)
{
	const struct check c = {store, mounter, quick, fn, ctx};

	AUTO_CLOSE int lock = image_lock(store, false, err);
	if (lock < 0)
		return lock;
	int r = check_records(&c, err);
	if (r >= 0)
		r = check_each(&c, DAMAGE_IMAGE, "SELECT id FROM manifest ORDER BY imported_ns",
			       "SELECT 1 FROM manifest WHERE id=?", check_image, err);
	if (r >= 0)
		r = check_each(&c, DAMAGE_BLOB,
			       "SELECT DISTINCT blob FROM manifest_layer WHERE blob IS NOT NULL",
			       "SELECT 1 FROM manifest_layer WHERE blob=? LIMIT 1", judge_blob,
			       err);
	if (r >= 0)
		r = check_each(&c, DAMAGE_LAYER, "SELECT key FROM layer ORDER BY created_ns, key",
			       "SELECT 1 FROM layer WHERE key=?", judge_layer, err);
	return r < 0 ? r : 0;
}
