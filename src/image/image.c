/* SPDX-License-Identifier: Apache-2.0 */
/* Finding, listing, naming and removing images: the database's side of the door. */
#include "image/image.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "base/db.h"
#include "base/err.h"
#include "base/json.h"
#include "base/store.h"
#include "image/image_priv.h"

static void config_done(struct image_config *c)
{
	strv_done(&c->entrypoint);
	strv_done(&c->cmd);
	strv_done(&c->env);
	strv_done(&c->exposed);
	strv_done(&c->volumes);
	strv_done(&c->labels);
	strv_done(&c->health.test);
	free(c->workdir);
	free(c->user);
	free(c->stop_signal);
}

void image_done(struct image *image)
{
	free(image->id);
	free(image->name);
	strv_done(&image->names);
	free(image->os);
	free(image->architecture);
	free(image->variant);
	config_done(&image->config);
	strv_done(&image->layers);
	strv_done(&image->layer_keys);
	strv_done(&image->diff_ids);
	free(image->manifest_digest);
	free(image->json);
	*image = (struct image){0};
}

/* By the beginning of an id: 1 and *ret_id, 0 when there is none, EINVAL when there are several. */
static int find_prefix(struct db *db, const char *prefix, char **ret_id, struct err *err)
{
	size_t n = strlen(prefix);

	if (n == 0 || n > DIGEST_HEX || strspn(prefix, "0123456789abcdef") != n)
		return 0;
	AUTO(auto_rows_free) struct rows *rows = NULL;
	int r = db_query(db, "SELECT id FROM manifest WHERE id >= ?1 AND id < ?1 || 'g' LIMIT 2",
			 DB_VALUES(DB_TEXT(prefix)), &rows, err);
	if (r < 0 || (r = rows_next(rows, err)) <= 0)
		return r;
	AUTO_FREE char *id = NULL;
	r = rows_text_copy(rows, 0, &id, err);
	if (r == 0)
		r = rows_next(rows, err);
	if (r > 0)
		return err_set(err, EINVAL, "image '%s': several ids begin so", prefix);
	if (r < 0)
		return r;
	*ret_id = TAKE_PTR(id);
	return 1;
}

/* What was pulled by that digest, which may be the digest of an index that it was chosen from: 1
 * with the id and the name as stored; 0. */
static int find_pulled(struct db *db, const struct reference *ref, char **ret_id, char **ret_name,
		       struct err *err)
{
	AUTO_FREE char *name = NULL;

	if (asprintf(&name, "%s%s%s@sha256:%s", ref->registry ? ref->registry : "",
		     ref->registry ? "/" : "", ref->repository, ref->digest) < 0) {
		name = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	int r = db_text(db, "SELECT manifest FROM image WHERE name=?", DB_VALUES(DB_TEXT(name)),
			ret_id, err);
	if (r > 0)
		*ret_name = TAKE_PTR(name);
	return r;
}

/* By name, with or without digest: 1 with the id and the name as stored; 0. */
static int find_name(struct db *db, const char *what, char **ret_id, char **ret_name,
		     struct err *err)
{
	AUTO_REFERENCE struct reference ref = {0};
	struct err ignored = ERR_INIT; /* no name: perhaps an id */
	int r;

