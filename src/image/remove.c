/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking images away. Records go first, in one transaction; files that no record names any more are
 * garbage, which image_gc() removes when no import is under way.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/db.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/store.h"
#include "image/image.h"
#include "image/image_priv.h"
#include "image/signature.h"

static int add_line(struct strv *done, const char *what, const char *name, struct err *err)
{
	AUTO_FREE char *line = NULL;

	if (asprintf(&line, "%s%s", what, name) < 0) {
		line = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	return strv_add(done, line, err);
}

static int count(struct db *txn, const char *sql, const char *id, int64_t *ret, struct err *err)
{
	int r = db_int(txn, sql, DB_VALUES(DB_TEXT(id)), ret, err);

	return r < 0 ? r : 0;
}

/* Drops the manifest's record; the layers' own records go with the last manifest. */
static int delete_manifest(struct db *txn, const char *id, struct strv *done, struct err *err)
{
	int r = db_run(txn, "DELETE FROM manifest WHERE id=?", DB_VALUES(DB_TEXT(id)), err);

	if (r >= 0)
		r = db_run(txn,
			   "DELETE FROM layer WHERE NOT EXISTS"
			   " (SELECT 1 FROM manifest_layer WHERE layer=layer.key)",
			   NULL, err);
	return r < 0 ? r : add_line(done, "Deleted: sha256:", id, err);
}

/* Takes away the names of `id`, or only `name`. */
static int untag(struct db *txn, const char *id, const char *name, struct strv *done,
		 struct err *err)
{
	AUTO(auto_rows_free) struct rows *rows = NULL;

	int r = db_query(txn,
			 "DELETE FROM image WHERE manifest=?1 AND (?2 IS NULL OR name=?2)"
			 " RETURNING name",
			 DB_VALUES(DB_TEXT(id), DB_TEXT(name)), &rows, err);
	while (r >= 0 && (r = rows_next(rows, err)) > 0)
		r = add_line(done, "Untagged: ", rows_text(rows, 0), err);
	return r;
}

static int check_unused(struct db *txn, const char *what, const char *id, struct err *err)
{
	AUTO_FREE char *name = NULL;

	int r = db_text(txn, "SELECT name FROM workload WHERE manifest=? LIMIT 1",
			DB_VALUES(DB_TEXT(id)), &name, err);
	if (r <= 0)
		return r;
	return err_set(
		err, EBUSY,
		"image '%.200s' is used by workload '%.100s' (remove that first, or use --force)",
		what, name);
}

static int remove_in(struct db *txn, const char *what, bool force, struct strv *done,
		     struct err *err)
{
	AUTO_FREE char *id = NULL, *name = NULL;
	int64_t names = 0, workloads = 0;

	int r = image_resolve(txn, what, &id, &name, err);
	if (r == 0)
		r = count(txn, "SELECT count(*) FROM image WHERE manifest=?", id, &names, err);
	if (r == 0)
		r = count(txn, "SELECT count(*) FROM workload WHERE manifest=?", id, &workloads,
			  err);
	if (r < 0)
		return r;
	bool last = !name || names <= 1;
	if (!name && names > 1 && !force)
		return err_set(err, EBUSY,
			       "image '%.200s' has %jd names (remove those, or use --force)", what,
			       (intmax_t)names);
	if (last && !force) {
		r = check_unused(txn, what, id, err);
		if (r < 0)
			return r;
	}
	r = untag(txn, id, name, done, err);
	if (r < 0 || !last)
		return r;
	if (workloads == 0)
		return delete_manifest(txn, id, done, err);
	r = db_run(txn, "UPDATE manifest SET removed=1 WHERE id=?", DB_VALUES(DB_TEXT(id)), err);
	return r < 0 ? r : 0;
}

/* Deletes the images that `where` selects among those without name and workload. */
static int delete_unused(const struct store *store, const char *sql, struct strv *done,
			 struct err *err)
{
	AUTO_STRV struct strv ids = {0};
	AUTO_TXN struct db *txn = NULL;

	int r = db_begin(store->db, &txn, err);
	if (r == 0) {
		AUTO(auto_rows_free) struct rows *rows = NULL;
		r = db_query(txn, sql, NULL, &rows, err);
		while (r >= 0 && (r = rows_next(rows, err)) > 0)
			r = strv_add(&ids, rows_text(rows, 0), err);
	}
	for (size_t i = 0; r == 0 && i < ids.n; i++)
		r = delete_manifest(txn, ids.v[i], done, err);
	return r == 0 ? db_commit(&txn, err) : r;
}

int image_remove(const struct store *store, const char *what, bool force, struct strv *done,
		 struct err *err)
{
	AUTO_TXN struct db *txn = NULL;

	int r = db_begin(store->db, &txn, err);
	if (r == 0)
		r = remove_in(txn, what, force, done, err);
	if (r == 0)
		r = db_commit(&txn, err);
	return r == 0 ? image_gc(store, err) : r;
}

int image_prune(const struct store *store, struct strv *done, struct err *err)
{
	int r = delete_unused(store,
			      "SELECT id FROM manifest m WHERE"
			      " NOT EXISTS (SELECT 1 FROM image WHERE manifest=m.id) AND"
			      " NOT EXISTS (SELECT 1 FROM workload WHERE manifest=m.id)",
			      done, err);
	return r == 0 ? image_gc(store, err) : r;
}

int image_prune_all(const struct store *store, struct strv *done, struct err *err)
{
	AUTO_TXN struct db *txn = NULL;

	int r = db_begin(store->db, &txn, err);
	if (r == 0) {
		AUTO(auto_rows_free) struct rows *rows = NULL;
		r = db_query(txn,
			     "DELETE FROM image WHERE NOT EXISTS (SELECT 1 FROM workload w WHERE"
			     " w.manifest=image.manifest) RETURNING name",
			     NULL, &rows, err);
		while (r >= 0 && (r = rows_next(rows, err)) > 0)
			r = add_line(done, "Untagged: ", rows_text(rows, 0), err);
	}
	if (r == 0)
		r = db_commit(&txn, err);
	return r < 0 ? r : image_prune(store, done, err);
}

int image_lock(const struct store *store, bool exclusive, struct err *err)
{
	/* The folder itself is the lock: nothing to make, nothing to leave behind. */
	AUTO_CLOSE int fd = store_folder(store->root_fd, "layers", err);

	if (fd < 0)
		return fd;
	while (flock(fd, exclusive ? LOCK_EX | LOCK_NB : LOCK_SH) < 0) {
		if (errno == EWOULDBLOCK && exclusive)
			return -EWOULDBLOCK;
		if (errno != EINTR)
			return err_sys(err, "lock the store's images");
	}
	return TAKE_FD(fd);
}

int image_workdir(const struct store *store, char **ret_path, struct err *err)
{
	AUTO_CLOSE int tmp = store_folder(store->root_fd, "tmp", err);
	AUTO_FREE char *path = NULL;

	while (tmp >= 0) {
		uint64_t random;
		struct stat st, now;
		free(TAKE_PTR(path));
		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			return err_sys(err, "random number");
		if (asprintf(&path, "%s/tmp/import.%016jx", store->root, (uintmax_t)random) < 0) {
			path = NULL;
			return err_set(err, ENOMEM, "out of memory");
		}
		const char *name = strrchr(path, '/') + 1;
		if (mkdirat(tmp, name, 0700) < 0)
			return err_sys(err, "make folder '%s'", path);
		AUTO_CLOSE int fd = store_folder(tmp, name, err);
		if (fd < 0)
			return fd;
		/* A collector may have taken it for dead before the lock: then it is gone. */
		if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 &&
		    fstatat(tmp, name, &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_ino == st.st_ino) {
			*ret_path = TAKE_PTR(path);
			return TAKE_FD(fd);
		}
	}
	return tmp;
}

void image_workdir_remove(const struct store *store, const char *path)
{
	struct err ignored = ERR_INIT;
	AUTO_CLOSE int tmp = store_folder(store->root_fd, "tmp", &ignored);

	if (tmp >= 0)
		(void)!path_remove_all(tmp, strrchr(path, '/') + 1, &ignored);
}

/* Whether `name` in tmp/ belongs to nobody: an importer's folder without its lock, or a database of
 * a process that is gone ("db.PID"). */
static bool is_dead(int tmp, const char *name)
{
	const char *pid = NULL;

	if (str_prefix(name, "db.", &pid)) {
		long n = strtol(pid, NULL, 10);
		return n > 0 && kill((pid_t)n, 0) < 0 && errno == ESRCH;
	}
	AUTO_CLOSE int fd = openat(tmp, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd >= 0 && str_prefix(name, "import.", NULL) && flock(fd, LOCK_EX | LOCK_NB) == 0;
}

/* What one folder of the store may lose: decides by the name of an entry. 1: remove it. */
typedef int garbage_fn(const struct store *store, int fd, const char *name, struct err *err);

static int dead_work(const struct store *store, int fd, const char *name, struct err *err)
{
	(void)store;
	(void)err;
	return is_dead(fd, name);
}

static int unknown_layer(const struct store *store, int fd, const char *name, struct err *err)
{
	char key[DIGEST_HEX + 1];
	int64_t one = 0;

	(void)fd;
	if (strlen(name) != DIGEST_HEX + 6 || strcmp(name + DIGEST_HEX, ".erofs") != 0)
		return 0;
	memcpy(key, name, DIGEST_HEX);
	key[DIGEST_HEX] = '\0';
	int r = db_int(store->db, "SELECT 1 FROM layer WHERE key=?", DB_VALUES(DB_TEXT(key)), &one,
		       err);
	return r < 0 ? r : r == 0;
}

static int unknown_blob(const struct store *store, int fd, const char *name, struct err *err)
{
	int64_t one = 0;

	(void)fd;
	int r = db_int(store->db, "SELECT 1 FROM manifest_layer WHERE blob=? LIMIT 1",
		       DB_VALUES(DB_TEXT(name)), &one, err);
	return r < 0 ? r : r == 0;
}

/* What is left of a pull that failed is good for another attempt, for a while. */
static int stale_partial(const struct store *store, int fd, const char *name, struct err *err)
{
	enum { KEEP_S = 7 * 24 * 3600 };
	struct stat st;

	(void)store;
	(void)err;
	AUTO_CLOSE int blob = openat(fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return blob >= 0 && fstat(blob, &st) == 0 && time(NULL) - st.st_mtime > KEEP_S &&
	       flock(blob, LOCK_EX | LOCK_NB) == 0;
}

/*
 * Removes what is garbage in a folder of the store. That a file's record went must have reached the
 * disk before the file goes (records): after a power cut the record would stand there without it.
 */
static int sweep(const struct store *store, const char *folder, garbage_fn *garbage, bool records,
		 struct err *err)
{
	int fd = store_folder(store->root_fd, folder, err);
	if (fd < 0)
		return fd;
	DIR *dir = fdopendir(fd);
	if (!dir) {
		auto_close(&fd);
		return err_set(err, ENOMEM, "out of memory");
	}
	int r = 0;
	struct dirent *e;
	while (r >= 0 && (e = readdir(dir))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		r = garbage(store, fd, e->d_name, err);
		if (r > 0 && records) {
			records = false;
			r = db_sync(store->db, err) < 0 ? -err->code : 1;
		}
		if (r > 0)
			r = path_remove_all(fd, e->d_name, err);
	}
	(void)closedir(dir);
	return r < 0 ? r : 0;
}

int image_gc(const struct store *store, struct err *err)
{
	AUTO_STRV struct strv unsaid = {0};

	int r = sweep(store, "tmp", dead_work, false, err);
	if (r == 0)
		r = delete_unused(store,
				  "SELECT id FROM manifest m WHERE removed=1 AND"
				  " NOT EXISTS (SELECT 1 FROM workload WHERE manifest=m.id)",
				  &unsaid, err);
	if (r < 0)
		return r;
	AUTO_CLOSE int lock = image_lock(store, true, err);
	if (lock == -EWOULDBLOCK)
		return 0;
	if (lock < 0)
		return lock;
	r = sweep(store, "layers", unknown_layer, true, err);
	if (r == 0 && faccessat(store->root_fd, "partial", F_OK, 0) == 0)
		r = sweep(store, "partial", stale_partial, false, err);
	if (r == 0)
		r = sweep(store, "blobs/sha256", unknown_blob, true, err);
	return r == 0 ? signatures_sweep(store, err) : r;
}
