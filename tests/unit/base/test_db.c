/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/db.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"

static const char schema[] = "CREATE TABLE t(k TEXT PRIMARY KEY, n INTEGER, b BLOB)";

/* A folder of its own for each test, removed with all it holds. */
struct place {
	char dir[32], path[64];
};

static void place_done(struct place *p)
{
	struct err ignored = ERR_INIT; /* best effort */

	AUTO_CLOSE int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)!path_remove_all(tmp, p->dir + sizeof("/tmp/") - 1, &ignored);
}

static int place_init(struct place *p, struct db **ret, struct err *err)
{
	(void)snprintf(p->dir, sizeof(p->dir), "/tmp/hull-db-XXXXXX");
	if (!mkdtemp(p->dir))
		return err_sys(err, "mkdtemp");
	(void)snprintf(p->path, sizeof(p->path), "%s/db", p->dir);
	int r = db_create(p->path, schema, err);
	return r < 0 ? r : db_open(p->path, ret, err);
}

#define PLACE                                                                                      \
	AUTO(place_done) struct place place = {""};                                                \
	AUTO(auto_db_close) struct db *db = NULL;                                                  \
	struct err err = ERR_INIT;                                                                 \
	if (place_init(&place, &db, &err) < 0)                                                     \
	FAIL("%s", err.msg)

TEST(values_go_in_and_come_out)
{
	PLACE;
	EXPECT_EQ(db_run(db, "INSERT INTO t VALUES(?,?,?)",
			 DB_VALUES(DB_TEXT("it's; --"), DB_INT(-7), DB_BLOB("a\0b", 3)), &err),
		  1);
	EXPECT_EQ(db_run(db, "INSERT INTO t VALUES(?,?,?)",
			 DB_VALUES(DB_TEXT("second"), DB_NULL, DB_TEXT(NULL)), &err),
		  1);
	AUTO(auto_rows_free) struct rows *rows = NULL;
	EXPECT_EQ(db_query(db, "SELECT k, n, b FROM t ORDER BY k", NULL, &rows, &err), 0);
	EXPECT_EQ(rows_next(rows, &err), 1);
	EXPECT_STR(rows_text(rows, 0), "it's; --");
	EXPECT_EQ(rows_int(rows, 1), -7);
	EXPECT_STR(rows_text(rows, 2), "a"); /* up to its NUL */
	EXPECT_EQ(rows_next(rows, &err), 1);
	EXPECT(!rows_text(rows, 2));
	EXPECT_EQ(rows_int(rows, 1), 0);
	EXPECT_EQ(rows_next(rows, &err), 0);
}

TEST(a_single_answer_tells_absent_from_zero)
{
	PLACE;
	int64_t n = 9;
	char *text = NULL;
	EXPECT_EQ(db_int(db, "SELECT n FROM t", NULL, &n, &err), 0);
	EXPECT_EQ(n, 9);
	EXPECT_EQ(db_run(db, "INSERT INTO t VALUES('a', 0, NULL)", NULL, &err), 1);
	EXPECT_EQ(db_int(db, "SELECT n FROM t", NULL, &n, &err), 1);
	EXPECT_EQ(n, 0);
	EXPECT_EQ(db_text(db, "SELECT b FROM t", NULL, &text, &err), 0);
	EXPECT_EQ(db_text(db, "SELECT k FROM t WHERE n=?", DB_VALUES(DB_INT(0)), &text, &err), 1);
	EXPECT_STR(text, "a");
	free(text);
}

TEST(a_taken_key_is_told_by_its_code)
{
	PLACE;
	EXPECT_EQ(db_run(db, "INSERT INTO t(k) VALUES('a')", NULL, &err), 1);
	EXPECT_EQ(db_run(db, "INSERT INTO t(k) VALUES('a')", NULL, &err), -EEXIST);
}

static int half_done(struct db *db, struct err *err)
{
	AUTO_TXN struct db *txn = NULL;

	int r = db_begin(db, &txn, err);
	if (r < 0)
		return r;
	r = db_run(txn, "INSERT INTO t(k) VALUES('half')", NULL, err);
	return r < 0 ? r : -ECANCELED;
}

TEST(a_transaction_left_early_is_undone)
{
	PLACE;
	int64_t n = -1;
	EXPECT_EQ(half_done(db, &err), -ECANCELED);
	EXPECT_EQ(db_int(db, "SELECT count(*) FROM t", NULL, &n, &err), 1);
	EXPECT_EQ(n, 0);

	AUTO_TXN struct db *txn = NULL;
	EXPECT_EQ(db_begin(db, &txn, &err), 0);
	EXPECT_EQ(db_run(txn, "INSERT INTO t(k) VALUES('whole')", NULL, &err), 1);
	EXPECT_EQ(db_commit(&txn, &err), 0);
	EXPECT(!txn);
	EXPECT_EQ(db_int(db, "SELECT count(*) FROM t", NULL, &n, &err), 1);
	EXPECT_EQ(n, 1);
}