	if (reference_parse(what, &ref, &ignored) < 0)
		return 0;
	if (ref.digest) {
		r = find_pulled(db, &ref, ret_id, ret_name, err);
		if (r != 0)
			return r;
	}
	if (ref.digest && !ref.tag) /* whatever its name: the digest says which */
		return db_text(db, "SELECT id FROM manifest WHERE manifest_digest=?",
			       DB_VALUES(DB_TEXT(ref.digest)), ret_id, err);
	if (ref.digest)
		r = db_text(db,
			    "SELECT id FROM image JOIN manifest ON manifest.id=image.manifest"
			    " WHERE name=? AND manifest_digest=?",
			    DB_VALUES(DB_TEXT(ref.name), DB_TEXT(ref.digest)), ret_id, err);
	else
		r = db_text(db, "SELECT manifest FROM image WHERE name=?",
			    DB_VALUES(DB_TEXT(ref.name)), ret_id, err);
	if (r > 0)
		*ret_name = TAKE_PTR(ref.name);
	return r;
}

int image_resolve(struct db *db, const char *what, char **ret_id, char **ret_name, struct err *err)
{
	const char *hex = what;

	int r = find_name(db, what, ret_id, ret_name, err);
	if (r == 0) {
		(void)str_prefix(what, "sha256:", &hex);
		r = find_prefix(db, hex, ret_id, err);
	}
	if (r == 0) {
		AUTO_REFERENCE struct reference ref = {0};
		bool named = strspn(hex, "0123456789abcdef") != DIGEST_HEX && hex == what;
		if (named && reference_parse(what, &ref, err) < 0)
			return -err->code;
		return err_set(
			err, ENOENT,
			"image '%.300s': not in the store (hull pull or hull image import brings it in)",
			what);
	}
	return r < 0 ? r : 0;
}

static int load_names(struct db *db, struct image *image, struct err *err)
{
	AUTO(auto_rows_free) struct rows *rows = NULL;

	int r = db_query(db, "SELECT name FROM image WHERE manifest=? ORDER BY name",
			 DB_VALUES(DB_TEXT(image->id)), &rows, err);
	while (r >= 0 && (r = rows_next(rows, err)) > 0)
		r = strv_add(&image->names, rows_text(rows, 0), err);
	if (r < 0 || image->name || image->names.n == 0)
		return r;
	image->name = strdup(image->names.v[0]);
	return image->name ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int load_layers(const struct store *store, struct image *image, struct err *err)
{
	AUTO(auto_rows_free) struct rows *rows = NULL;

	int r = db_query(store->db,
			 "SELECT layer FROM manifest_layer WHERE manifest=? ORDER BY position",
			 DB_VALUES(DB_TEXT(image->id)), &rows, err);
	while (r >= 0 && (r = rows_next(rows, err)) > 0) {
		AUTO_FREE char *path = NULL;
		const char *key = rows_text(rows, 0);
		if (asprintf(&path, "%s/layers/%s.erofs", store->root, key) < 0) {
			path = NULL;
			return err_set(err, ENOMEM, "out of memory");
		}
		r = strv_add(&image->layers, path, err);
		if (r == 0)
			r = strv_add(&image->layer_keys, key, err);
	}
	if (r < 0 || image->layers.n == image->diff_ids.n)
		return r;
	int64_t one = 0;
	r = db_int(store->db, "SELECT 1 FROM manifest WHERE id=?", DB_VALUES(DB_TEXT(image->id)),
		   &one, err);
	if (r == 0) /* between two queries */
		return err_set(err, ENOENT, "image '%.12s': was just removed", image->id);
	if (r > 0)
		return err_set(err, EUCLEAN,
			       "image '%.12s': its record is damaged: %zu layers of %zu", image->id,
			       image->layers.n, image->diff_ids.n);
	return r;
}

static int load_manifest(const struct store *store, struct image *image, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	AUTO(auto_rows_free) struct rows *rows = NULL;

	int r = db_query(store->db,
			 "SELECT config, manifest_digest, imported_ns, size FROM manifest"
			 " WHERE id=?",
			 DB_VALUES(DB_TEXT(image->id)), &rows, err);
	if (r == 0)
		r = rows_next(rows, err);
	if (r < 0)
		return r;
	if (r == 0)
		return err_set(err, ENOENT, "image '%.12s': was just removed", image->id);
	r = rows_text_copy(rows, 0, &image->json, err);
	if (r == 0)
		r = rows_text_copy(rows, 1, &image->manifest_digest, err);
	if (r == 0) {
		image->imported_ns = (uint64_t)rows_int(rows, 2);
		image->size = (uint64_t)rows_int(rows, 3);
		r = json_parse(image->json, strlen(image->json), IMAGE_JSON_MAX, "image config",
			       &doc, err);
	}
	if (r == 0)
		r = image_parse_config(doc, image, err);
	return r;
}

int image_find(const struct store *store, const char *what, struct image *ret, struct err *err)
{
	AUTO_IMAGE struct image image = {0};

	int r = image_resolve(store->db, what, &image.id, &image.name, err);
	if (r == 0)
		r = load_manifest(store, &image, err);
	if (r == 0)
		r = load_names(store->db, &image, err);
	if (r == 0)
		r = load_layers(store, &image, err);
	if (r < 0)
		return r;
	*ret = image;
	image = (struct image){0};
	return 0;
}

int image_pin(struct db *txn, const char *id, struct err *err)
{
	int r = db_run(txn, "UPDATE manifest SET removed=0 WHERE id=?", DB_VALUES(DB_TEXT(id)),
		       err);

	if (r == 0)
		return err_set(err, ENOENT, "image '%.12s': was just removed", id);
	return r < 0 ? r : 0;
}

const char *image_host_architecture(void)
{
	static const struct {
		const char *machine, *name;
	} known[] = {
		{"x86_64", "amd64"}, {"aarch64", "arm64"},       {"armv7l", "arm"},
		{"i686", "386"},     {"riscv64", "riscv64"},     {"ppc64le", "ppc64le"},
		{"s390x", "s390x"},  {"loongarch64", "loong64"},
	};
	struct utsname host;

	if (uname(&host) < 0)
		return "unknown";
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(host.machine, known[i].machine) == 0)
			return known[i].name;
	}
	return "unknown";
}

