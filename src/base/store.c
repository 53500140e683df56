/* SPDX-License-Identifier: Apache-2.0 */
#include "base/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/store_schema.h"

static const char default_root[] = "/var/lib/hull";
static const char default_run[] = "/run/hull";

static int make_folders(int fd, const char *const *names, const char *base, struct err *err)
{
	for (; *names; names++) {
		if (mkdirat(fd, *names, 0700) < 0 && errno != EEXIST)
			return err_sys(err, "make folder '%s/%s'", base, *names);
	}
	return 0;
}

/* Opens (and makes) the folder `path`; *ret_real is its absolute path without links. */
static int open_base(const char *path, char **ret_real, struct err *err)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST) {
		int r = errno == ENOENT ? path_mkdir_all(AT_FDCWD, path, 0700, err)
					: err_sys(err, "make folder '%s'", path);
		if (r < 0)
			return r;
	}
	AUTO_FREE char *real = realpath(path, NULL);
	AUTO_CLOSE int fd = real ? open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd < 0)
		return err_sys(err, "open folder '%s'", path);
	*ret_real = TAKE_PTR(real);
	return TAKE_FD(fd);
}

/*
 * A new database is made aside and linked into place complete. So a `db` that is there is one that
 * was whole once: when it is empty now, it was damaged, and is not silently taken for a new store.
 */
static int create_db(const struct store *s, struct err *err)
{
	char tmp[PATH_MAX], path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/db", s->root) >= (int)sizeof(path) ||
	    snprintf(tmp, sizeof(tmp), "%s/tmp/db.%d", s->root, getpid()) >= (int)sizeof(tmp))
		return err_set(err, ENAMETOOLONG, "store '%.100s…': path too long", s->root);
	(void)unlink(tmp); /* of a process that died with our pid */
	int r = db_create(tmp, store_schema, err);
	if (r < 0)
		return r;
	if (link(tmp, path) < 0 && errno != EEXIST) /* EEXIST: another command was first */
		r = err_sys(err, "make database '%s'", path);
	(void)unlink(tmp);
	return r;
}

/* What PRAGMAs of the file itself say: whose it is and which schema it has. */
static int check_db(const struct store *s, struct err *err)
{
	int64_t app = 0, version = 0;

	int r = db_int(s->db, "PRAGMA application_id", NULL, &app, err);
	if (r >= 0)
		r = db_int(s->db, "PRAGMA user_version", NULL, &version, err);
	if (r < 0)
		return r;
	if (app != STORE_APPLICATION_ID || version < 1)
		return err_set(err, EUCLEAN,
			       "database '%s/db' is damaged: it holds no records of hull", s->root);
	if (version > STORE_VERSION)
		return err_set(err, EPROTONOSUPPORT,
			       "store '%s' has format %" PRId64
			       ", written by a newer hull; this one knows up to %d",
			       s->root, version, STORE_VERSION);
	return 0;
}

static int open_db(struct store *s, struct err *err)
{
	AUTO_FREE char *path = path_join(s->root, "db");
	struct stat st;

	if (!path)
		return err_set(err, ENOMEM, "out of memory");
	if (fstatat(s->root_fd, "db", &st, 0) < 0) {
		if (errno != ENOENT)
			return err_sys(err, "database '%s'", path);
		int r = create_db(s, err);
		if (r < 0)
			return r;
	} else if (!S_ISREG(st.st_mode) || st.st_size == 0) {
		return err_set(err, EUCLEAN, "database '%s' is damaged: it is %s", path,
			       S_ISREG(st.st_mode) ? "empty" : "not a regular file");
	}
	int r = db_open(path, &s->db, err);
	return r < 0 ? r : check_db(s, err);
}

static int open_run(struct store *s, struct err *err)
{
	static const char *const folders[] = {"layers", "workloads", NULL};
	AUTO_FREE char *path = strcmp(s->root, default_root) == 0 ? strdup(default_run)
								  : path_join(s->root, "run");
	if (!path)
		return err_set(err, ENOMEM, "out of memory");
	int fd = open_base(path, &s->run, err);
	if (fd < 0)
		return fd;
	s->run_fd = fd;
	return make_folders(fd, folders, s->run, err);
}

int store_open(const char *root, struct store **ret, struct err *err)
{
	static const char *const folders[] = {"layers", "blobs",     "blobs/sha256",
					      "tmp",    "workloads", "kernels",
					      NULL};
	const char *env = getenv("HULL_ROOT");

	AUTO(auto_store_close) struct store *s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	s->root_fd = s->run_fd = -1;
	if (!root)
		root = env && *env ? env : default_root;
	if (!*root)
		return err_set(err, EINVAL, "--root: the folder's name is empty");
	int r = open_base(root, &s->root, err);
	if (r >= 0) {
		s->root_fd = r;
		r = make_folders(s->root_fd, folders, s->root, err);
	}
	if (r == 0 && s->root)
		r = open_run(s, err);
	if (r == 0)
		r = open_db(s, err);
	if (r == -EACCES && root == default_root)
		return err_wrap(err, "open store '%s' (HULL_ROOT may name another)", root);
	if (r < 0)
		return err_wrap(err, "open store '%.200s'", root);
	*ret = TAKE_PTR(s);
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	db_close(store->db);
	auto_close(&store->run_fd);
	auto_close(&store->root_fd);
	free(store->run);
	free(store->root);
	free(store);
}

int store_folder(int base_fd, const char *path, struct err *err)
{
	int fd = openat(base_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? err_sys(err, "open folder '%s'", path) : fd;
}
