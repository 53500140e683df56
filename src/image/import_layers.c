/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers are read side by side, as many as there are processors. What a layer says about itself is
 * compared after each; those that cannot stand alone (an entry without its folder, a hard link into
 * a lower layer) are finished afterwards, lowest first, seeing what lies below them.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/db.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/store.h"
#include "image/import_pull.h"
#include "image/import_work.h"
#include "image/layer.h"
#include "image/mounter.h"
#include "image/progress.h"
#include "image/sha256.h"

void import_work_done(struct import_work *work)
{
	for (size_t i = 0; work->made && i < work->spec->n; i++) {
		auto_close(&work->made[i].fd);
		layer_free(work->made[i].layer);
	}
	free(work->made);
	work->made = NULL;
}

/* chain(n) = SHA256("sha256:<chain(n-1)> sha256:<diff-id(n)>"), chain(0) = diff-id(0) (image-spec
 * config.md). */
static int next_chain(char chain[DIGEST_HEX + 1], const char *diff_id, struct err *err)
{
	char text[2 * DIGEST_HEX + 32];

	if (chain[0] == '\0') {
		memcpy(chain, diff_id, DIGEST_HEX + 1);
		return 0;
	}
	int n = snprintf(text, sizeof(text), "sha256:%s sha256:%s", chain, diff_id);
	return sha256_hex(text, (size_t)n, chain, err);
}