int image_check_platform(const struct image *image, struct err *err)
{
	const char *host = image_host_architecture();
	bool both = strcmp(host, "amd64") == 0 && strcmp(image->architecture, "386") == 0;

	if (strcmp(image->os, "linux") == 0 && (both || strcmp(image->architecture, host) == 0))
		return 0;
	return err_set(err, ENOEXEC, "image '%.200s' is for %s/%s; this host runs linux/%s",
		       image->name ? image->name : image->id, image->os, image->architecture, host);
}

int image_list(const struct store *store, const char *pattern, image_row_fn *fn, void *ctx,
	       struct err *err)
{
	AUTO(auto_rows_free) struct rows *rows = NULL;

	int r = db_query(store->db,
			 "SELECT m.id, i.name, m.os, m.architecture, m.created_ns, m.imported_ns,"
			 " m.size, (SELECT count(*) FROM workload w WHERE w.manifest=m.id)"
			 " FROM manifest m LEFT JOIN image i ON i.manifest=m.id"
			 " WHERE m.removed=0 ORDER BY m.imported_ns DESC, m.id, i.name",
			 NULL, &rows, err);
	while (r >= 0 && (r = rows_next(rows, err)) > 0) {
		struct image_row row = {
			.id = rows_text(rows, 0),
			.name = rows_text(rows, 1),
			.os = rows_text(rows, 2),
			.architecture = rows_text(rows, 3),
			.created_ns = (uint64_t)rows_int(rows, 4),
			.imported_ns = (uint64_t)rows_int(rows, 5),
			.size = (uint64_t)rows_int(rows, 6),
			.workloads = (uint32_t)rows_int(rows, 7),
		};
		if (pattern && !(row.name && fnmatch(pattern, row.name, 0) == 0))
			continue;
		r = fn(ctx, &row, err);
	}
	return r;
}

uint64_t image_now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

int image_set_name(struct db *txn, const char *id, const char *name, struct err *err)
{
	int r = db_run(txn,
		       "INSERT INTO image(name, manifest, tagged_ns) VALUES(?1, ?2, ?3)"
		       " ON CONFLICT(name) DO UPDATE SET manifest=?2, tagged_ns=?3",
		       DB_VALUES(DB_TEXT(name), DB_TEXT(id), DB_INT(image_now_ns())), err);
	return r < 0 ? r : 0;
}

int image_tag(const struct store *store, const char *what, const char *name, struct err *err)
{
	AUTO_REFERENCE struct reference ref = {0};

	int r = reference_parse(name, &ref, err);
	if (r < 0)
		return r;
	if (ref.digest)
		return err_set(err, EINVAL, "image name '%s': a name to give has no digest", name);
	AUTO_FREE char *id = NULL;
	AUTO_FREE char *found = NULL;
	AUTO_TXN struct db *txn = NULL;
	r = db_begin(store->db, &txn, err);
	if (r == 0)
		r = image_resolve(txn, what, &id, &found, err);
	if (r == 0)
		r = image_pin(txn, id, err);
	if (r == 0)
		r = image_set_name(txn, id, ref.name, err);
	return r == 0 ? db_commit(&txn, err) : r;
}
