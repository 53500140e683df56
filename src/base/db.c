/* SPDX-License-Identifier: Apache-2.0 */
#include "base/db.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

enum { BUSY_MS = 5000, WAL_PAGES_MAX = 64 };

struct db {
	sqlite3 *handle;
	char path[]; /* for errors */
};

struct rows {
	struct db *db;
	sqlite3_stmt *stmt;
};

static int db_say(struct db *db, struct err *err)
{
	const char *path = db->path;
	int code = sqlite3_extended_errcode(db->handle);

	switch (code) {
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
		return err_set(err, EEXIST, "database '%s': %s", path, sqlite3_errmsg(db->handle));
	default:
		break;
	}
	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return err_set(
			err, EBUSY,
			"database '%s' is in use: another command has held it for %d seconds", path,
			BUSY_MS / 1000);
	case SQLITE_FULL:
		return err_set(err, ENOSPC, "write database '%s': No space left on device", path);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return err_set(err, EUCLEAN, "database '%s' is damaged: %s", path,
			       sqlite3_errmsg(db->handle));
	case SQLITE_CANTOPEN:
		return err_set(err, ENOENT, "open database '%s': %s", path,
			       strerror(sqlite3_system_errno(db->handle)));
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return err_set(err, EROFS, "database '%s' cannot be written", path);
	case SQLITE_NOMEM:
		return err_set(err, ENOMEM, "out of memory");
	default:
		return err_set(err, EIO, "database '%s': %s", path, sqlite3_errmsg(db->handle));
	}
}

/* Records the failure of the last call on db. */
static int db_fail(struct db *db, struct err *err)
{
	int r = db_say(db, err);

	assert(r < 0);
	return r;
}

/*
 * A short command pays for three things beside its own statements, and each is kept small. Making
 * the write-ahead log anew: it stays when the last process closes. Syncing: nobody syncs at commit
 * (synchronous NORMAL keeps the file whole over a power cut, which may only lose the last
 * transactions) nor at close. Reading the log when no other process has the database open: it is
 * moved into the database and cut to nothing whenever it has grown to WAL_PAGES_MAX pages.
 */
