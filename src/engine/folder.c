/* SPDX-License-Identifier: Apache-2.0 */
/* The folders of a workload: ROOT/workloads/ID (kept) and RUN/workloads/ID (while it runs). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/path.h"
#include "engine/internal.h"
#include "engine/names.h"

enum { FOLDER_TEXT = 96, RECORD_BYTES_MAX = 4 << 20, LOCK_TRIES = 200, LOCK_NAP_MS = 50 };

static void folder_name(const char *id, char path[FOLDER_TEXT])
{
	(void)snprintf(path, FOLDER_TEXT, "workloads/%s", id);
}

int workload_folder(struct engine *e, const char *id, struct err *err)
{
	char path[FOLDER_TEXT];

	folder_name(id, path);
	int fd = openat(e->store->root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? err_sys(err, "open the folder of workload %.12s", id) : fd;
}

/* The folder's own inode is the lock. It is looked at again once the lock is held: whoever had it
 * may have removed the folder. */
int workload_lock(struct engine *e, const char *id, bool wait, struct err *err)
{
	AUTO_CLOSE int fd = workload_folder(e, id, err);
	struct stat st;

	if (fd < 0)
		return fd;
	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_sys(err, "lock workload %.12s", id);
		if (!wait || i == LOCK_TRIES)
			return err_set(err, EBUSY,
				       "workload %.12s: another command is at work on it", id);
		(void)nanosleep(&(struct timespec){.tv_nsec = LOCK_NAP_MS * 1000000L}, NULL);
	}
	if (fstat(fd, &st) < 0 || st.st_nlink == 0)
		return err_set(err, ENOENT, "workload %.12s was removed meanwhile", id);
	return TAKE_FD(fd);
}

int workload_run_folder(struct engine *e, const char *id, bool make, struct err *err)
{
	char path[FOLDER_TEXT];

	folder_name(id, path);
	if (make) {
		int r = path_mkdir_all(e->store->run_fd, path, 0700, err);
		if (r < 0)
			return r;
	}
	int fd = openat(e->store->run_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? err_sys(err, "open the run folder of workload %.12s", id) : fd;
}

static int read_record(struct engine *e, const char *id, const char *name,
		       const struct record *type, void *ret, struct err *err)
{
	AUTO_CLOSE int dir = workload_folder(e, id, err);
	AUTO_BUF struct buf bytes = BUF_INIT;

	memset(ret, 0, type->size); /* released by the caller on failure too */
	if (dir < 0)
		return dir;
	int r = file_read(dir, name, RECORD_BYTES_MAX, &bytes, err);
	if (r == 0)
		r = record_decode(type, bytes.data, bytes.len, ret, err);
	return r < 0 ? err_wrap(err, "read '%s' of workload %.12s", name, id) : 0;
}

int workload_read_plan(struct engine *e, const char *id, struct plan *ret, struct err *err)
{
	return read_record(e, id, "plan", &plan_record, ret, err);
}

int workload_read_orders(struct engine *e, const char *id, struct keeper_orders *ret,
			 struct err *err)
{
	return read_record(e, id, "orders", &keeper_orders_record, ret, err);
}

int record_write(int dirfd, const char *name, const struct record *type, const void *obj,
		 struct err *err)
{
	AUTO_BUF struct buf bytes = BUF_INIT;

	record_encode(type, obj, &bytes);
	int r = buf_check(&bytes, err);
	if (r == 0)
		r = file_replace(dirfd, name, bytes.data, bytes.len, 0600, err);
	return r;
}

int workload_remove_run(struct engine *e, const char *id, struct err *err)
{
	char path[FOLDER_TEXT];

	folder_name(id, path);
	return path_remove_all(e->store->run_fd, path, err);
}

int folder_names(struct engine *e, struct strv *ret, struct err *err)
{
	int fd = openat(e->store->root_fd, "workloads", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(err, "open the folder 'workloads'");
	DIR *dir = fdopendir(fd);
	if (!dir) {
		auto_close(&fd);
		return err_sys(err, "read the folder 'workloads'");
	}
	int r = 0;
	for (struct dirent *entry; r == 0 && (entry = readdir(dir)) != NULL;) {
		if (id_is_prefix(entry->d_name) && strlen(entry->d_name) == ID_TEXT - 1)
			r = strv_add(ret, entry->d_name, err);
	}
	(void)closedir(dir);
	return r;
}

int workload_remove_folders(struct engine *e, const char *id, struct err *err)
{
	char path[FOLDER_TEXT];

	int r = workload_remove_run(e, id, err);
	folder_name(id, path);
	if (r == 0)
		r = path_remove_all(e->store->root_fd, path, err);
	return r;
}
