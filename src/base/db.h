/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite, as much of it as hull uses. Values reach a statement only through its `?` places, never
 * through its text. A writer takes the lock at db_begin() or with a single db_run(), and holds it
 * for a few statements, never across anything that waits. One handle belongs to one thread.
 *
 * Failures by code: -EEXIST a UNIQUE or PRIMARY KEY is taken · -EBUSY another process held the lock
 * for 5 s · -ENOSPC disk full · -EUCLEAN the file is damaged or no database at all.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct db;
struct err;
struct rows; /* the answer of a query, walked row by row */

enum db_type { DB_END, DB_IS_NULL, DB_IS_INT, DB_IS_TEXT, DB_IS_BLOB };

/* A value for a `?`; borrowed until the statement was run or its rows are freed. */
struct db_value {
	enum db_type type;
	int64_t i;
	const void *bytes;
	size_t len;
};

/* The values of a statement, in order: DB_VALUES(DB_TEXT(name), DB_INT(n)). DB_TEXT(NULL) is SQL's
 * NULL. */
#define DB_INT(n)      ((struct db_value){.type = DB_IS_INT, .i = (int64_t)(n)})
#define DB_TEXT(s)     ((struct db_value){.type = DB_IS_TEXT, .bytes = (s)})
#define DB_BLOB(b, n)  ((struct db_value){.type = DB_IS_BLOB, .bytes = (b), .len = (n)})
#define DB_NULL        ((struct db_value){.type = DB_IS_NULL})
#define DB_VALUES(...) ((const struct db_value[]){__VA_ARGS__, {.type = DB_END}})
#define DB_NO_VALUES   NULL

/* Opens the existing database `path`; the caller frees with db_close(). */
int db_open(const char *path, struct db **ret, struct err *err) HULL_MUST_CHECK;

/*
 * Makes a database at `path` (absent so far) by the statements of `schema` and leaves it closed,
 * written to disk, as one file. On failure nothing is left.
 */
int db_create(const char *path, const char *schema, struct err *err) HULL_MUST_CHECK;

/* Closes; NULL is fine. All rows must have been freed. */
void db_close(struct db *db);

/* Runs one statement to its end (values: DB_VALUES() or NULL). Returns the number of rows it
 * changed. */
int db_run(struct db *db, const char *sql, const struct db_value *values, struct err *err)
	HULL_MUST_CHECK;

/* Starts a query; the caller walks it with rows_next() and frees it with rows_free(). */
int db_query(struct db *db, const char *sql, const struct db_value *values, struct rows **ret,
	     struct err *err) HULL_MUST_CHECK;

/* Steps to the next row: 1 there is one, 0 at the end. */
int rows_next(struct rows *rows, struct err *err) HULL_MUST_CHECK;

/* Column `at` (from 0) of the present row; text and bytes are borrowed until the next step. NULL
 * for SQL's NULL; an integer's NULL is 0. */
int64_t rows_int(struct rows *rows, int at);
const char *rows_text(struct rows *rows, int at);

/* A copy of text column `at` in *ret (NULL for SQL's NULL), caller frees. */
int rows_text_copy(struct rows *rows, int at, char **ret, struct err *err) HULL_MUST_CHECK;

/* Ends a query; NULL is fine. */
void rows_free(struct rows *rows);

/*
 * The one integer that a query answers with: 1 and *ret set, or 0 when there is no row (or it is
 * NULL).
 */
int db_int(struct db *db, const char *sql, const struct db_value *values, int64_t *ret,
	   struct err *err) HULL_MUST_CHECK;

/* The one text likewise; the caller frees *ret. */
int db_text(struct db *db, const char *sql, const struct db_value *values, char **ret,
	    struct err *err) HULL_MUST_CHECK;

/*
 * A write transaction. *txn is set to db until it is committed, so that AUTO_TXN undoes it on every
 * other way out:
 *
 *	AUTO_TXN struct db *txn = NULL;
 *	int r = db_begin(db, &txn, err);
 *	… db_run(txn, …) …
 *	return db_commit(&txn, err);
 */
int db_begin(struct db *db, struct db **txn, struct err *err) HULL_MUST_CHECK;
int db_commit(struct db **txn, struct err *err) HULL_MUST_CHECK;

/* Undoes the transaction if *txn is set. */
void db_rollback(struct db **txn);

/* Makes what was committed so far outlast a power cut. */
int db_sync(struct db *db, struct err *err) HULL_MUST_CHECK;

#define AUTO_TXN AUTO(db_rollback)

DEFINE_AUTO(struct db, db_close)
DEFINE_AUTO(struct rows, rows_free)
