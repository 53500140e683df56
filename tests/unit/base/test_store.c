/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/store.h"

struct place {
	char dir[32], root[64];
};

static void place_done(struct place *p)
{
	struct err ignored = ERR_INIT; /* best effort */

	AUTO_CLOSE int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)!path_remove_all(tmp, p->dir + sizeof("/tmp/") - 1, &ignored);
}

static bool place_init(struct place *p)
{
	(void)snprintf(p->dir, sizeof(p->dir), "/tmp/hull-store-XXXXXX");
	if (!mkdtemp(p->dir))
		return false;
	(void)snprintf(p->root, sizeof(p->root), "%s/a/b", p->dir);
	return true;
}

#define PLACE                                                                                      \
	AUTO(place_done) struct place place = {""};                                                \
	AUTO(auto_store_close) struct store *store __attribute__((unused)) = NULL;                 \
	struct err err = ERR_INIT;                                                                 \
	if (!place_init(&place))                                                                   \
	FAIL("no folder to work in")

/* Opens the store at place.root and closes it again. */
static int try_open(const char *root, struct err *err)
{
	AUTO(auto_store_close) struct store *store = NULL;

	return store_open(root, &store, err);
}

static bool is_private_folder(int fd, const char *name)
{
	struct stat st;

	return fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
	       (st.st_mode & 0777) == 0700;
}

TEST(a_new_store_has_all_its_folders_private)
{
	PLACE;
	mode_t old = umask(0);
	int r = store_open(place.root, &store, &err);
	(void)umask(old);
	EXPECT_EQ(r, 0);
	EXPECT(is_private_folder(AT_FDCWD, place.root));
	EXPECT(is_private_folder(store->root_fd, "layers"));
	EXPECT(is_private_folder(store->root_fd, "blobs/sha256"));
	EXPECT(is_private_folder(store->root_fd, "tmp"));
	EXPECT(is_private_folder(store->root_fd, "workloads"));
	EXPECT(is_private_folder(store->root_fd, "kernels"));
	EXPECT(is_private_folder(store->run_fd, "layers"));
	EXPECT(is_private_folder(store->run_fd, "workloads"));
	EXPECT(faccessat(store->root_fd, "tmp/db", F_OK, 0) < 0);
	char run[96];
	(void)snprintf(run, sizeof(run), "%s/run", place.root);
	EXPECT_STR(store->run, run);
}

TEST(a_store_reached_by_a_link_is_the_same_store)
{
	PLACE;
	char link[64];
	EXPECT_EQ(try_open(place.root, &err), 0);
	(void)snprintf(link, sizeof(link), "%s/link", place.dir);
	EXPECT_EQ(symlink(place.root, link), 0);
	EXPECT_EQ(store_open(link, &store, &err), 0);
	EXPECT_STR(store->root, place.root);
}

TEST(the_environment_names_the_store_when_nothing_else_does)
{
	PLACE;
	EXPECT_EQ(setenv("HULL_ROOT", place.root, 1), 0);
	int r = store_open(NULL, &store, &err);
	(void)unsetenv("HULL_ROOT");
	EXPECT_EQ(r, 0);
	EXPECT_STR(store->root, place.root);
}

TEST(an_empty_name_is_refused)
{
	struct err err = ERR_INIT;

	EXPECT_EQ(try_open("", &err), -EINVAL);
}

TEST(a_file_in_the_way_is_told)
{
	struct err err = ERR_INIT;

	EXPECT(try_open("/dev/null", &err) < 0);
	EXPECT_STR(err.msg, "open store '/dev/null': open folder '/dev/null': Not a directory");
}

TEST(records_outlive_the_handle)
{
	PLACE;
	EXPECT_EQ(store_open(place.root, &store, &err), 0);
	EXPECT_EQ(
		db_run(store->db,
		       "INSERT INTO workload(id, name, image, isolation, created_ns, command, config)"
		       " VALUES('1', 'web', 'x:latest', 'container', 1, 'sh', '{}')",
		       NULL, &err),
		1);
	EXPECT_EQ(db_run(store->db, "INSERT INTO address VALUES('bridge', '10.0.0.2', '1')", NULL,
			 &err),
		  1);
	store_close(TAKE_PTR(store));
	EXPECT_EQ(store_open(place.root, &store, &err), 0);
	int64_t n = 0;
	EXPECT_EQ(db_int(store->db, "SELECT count(*) FROM address", NULL, &n, &err), 1);
	EXPECT_EQ(n, 1);
	EXPECT_EQ(db_run(store->db, "DELETE FROM workload WHERE id='1'", NULL, &err), 1);
	EXPECT_EQ(db_int(store->db, "SELECT count(*) FROM address", NULL, &n, &err), 1);
	EXPECT_EQ(n, 0); /* addresses go with their workload */
}

