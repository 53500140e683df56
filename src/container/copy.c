/* SPDX-License-Identifier: Apache-2.0 */
/* Copies a folder's content, for a tmpfs that starts with what the image has. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "container/populate.h"

enum { DEPTH_MAX = 256 };

struct entry {
	int from, to; /* folders */
	const char *name;
	struct stat st;
};

static int copy_folder(int from, int to, int depth, struct err *err);

static int copy_attributes(const struct entry *e, struct err *err)
{
	const struct timespec times[2] = {e->st.st_atim, e->st.st_mtim};

	if (fchownat(e->to, e->name, e->st.st_uid, e->st.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "set owner of '%s'", e->name);
	if (!S_ISLNK(e->st.st_mode) && fchmodat(e->to, e->name, e->st.st_mode & 07777, 0) < 0)
		return err_sys(err, "set mode of '%s'", e->name);
	if (utimensat(e->to, e->name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "set time of '%s'", e->name);
	return 0;
}

static int copy_file(const struct entry *e, struct err *err)
{
	AUTO_CLOSE int in = openat(e->from, e->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	AUTO_CLOSE int out = openat(e->to, e->name,
				    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	ssize_t n;

	if (in < 0 || out < 0)
		return err_sys(err, "copy '%s'", e->name);
	do {
		n = sendfile(out, in, NULL, 1 << 30);
	} while (n > 0);
	return n < 0 ? err_sys(err, "copy '%s'", e->name) : 0;
}

static int copy_link(const struct entry *e, struct err *err)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(e->from, e->name, target, sizeof(target) - 1);

	if (n < 0)
		return err_sys(err, "read link '%s'", e->name);
	target[n] = '\0';
	if (symlinkat(target, e->to, e->name) < 0)
		return err_sys(err, "make link '%s'", e->name);
	return 0;
}

static int copy_subfolder(const struct entry *e, int depth, struct err *err)
{
	if (mkdirat(e->to, e->name, 0700) < 0)
		return err_sys(err, "make folder '%s'", e->name);
	AUTO_CLOSE int from = openat(e->from, e->name,
				     O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	AUTO_CLOSE int to = openat(e->to, e->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (from < 0 || to < 0)
		return err_sys(err, "open folder '%s'", e->name);
	return copy_folder(from, to, depth + 1, err);
}

static int copy_one(int from, int to, const char *name, int depth, struct err *err)
{
	struct entry e = {.from = from, .to = to, .name = name};
	int r;

	if (fstatat(from, name, &e.st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "stat '%s'", name);
	if (S_ISDIR(e.st.st_mode))
		r = copy_subfolder(&e, depth, err);
	else if (S_ISREG(e.st.st_mode))
		r = copy_file(&e, err);
	else if (S_ISLNK(e.st.st_mode))
		r = copy_link(&e, err);
	else if (S_ISFIFO(e.st.st_mode))
		r = mkfifoat(to, name, 0600) < 0 ? err_sys(err, "make fifo '%s'", name) : 0;
	else
		return 0; /* sockets and devices belong to who made them */
	return r < 0 ? r : copy_attributes(&e, err);
}

static int copy_folder(int from, int to, int depth, struct err *err)
{
	int fd = depth < DEPTH_MAX ? openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	int r = 0;

	if (!dir) {
		auto_close(&fd);
		return err_set(err, ELOOP, "folders are nested too deep to be copied");
	}
	for (struct dirent *e; r == 0 && (e = readdir(dir));) {
		if (e->d_name[0] == '.' &&
		    (e->d_name[1] == '\0' || (e->d_name[1] == '.' && e->d_name[2] == '\0')))
			continue;
		r = copy_one(dirfd(dir), to, e->d_name, depth, err);
	}
	(void)closedir(dir);
	return r;
}

int copy_tree(int from, int to, struct err *err)
{
	struct stat st;

	if (fstat(from, &st) < 0)
		return err_sys(err, "stat folder");
	int r = copy_folder(from, to, 0, err);
	if (r < 0)
		return r;
	/* unless the options said otherwise, the top looks as the image has it */
	if (fchownat(to, "", st.st_uid, st.st_gid, AT_EMPTY_PATH) < 0)
		return err_sys(err, "set owner of folder");
	return 0;
}