static int wal_grown(void *ctx, sqlite3 *handle, const char *name, int pages)
{
	(void)ctx;
	if (pages < WAL_PAGES_MAX)
		return SQLITE_OK;
	/* Without waiting: a reader at work only means that a later commit does it. */
	(void)sqlite3_busy_timeout(handle, 0);
	(void)sqlite3_wal_checkpoint_v2(handle, name, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	(void)sqlite3_busy_timeout(handle, BUSY_MS);
	return SQLITE_OK;
}

static int db_tune(struct db *db, struct err *err)
{
	int persist = 1;

	(void)sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
	(void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	(void)sqlite3_wal_hook(db->handle, wal_grown, NULL);
	(void)sqlite3_busy_timeout(db->handle, BUSY_MS);
	int r = db_run(db, "PRAGMA synchronous=NORMAL", NULL, err);
	if (r >= 0)
		r = db_run(db, "PRAGMA foreign_keys=ON", NULL, err);
	return r < 0 ? r : 0;
}

static int db_new(const char *path, int flags, struct db **ret, struct err *err)
{
	size_t n = strlen(path) + 1;
	AUTO(auto_db_close) struct db *db = calloc(1, sizeof(*db) + n);
	if (!db)
		return err_set(err, ENOMEM, "out of memory");
	memcpy(db->path, path, n);
	if (sqlite3_open_v2(path, &db->handle, flags | SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
			    NULL) != SQLITE_OK)
		return db->handle ? db_fail(db, err) : err_set(err, ENOMEM, "out of memory");
	(void)sqlite3_extended_result_codes(db->handle, 1);
	*ret = TAKE_PTR(db);
	return 0;
}

int db_open(const char *path, struct db **ret, struct err *err)
{
	AUTO(auto_db_close) struct db *db = NULL;

	int r = db_new(path, 0, &db, err);
	if (r == 0)
		r = db_tune(db, err);
	if (r == 0)
		*ret = TAKE_PTR(db);
	return r;
}

static int db_create_at(const char *path, const char *schema, struct err *err)
{
	AUTO(auto_db_close) struct db *db = NULL;

	int r = db_new(path, SQLITE_OPEN_CREATE | SQLITE_OPEN_EXCLUSIVE, &db, err);
	if (r < 0)
		return r;
	if (sqlite3_exec(db->handle, "PRAGMA journal_mode=WAL; BEGIN", NULL, NULL, NULL) !=
		    SQLITE_OK ||
	    sqlite3_exec(db->handle, schema, NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_exec(db->handle, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
		return db_fail(db, err);
	/* Closing would do the same, and tell nobody when it fails. */
	if (sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) !=
	    SQLITE_OK)
		return db_fail(db, err);
	return 0;
}

int db_create(const char *path, const char *schema, struct err *err)
{
	static const char *const parts[] = {"", "-wal", "-shm"};
	char part[PATH_MAX];

	int r = db_create_at(path, schema, err);
	if (r == 0) {
		AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || fsync(fd) < 0)
			r = err_sys(err, "write database '%s'", path);
	}
	for (size_t i = r < 0 ? 0 : 1; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (snprintf(part, sizeof(part), "%s%s", path, parts[i]) < (int)sizeof(part))
			(void)unlink(part);
	}
	return r;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	int r = sqlite3_close(db->handle);
	assert(r == SQLITE_OK); /* SQLITE_BUSY: rows were not freed */
	free(db);
}

static int bind_one(sqlite3_stmt *stmt, int at, const struct db_value *v)
{
	switch (v->type) {
	case DB_IS_INT:
		return sqlite3_bind_int64(stmt, at, v->i);
	case DB_IS_TEXT:
		return sqlite3_bind_text(stmt, at, v->bytes, -1, SQLITE_STATIC);
	case DB_IS_BLOB:
		return sqlite3_bind_blob64(stmt, at, v->bytes, v->len, SQLITE_STATIC);
	case DB_IS_NULL:
	case DB_END:
		break;
	}
	return sqlite3_bind_null(stmt, at);
}

int db_query(struct db *db, const char *sql, const struct db_value *values, struct rows **ret,
	     struct err *err)
{
	AUTO(auto_rows_free) struct rows *rows = calloc(1, sizeof(*rows));
	if (!rows)
		return err_set(err, ENOMEM, "out of memory");
	rows->db = db;
	if (sqlite3_prepare_v2(db->handle, sql, -1, &rows->stmt, NULL) != SQLITE_OK)
		return db_fail(db, err);
	int n = 0;
	for (; values && values[n].type != DB_END; n++) {
		if (bind_one(rows->stmt, n + 1, &values[n]) != SQLITE_OK)
			return db_fail(db, err);
	}
	assert(n == sqlite3_bind_parameter_count(rows->stmt));
	*ret = TAKE_PTR(rows);
	return 0;
}

int rows_next(struct rows *rows, struct err *err)
{
	switch (sqlite3_step(rows->stmt)) {
	case SQLITE_ROW:
		return 1;
	case SQLITE_DONE:
		return 0;
	default:
		return db_fail(rows->db, err);
	}
}

int64_t rows_int(struct rows *rows, int at)
{
	return sqlite3_column_int64(rows->stmt, at);
}

const char *rows_text(struct rows *rows, int at)
{
	return (const char *)sqlite3_column_text(rows->stmt, at);
}

int rows_text_copy(struct rows *rows, int at, char **ret, struct err *err)
{
	const char *text = rows_text(rows, at);
	char *copy = text ? strdup(text) : NULL;

	if (text && !copy)
		return err_set(err, ENOMEM, "out of memory");
	*ret = copy;
	return 0;
}

void rows_free(struct rows *rows)
{
	if (!rows)
		return;
	(void)sqlite3_finalize(rows->stmt); /* repeats the last step's failure, already told */
	free(rows);
}

int db_run(struct db *db, const char *sql, const struct db_value *values, struct err *err)
{
	AUTO(auto_rows_free) struct rows *rows = NULL;

	int r = db_query(db, sql, values, &rows, err);
	while (r >= 0 && rows && (r = rows_next(rows, err)) > 0)
		;
	return r < 0 ? r : sqlite3_changes(db->handle);
}

int db_int(struct db *db, const char *sql, const struct db_value *values, int64_t *ret,
	   struct err *err)
{
	AUTO(auto_rows_free) struct rows *rows = NULL;

	int r = db_query(db, sql, values, &rows, err);
	if (r < 0 || !rows)
		return r;
	r = rows_next(rows, err);
	if (r <= 0 || sqlite3_column_type(rows->stmt, 0) == SQLITE_NULL)
		return r < 0 ? r : 0;
	*ret = rows_int(rows, 0);
	return 1;
}

int db_text(struct db *db, const char *sql, const struct db_value *values, char **ret,
	    struct err *err)
{
	AUTO(auto_rows_free) struct rows *rows = NULL;
	char *text = NULL;

	int r = db_query(db, sql, values, &rows, err);
	if (r < 0 || !rows)
		return r;
	r = rows_next(rows, err);
	if (r > 0)
		r = rows_text_copy(rows, 0, &text, err);
	if (r < 0 || !text)
		return r;
	*ret = text;
	return 1;
}

int db_begin(struct db *db, struct db **txn, struct err *err)
{
	int r = db_run(db, "BEGIN IMMEDIATE", NULL, err);
	if (r < 0)
		return r;
	*txn = db;
	return 0;
}

int db_commit(struct db **txn, struct err *err)
{
	int r = db_run(*txn, "COMMIT", NULL, err);
	if (r < 0)
		return r;
	*txn = NULL;
	return 0;
}

void db_rollback(struct db **txn)
{
	if (!*txn)
		return;
	/* A failure here means SQLite has rolled back by itself (disk full, I/O error). */
	(void)sqlite3_exec((*txn)->handle, "ROLLBACK", NULL, NULL, NULL);
	*txn = NULL;
}

/* A file that is not there holds nothing to be lost. */
static int sync_path(const char *path, int flags, struct err *err)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | flags);

	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(err, "open '%s'", path);
	return fsync(fd) < 0 ? err_sys(err, "write '%s' to disk", path) : 0;
}

/*
 * The checkpoint alone is no promise: beside readers it does nothing, and says so to nobody. So the
 * log is synced whatever it did, and the folder that has its name. (Closing the log's file drops no
 * lock: SQLite's are on the database and its index.)
 */
int db_sync(struct db *db, struct err *err)
{
	char path[PATH_MAX];

	int r = sqlite3_wal_checkpoint_v2(db->handle, "main", SQLITE_CHECKPOINT_PASSIVE, NULL,
					  NULL);
	/* Full: the log is on disk by then, only its place in the file is still to be found. */
	if (r != SQLITE_OK && r != SQLITE_BUSY && (r & 0xff) != SQLITE_FULL)
		return db_fail(db, err);
	if (snprintf(path, sizeof(path), "%s-wal", db->path) >= (int)sizeof(path))
		return err_set(err, ENAMETOOLONG, "database '%.100s…': path too long", db->path);
	r = sync_path(path, 0, err);
	char *slash = strrchr(path, '/');
	if (r == 0 && slash) {
		slash[slash == path] = '\0';
		r = sync_path(path, O_DIRECTORY, err);
	}
	return r;
}