/* Whether the store's file for key is there in full. */
static bool file_is_there(const struct store *store, const char *key, uint64_t size)
{
	char name[DIGEST_HEX + 32];
	struct stat st;

	(void)snprintf(name, sizeof(name), "layers/%s.erofs", key);
	return fstatat(store->root_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
}

/*
 * A layer is taken from the store only when this very blob was found to hold this very diff-id
 * before, and the blob is still kept: then nothing about it is left to be checked.
 */
static int find_known(const struct import_work *work, const struct import_layer *spec,
		      const char *chain, struct import_made *made, struct err *err)
{
	AUTO(auto_rows_free) struct rows *rows = NULL;
	char blob[DIGEST_HEX + 32];

	if (!spec->blob[0] || !spec->diff_id[0])
		return 0;
	(void)snprintf(blob, sizeof(blob), "blobs/sha256/%s", spec->blob);
	if (faccessat(work->store->root_fd, blob, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	int r = db_query(work->store->db,
			 "SELECT l.key, l.chain, l.size, l.entries FROM manifest_layer m"
			 " JOIN layer l ON l.key=m.layer"
			 " WHERE m.blob=?1 AND m.blob_size=?2 AND l.diff_id=?3 AND l.format=?4"
			 " AND (l.chain=0 OR l.key=?5) LIMIT 1",
			 DB_VALUES(DB_TEXT(spec->blob), DB_INT(spec->size), DB_TEXT(spec->diff_id),
				   DB_INT(LAYER_FORMAT), DB_TEXT(chain)),
			 &rows, err);
	if (r < 0 || (r = rows_next(rows, err)) <= 0)
		return r;
	const char *key = rows_text(rows, 0);
	uint64_t size = (uint64_t)rows_int(rows, 2);
	if (strlen(key) != DIGEST_HEX || !file_is_there(work->store, key, size))
		return 0;
	made->reused = true;
	made->chain = rows_int(rows, 1) != 0;
	made->image_bytes = size;
	made->entries = (uint64_t)rows_int(rows, 3);
	made->blob_bytes = spec->size;
	memcpy(made->key, key, DIGEST_HEX + 1);
	memcpy(made->diff_id, spec->diff_id, DIGEST_HEX + 1);
	memcpy(made->blob, spec->blob, DIGEST_HEX + 1);
	return 0;
}

/* A blob on its way into a layer: looked at, and copied. */
struct blob {
	layer_read_fn *read;
	void *ctx;
	int copy; /* -1: not kept, or kept without copying */
	enum oci_kind kind;
	const char *name;
	uint8_t head[6];
	size_t head_n;
};

/* Whether what the blob begins with is what its media type says. */
static int check_head(struct blob *b, struct err *err)
{
	static const uint8_t gzip[] = {0x1f, 0x8b}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd},
			     xz[] = {0xfd, '7', 'z', 'X', 'Z', 0};
	bool is_gzip = b->head_n >= sizeof(gzip) && memcmp(b->head, gzip, sizeof(gzip)) == 0;
	bool is_zstd = b->head_n >= sizeof(zstd) && memcmp(b->head, zstd, sizeof(zstd)) == 0;
	bool is_xz = b->head_n >= sizeof(xz) && memcmp(b->head, xz, sizeof(xz)) == 0;
	bool ok = b->kind == OCI_LAYER_GZIP   ? is_gzip
		  : b->kind == OCI_LAYER_ZSTD ? is_zstd
		  : b->kind == OCI_LAYER      ? !is_gzip && !is_zstd && !is_xz
					      : true;

	return ok ? 0
		  : err_set(err, EINVAL, "'%.200s' is not of the media type announced", b->name);
}

static ssize_t blob_read(void *ctx, void *bytes, size_t n, struct err *err)
{
	struct blob *b = ctx;

	ssize_t got = b->read(b->ctx, bytes, n, err);
	if (got > 0 && b->head_n < sizeof(b->head)) {
		size_t take = sizeof(b->head) - b->head_n;
		take = (size_t)got < take ? (size_t)got : take;
		memcpy(b->head + b->head_n, bytes, take);
		b->head_n += take;
		int r = check_head(b, err);
		if (r < 0)
			return r;
	}
	if (got > 0 && b->copy >= 0) {
		int r = write_all(b->copy, bytes, (size_t)got, "a copy of a layer's blob", err);
		if (r < 0)
			return r;
	}
	return got;
}

static int create_file(const struct import_work *work, char name[BUNDLE_NAME], const char *kind,
		       size_t i, struct err *err)
{
	(void)snprintf(name, BUNDLE_NAME, "%s.%zu", kind, i);
	int fd = openat(work->dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 ? err_sys(err, "create '%s/tmp/…/%s'", work->store->root, name) : fd;
}

/* Compares what was read with what was announced, and notes it. */
static int judge(const struct import_layer *spec, const struct layer_info *info,
		 struct import_made *made, struct err *err)
{
	char blob[DIGEST_HEX + 1];

	sha256_format(info->diff_id, made->diff_id);
	sha256_format(info->blob, blob);
	made->entries = info->entries;
	made->blob_bytes = info->blob_bytes;
	if (spec->blob[0] && info->blob_bytes != spec->size)
		return err_set(err, EINVAL, "'%s' has %ju bytes, not the announced %ju", spec->file,
			       (uintmax_t)info->blob_bytes, (uintmax_t)spec->size);
	if (spec->blob[0] && strcmp(spec->blob, blob) != 0)
		return err_set(err, EINVAL, "'%s' has the digest %s", spec->file, blob);
	if (spec->diff_id[0] && strcmp(spec->diff_id, made->diff_id) != 0)
		return err_set(err, EINVAL, "'%s' holds the diff-id %s, not the announced %s",
			       spec->file, made->diff_id, spec->diff_id);
	if (made->blob_file[0]) /* so that it can leave the store as it came */
		memcpy(made->blob, blob, DIGEST_HEX + 1);
	return 0;
}

static int sync_file(int fd, struct err *err)
{
	return fsync(fd) < 0 ? err_sys(err, "write a layer to disk") : 0;
}

/* Reads a layer of an archive or layout through its blob. */
static int read_blob(const struct import_work *work, size_t i, struct import_made *made,
		     struct err *err)
{
	const struct import_layer *spec = &work->spec->layers[i];
	struct blob blob = {.copy = -1, .kind = spec->kind, .name = spec->file};
	uint64_t size = 0;

	AUTO_CLOSE int fd = bundle_file(work->bundle, spec->file, &size, made->blob_file, err);
	if (fd < 0)
		return fd;
	if (spec->blob[0] && size != spec->size)
		return err_set(err, EINVAL, "'%s' has %ju bytes, not the announced %ju", spec->file,
			       (uintmax_t)size, (uintmax_t)spec->size);
	bool mine = made->blob_file[0] != '\0'; /* what was unpacked can be kept as it is */
	AUTO_CLOSE int copy = mine ? -1 : create_file(work, made->blob_file, "blob", i, err);
	if (!mine && copy < 0)
		return copy;
	blob.read = layer_read_fd;
	blob.ctx = &fd;
	blob.copy = copy;
	int r = layer_read_tar(made->layer, blob_read, &blob, err);
	if (r == 0)
		r = judge(spec, layer_info(made->layer), made, err);
	if (r == 0 && made->blob[0])
		r = sync_file(mine ? fd : copy, err);
	return r;
}

/* Likewise, while it comes from a registry. Spoilt: what was kept of it is not it. */
static int read_pulled(const struct import_work *work, size_t i, struct import_made *made,
		       bool *spoilt, struct err *err)
{
	const struct import_layer *spec = &work->spec->layers[i];
	AUTO(import_pulled_done) struct pulled pulled = PULLED(work->pull, spec, i);
	struct blob blob = {.read = import_pulled_read,
			    .ctx = &pulled,
			    .copy = -1,
			    .kind = spec->kind,
			    .name = spec->file};

	int r = layer_read_tar(made->layer, blob_read, &blob, err);
	if (r == 0)
		r = judge(spec, layer_info(made->layer), made, err);
	*spoilt = r < 0 && !pulled.broken;
	if (r < 0 || pulled.partial->fd < 0)
		return r;
	r = sync_file(pulled.partial->fd, err);
	(void)snprintf(made->blob_file, BUNDLE_NAME, "blob.%zu", i);
	memcpy(made->blob, spec->blob, DIGEST_HEX + 1);
	return r == 0 ? partial_link(work->store, pulled.partial, work->dir, made->blob_file, err)
		      : r;
}

/* Reads a layer into a file that is empty again. */
static int restart_layer(struct import_made *made, struct err *err)
{
	layer_free(TAKE_PTR(made->layer));
	if (ftruncate(made->fd, 0) < 0 || lseek(made->fd, 0, SEEK_SET) < 0)
		return err_sys(err, "empty a layer's file");
	return layer_new(made->fd, NULL, &made->layer, err);
}

/* What an earlier pull kept may be spoilt, by a crash or by whom it came from: then all is fetched
 * anew, once. What is spoilt is not kept. */
static int read_layer_pulled(const struct import_work *work, size_t i, struct import_made *made,
			     struct err *err)
{
	struct partial *kept = &work->pull->partials[i];
	struct err first = ERR_INIT;
	bool spoilt = false;

	int r = read_pulled(work, i, made, &spoilt, &first);
	if (r < 0 && spoilt && kept->fd >= 0 && kept->have > 0) {
		first = ERR_INIT;
		r = partial_clear(kept, &first);
		if (r == 0)
			r = restart_layer(made, &first);
		if (r == 0)
			r = read_pulled(work, i, made, &spoilt, &first);
	}
	if (r < 0 && spoilt)
		partial_remove(work->store, kept);
	if (r == 0)
		progress_part(work->pull->progress, i, work->spec->layers[i].size, "fetched");
	return r < 0 ? err_set(err, first.code, "%s", first.msg) : 0;
}

/* A root; a packed one is kept as it came, so that it can be pushed. */
static int read_root(const struct import_work *work, struct import_made *made, struct err *err)
{
	int fd = bundle_root(work->bundle);
	struct blob blob = {.read = layer_read_fd,
			    .ctx = &fd,
			    .copy = -1,
			    .kind = OCI_OTHER,
			    .name = "the root"};

	bool folder = bundle_kind(work->bundle) == BUNDLE_FOLDER;
	AUTO_CLOSE int copy = folder ? -1 : create_file(work, made->blob_file, "blob", 0, err);
	if (!folder && copy < 0)
		return copy;
	blob.copy = copy;
	int r = folder ? layer_read_folder(made->layer, fd, NULL, NULL, err)
		       : layer_read_tar(made->layer, blob_read, &blob, err);
	if (r == 0)
		r = judge(&work->spec->layers[0], layer_info(made->layer), made, err);
	return r == 0 && copy >= 0 ? sync_file(copy, err) : r;
}

static int finish(struct import_made *made, const struct layer_lower *lower, const char *chain,
		  struct err *err)
{
	uint8_t id[LAYER_DIGEST];

	if (chain)
		sha256_unformat(chain, id);
	int r = layer_finish(made->layer, lower, chain ? id : NULL, err);
	if (r == 0)
		r = sync_file(made->fd, err);
	if (r < 0)
		return r;
	made->image_bytes = layer_info(made->layer)->image_bytes;
	made->chain = chain != NULL;
	memcpy(made->key, chain ? chain : made->diff_id, DIGEST_HEX + 1);
	layer_free(TAKE_PTR(made->layer));
	return 0;
}

static int make_one(const struct import_work *work, size_t i, struct err *err)
{
	struct import_made *made = &work->made[i];

	int fd = create_file(work, made->file, "layer", i, err);
	if (fd < 0)
		return fd;
	made->fd = fd;
	int r = layer_new(made->fd, NULL, &made->layer, err);
	if (r == 0)
		r = work->pull                   ? read_layer_pulled(work, i, made, err)
		    : work->spec->layers[i].file ? read_blob(work, i, made, err)
						 : read_root(work, made, err);
	if (r == 0 && !layer_info(made->layer)->needs_lower)
		r = finish(made, NULL, NULL, err);
	return r < 0 ? err_wrap(err, "layer %zu", i) : 0;
}

/* What the threads share. Each layer belongs to the thread that drew its number. */
struct crew {
	const struct import_work *work;
	atomic_size_t next;
	atomic_bool failed;
	pthread_mutex_t lock; /* of err */
	struct err err; /* the first failure */
};

static void *crew_member(void *ctx)
{
	struct crew *crew = ctx;

	for (;;) {
		size_t i = atomic_fetch_add(&crew->next, 1);
		if (i >= crew->work->spec->n || atomic_load(&crew->failed))
			return NULL;
		if (crew->work->made[i].reused)
			continue;
		struct err err = ERR_INIT;
		if (make_one(crew->work, i, &err) < 0) {
			(void)pthread_mutex_lock(&crew->lock);
			if (!atomic_exchange(&crew->failed, true))
				crew->err = err;
			(void)pthread_mutex_unlock(&crew->lock);
		}
	}
}

static int make_side_by_side(const struct import_work *work, struct err *err)
{
	enum { THREADS_MAX = 16, PULLED_MIN = 4 /* much of their time passes on the way */ };
	struct crew crew = {.work = work, .lock = PTHREAD_MUTEX_INITIALIZER};
	pthread_t threads[THREADS_MAX];
	size_t n = 0;

	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t want = cpus < 1 ? 1 : cpus > THREADS_MAX ? THREADS_MAX : (size_t)cpus;
	want = work->pull && want < PULLED_MIN ? PULLED_MIN : want;
	want = want < work->spec->n ? want : work->spec->n;
	/* One is this thread; a thread that cannot be had only makes it slower. */
	while (n + 1 < want && pthread_create(&threads[n], NULL, crew_member, &crew) == 0)
		n++;
	(void)crew_member(&crew);
	for (size_t i = 0; i < n; i++)
		(void)pthread_join(threads[i], NULL);
	return atomic_load(&crew.failed) ? err_set(err, crew.err.code, "%s", crew.err.msg) : 0;
}

static int open_made(const struct import_work *work, const struct import_made *made,
		     struct err *err)
{
	char path[DIGEST_HEX + 32];

	if (!made->reused) {
		int fd = openat(work->dir, made->file, O_RDONLY | O_CLOEXEC);
		return fd < 0 ? err_sys(err, "open '%s'", made->file) : fd;
	}
	(void)snprintf(path, sizeof(path), "layers/%s.erofs", made->key);
	int fd = openat(work->store->root_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? err_sys(err, "open '%s'", path) : fd;
}

/* Lays layer i on the stack, which is begun for the first. */
static int push_made(const struct import_work *work, size_t i, struct err *err)
{
	int r = i == 0 ? mounter_begin(work->mounter, work->path, err) : 0;
	if (r < 0)
		return r;
	AUTO_CLOSE int fd = open_made(work, &work->made[i], err);
	return fd < 0 ? fd : mounter_push(work->mounter, fd, err);
}

/* Finishes the layers that wait for those below, each on top of what is finished by then. */
static int finish_waiting(const struct import_work *work, struct err *err)
{
	const struct layer_lower lower = mounter_view(work->mounter);
	char chain[DIGEST_HEX + 1] = "";
	size_t last = work->spec->n;

	while (last > 0 && !work->made[last - 1].layer)
		last--;
	for (size_t i = 0; i < last; i++) {
		int r = next_chain(chain, work->made[i].diff_id, err);
		if (r == 0 && i > 0)
			r = push_made(work, i - 1, err);
		if (r == 0 && work->made[i].layer) /* nothing is below the first */
			r = finish(&work->made[i], i > 0 ? &lower : NULL, chain, err);
		if (r < 0)
			return err_wrap(err, "layer %zu", i);
	}
	return 0;
}

/* Finds what need not be made. */
static int find_all_known(const struct import_work *work, struct err *err)
{
	char chain[DIGEST_HEX + 1] = "";
	int r = 0;

	for (size_t i = 0; r == 0 && i < work->spec->n && work->spec->layers[i].diff_id[0]; i++) {
		r = next_chain(chain, work->spec->layers[i].diff_id, err);
		if (r == 0 && !work->made[i].reused)
			r = find_known(work, &work->spec->layers[i], chain, &work->made[i], err);
	}
	return r;
}

int import_make(struct import_work *work, struct err *err)
{
	size_t n = work->spec->n;

	work->made = calloc(n + 1, sizeof(*work->made));
	if (!work->made)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		work->made[i].fd = -1;
	int r = find_all_known(work, err);
	if (r == 0 && work->pull) {
		r = import_pull_lock(work->pull, work->spec, work->made, err);
		if (r == 0) /* another pull may have recorded some meanwhile */
			r = find_all_known(work, err);
		if (r == 0)
			r = import_pull_begin(work->pull, work->spec, work->made, err);
	}
	if (r == 0)
		r = make_side_by_side(work, err);
	return r == 0 ? finish_waiting(work, err) : r;
}