TEST(a_held_lock_is_waited_for_and_then_told_in_one_line)
{
	PLACE;
	AUTO(auto_db_close) struct db *other = NULL;
	EXPECT_EQ(db_open(place.path, &other, &err), 0);
	AUTO_TXN struct db *held = NULL;
	EXPECT_EQ(db_begin(other, &held, &err), 0);

	struct timespec from, to;
	(void)clock_gettime(CLOCK_MONOTONIC, &from);
	AUTO_TXN struct db *txn = NULL;
	EXPECT_EQ(db_begin(db, &txn, &err), -EBUSY);
	(void)clock_gettime(CLOCK_MONOTONIC, &to);
	EXPECT(to.tv_sec - from.tv_sec >= 4 && to.tv_sec - from.tv_sec <= 8);
	EXPECT(strstr(err.msg, "another command has held it for 5 seconds") != NULL);
}

TEST(what_was_committed_survives_a_killed_process)
{
	PLACE;
	pid_t pid = fork();
	if (pid == 0) {
		struct db *mine = NULL;
		struct db *txn = NULL;
		if (db_open(place.path, &mine, &err) < 0 ||
		    db_run(mine, "INSERT INTO t(k) VALUES('kept')", NULL, &err) < 0 ||
		    db_begin(mine, &txn, &err) < 0 ||
		    db_run(txn, "INSERT INTO t(k) VALUES('lost')", NULL, &err) < 0)
			_exit(1);
		(void)raise(SIGKILL);
	}
	int status = 0;
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT(WIFSIGNALED(status));
	char *k = NULL;
	EXPECT_EQ(db_text(db, "SELECT group_concat(k) FROM t", NULL, &k, &err), 1);
	EXPECT_STR(k, "kept");
	free(k);
}

TEST(many_rows_fit_the_log_and_reopen)
{
	PLACE;
	AUTO_TXN struct db *txn = NULL;
	EXPECT_EQ(db_begin(db, &txn, &err), 0);
	for (int i = 0; i < 20000; i++) {
		char key[32];
		(void)snprintf(key, sizeof(key), "key-%d", i);
		EXPECT_EQ(db_run(txn, "INSERT INTO t(k, n) VALUES(?, ?)",
				 DB_VALUES(DB_TEXT(key), DB_INT(i)), &err),
			  1);
	}
	EXPECT_EQ(db_commit(&txn, &err), 0);
	db_close(TAKE_PTR(db));
	EXPECT_EQ(db_open(place.path, &db, &err), 0);
	int64_t n = 0;
	EXPECT_EQ(db_int(db, "SELECT sum(n) FROM t", NULL, &n, &err), 1);
	EXPECT_EQ(n, 199990000);
	AUTO_FREE char *verdict = NULL;
	EXPECT_EQ(db_text(db, "PRAGMA integrity_check(1)", NULL, &verdict, &err), 1);
	EXPECT_STR(verdict, "ok");
}

TEST(the_log_stays_short_over_many_small_commits)
{
	PLACE;
	for (int i = 0; i < 300; i++)
		EXPECT_EQ(db_run(db, "INSERT INTO t(k) VALUES(hex(randomblob(1000)))", NULL, &err),
			  1);
	char wal[80];
	struct stat st;
	(void)snprintf(wal, sizeof(wal), "%s-wal", place.path);
	EXPECT_EQ(stat(wal, &st), 0);
	EXPECT(st.st_size < INT64_C(524288));
	db_close(TAKE_PTR(db));
	EXPECT_EQ(stat(wal, &st), 0); /* and is still there for the next command */
	EXPECT_EQ(db_open(place.path, &db, &err), 0);
}

TEST(a_sync_moves_everything_into_the_file_itself)
{
	PLACE;
	EXPECT_EQ(db_run(db, "INSERT INTO t(k) VALUES('kept')", NULL, &err), 1);
	EXPECT_EQ(db_sync(db, &err), 0);
	db_close(TAKE_PTR(db));
	char wal[80];
	(void)snprintf(wal, sizeof(wal), "%s-wal", place.path);
	EXPECT_EQ(unlink(wal), 0);
	EXPECT_EQ(db_open(place.path, &db, &err), 0);
	int64_t n = 0;
	EXPECT_EQ(db_int(db, "SELECT count(*) FROM t", NULL, &n, &err), 1);
	EXPECT_EQ(n, 1);
}

TEST(a_file_that_is_no_database_is_called_damaged)
{
	PLACE;
	db_close(TAKE_PTR(db));
	AUTO_CLOSE int fd = open(place.path, O_RDWR | O_CLOEXEC);
	EXPECT(pwrite(fd, "no database at all", 18, 0) == 18);
	int r = db_open(place.path, &db, &err);
	int64_t n = 0;
	if (r == 0)
		r = db_int(db, "SELECT count(*) FROM t", NULL, &n, &err);
	EXPECT_EQ(r, -EUCLEAN);
	EXPECT(strstr(err.msg, "is damaged") != NULL);
}

TEST(a_missing_file_is_not_made)
{
	PLACE;
	AUTO(auto_db_close) struct db *other = NULL;
	EXPECT_EQ(db_open("/tmp/hull-db-none/db", &other, &err), -ENOENT);
	EXPECT(access("/tmp/hull-db-none/db", F_OK) < 0);
}

TEST(a_bad_schema_leaves_no_file)
{
	PLACE;
	char path[80];
	(void)snprintf(path, sizeof(path), "%s/other", place.dir);
	EXPECT_EQ(db_create(path, "CREATE GARBAGE", &err), -EIO);
	EXPECT(access(path, F_OK) < 0);
}