TEST(a_newer_store_is_refused_and_untouched)
{
	PLACE;
	EXPECT_EQ(store_open(place.root, &store, &err), 0);
	EXPECT_EQ(db_run(store->db, "PRAGMA user_version = 2", NULL, &err), 0);
	store_close(TAKE_PTR(store));
	EXPECT_EQ(try_open(place.root, &err), -EPROTONOSUPPORT);
	EXPECT(strstr(err.msg, "has format 2, written by a newer hull; this one knows up to 1"));
}

TEST(an_emptied_database_is_damaged_not_new)
{
	PLACE;
	char path[96];
	EXPECT_EQ(try_open(place.root, &err), 0);
	(void)snprintf(path, sizeof(path), "%s/db", place.root);
	EXPECT_EQ(truncate(path, 0), 0);
	EXPECT_EQ(try_open(place.root, &err), -EUCLEAN);
	EXPECT(strstr(err.msg, "is damaged: it is empty") != NULL);
}

TEST(a_foreign_database_is_refused)
{
	PLACE;
	EXPECT_EQ(store_open(place.root, &store, &err), 0);
	EXPECT_EQ(db_run(store->db, "PRAGMA application_id = 1", NULL, &err), 0);
	store_close(TAKE_PTR(store));
	EXPECT_EQ(try_open(place.root, &err), -EUCLEAN);
	EXPECT(strstr(err.msg, "no records of hull") != NULL);
}

TEST(garbage_over_the_database_is_damage)
{
	PLACE;
	char path[96], junk[8192];
	EXPECT_EQ(try_open(place.root, &err), 0);
	(void)snprintf(path, sizeof(path), "%s/db", place.root);
	memset(junk, 'x', sizeof(junk));
	AUTO_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
	EXPECT(pwrite(fd, junk, sizeof(junk), 0) == sizeof(junk));
	EXPECT_EQ(try_open(place.root, &err), -EUCLEAN);
	EXPECT(strstr(err.msg, "is damaged") != NULL);
}

TEST(many_processes_may_make_the_store_at_once)
{
	PLACE;
	enum { N = 8 };
	pid_t pids[N];
	for (int i = 0; i < N; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(try_open(place.root, &err) == 0 ? 0 : 1);
	}
	int bad = 0;
	for (int i = 0; i < N; i++) {
		int status = -1;
		(void)waitpid(pids[i], &status, 0);
		bad += status != 0;
	}
	EXPECT_EQ(bad, 0);
	EXPECT_EQ(store_open(place.root, &store, &err), 0);
}

TEST(opening_is_quick)
{
	PLACE;
	enum { N = 200 };
	struct timespec from, to;
	int64_t best = INT64_MAX;

	EXPECT_EQ(try_open(place.root, &err), 0);
	for (int i = 0; i < N; i++) {
		(void)clock_gettime(CLOCK_MONOTONIC, &from);
		EXPECT_EQ(try_open(place.root, &err), 0);
		(void)clock_gettime(CLOCK_MONOTONIC, &to);
		int64_t us = (to.tv_sec - from.tv_sec) * 1000000 +
			     (to.tv_nsec - from.tv_nsec) / 1000;
		best = us < best ? us : best;
	}
	printf("# %jd us\n", (intmax_t)best);
	/* Ten times what it takes on two busy cores: a regression in kind is seen, a slow day not.
	 */
	EXPECT(best < 5000);
}

TEST(a_folder_below_is_opened_without_following_links)
{
	PLACE;
	EXPECT_EQ(store_open(place.root, &store, &err), 0);
	AUTO_CLOSE int fd = store_folder(store->root_fd, "layers", &err);
	EXPECT(fd >= 0);
	EXPECT_EQ(symlinkat("/etc", store->root_fd, "evil"), 0);
	EXPECT(store_folder(store->root_fd, "evil", &err) < 0);
}
