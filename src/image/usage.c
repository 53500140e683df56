/* SPDX-License-Identifier: Apache-2.0 */
/* What images take on disk, and letting go of what only transport needs. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/db.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/store.h"
#include "image/image.h"
#include "image/image_priv.h"

/* What is done with each regular file of a folder. */
typedef int file_fn(void *ctx, int dir, const char *name, const struct stat *st, struct err *err);

static void close_dir(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

static int each_file(const struct store *store, const char *folder, file_fn *fn, void *ctx,
		     struct err *err)
{
	AUTO_CLOSE int fd = store_folder(store->root_fd, folder, err);
	if (fd < 0)
		return fd;
	AUTO(close_dir) DIR *dir = fdopendir(fd);
	if (!dir)
		return err_sys(err, "list '%s/%s'", store->root, folder);
	int at = TAKE_FD(fd); /* the stream's now */
	int r = 0;
	for (struct dirent *e; r == 0 && (e = readdir(dir)) != NULL;) {
		struct stat st;
		if (fstatat(at, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			r = fn(ctx, at, e->d_name, &st, err);
	}
	return r;
}

static uint64_t bytes_of(const struct stat *st)
{
	return (uint64_t)st->st_blocks * 512;
}

struct count {
	const struct store *store;
	struct image_usage *usage;
};

static int count_blob(void *ctx, int dir, const char *name, const struct stat *st, struct err *err)
{
	const struct count *c = ctx;

	(void)dir;
	(void)name;
	(void)err;
	c->usage->blobs++;
	c->usage->blob_bytes += bytes_of(st);
	return 0;
}

static int count_layer(void *ctx, int dir, const char *name, const struct stat *st, struct err *err)
{
	const struct count *c = ctx;
	char key[DIGEST_HEX + 1] = "";
	int64_t one = 0;

	(void)dir;
	memcpy(key, name, strnlen(name, DIGEST_HEX));
	c->usage->layers++;
	c->usage->layer_bytes += bytes_of(st);
	int r = db_int(c->store->db,
		       "SELECT 1 FROM manifest_layer m JOIN workload w ON w.manifest=m.manifest"
		       " WHERE m.layer=? LIMIT 1",
		       DB_VALUES(DB_TEXT(key)), &one, err);
	if (r > 0)
		c->usage->layer_bytes_active += bytes_of(st);
	return r < 0 ? r : 0;
}

static int count_images(const struct store *store, struct image_usage *u, struct err *err)
{
	int64_t all = 0, active = 0;

	int r = db_int(store->db, "SELECT count(*) FROM manifest", NULL, &all, err);
	if (r >= 0)
		r = db_int(store->db,
			   "SELECT count(DISTINCT manifest.id) FROM manifest JOIN workload ON"
			   " workload.manifest=manifest.id",
			   NULL, &active, err);
	u->images = (uint64_t)all;
	u->images_active = (uint64_t)active;
	return r;
}

int image_usage(const struct store *store, struct image_usage *ret, struct err *err)
{
	struct image_usage usage = {0};
	struct count count = {store, &usage};

	int r = count_images(store, &usage, err);
	if (r >= 0)
		r = each_file(store, "layers", count_layer, &count, err);
	if (r >= 0)
		r = each_file(store, "blobs/sha256", count_blob, &count, err);
	if (r >= 0)
		*ret = usage;
	return r < 0 ? r : 0;
}

static int drop_blob(void *ctx, int dir, const char *name, const struct stat *st, struct err *err)
{
	uint64_t *freed = ctx;

	if (unlinkat(dir, name, 0) < 0)
		return errno == ENOENT ? 0 : err_sys(err, "remove blob '%.80s'", name);
	*freed += bytes_of(st);
	return 0;
}

int image_prune_blobs(const struct store *store, uint64_t *ret_bytes, struct err *err)
{
	uint64_t freed = 0;

	AUTO_CLOSE int lock = image_lock(store, true, err);
	if (lock == -EWOULDBLOCK)
		return err_set(err, EBUSY,
			       "an image is being imported: its blobs cannot be removed now");
	if (lock < 0)
		return lock;
	int r = each_file(store, "blobs/sha256", drop_blob, &freed, err);
	if (r == 0)
		*ret_bytes = freed;
	return r;
}
