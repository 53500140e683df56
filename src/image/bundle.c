/* SPDX-License-Identifier: Apache-2.0 */
#include "image/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/json.h"
#include "base/path.h"
#include "base/str.h"
#include "image/image_priv.h"
#include "image/unpack.h"

struct bundle {
	enum bundle_kind kind;
	int fd; /* the folder, or the file at its start */
	int work_fd; /* borrowed */
	struct unpacked files; /* of an archive */
	uint64_t time_ns;
};

void bundle_free(struct bundle *b)
{
	if (!b)
		return;
	unpacked_done(&b->files);
	auto_close(&b->fd);
	free(b);
}

enum bundle_kind bundle_kind(const struct bundle *b)
{
	return b->kind;
}

int bundle_root(const struct bundle *b)
{
	return b->fd;
}

uint64_t bundle_time_ns(const struct bundle *b)
{
	return b->time_ns;
}

/* Without blocking on a FIFO that nobody writes to; afterwards reads block as usual. */
int bundle_source(const char *path, struct err *err)
{
	if (strcmp(path, "-") == 0) {
		int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
		return fd < 0 ? err_sys(err, "standard input") : fd;
	}
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_sys(err, "open '%s'", path);
	if (fcntl(fd, F_SETFL, 0) < 0)
		return err_sys(err, "open '%s'", path);
	return TAKE_FD(fd);
}

static int rewind_file(int fd, struct err *err)
{
	return lseek(fd, 0, SEEK_SET) < 0 ? err_sys(err, "rewind the source") : 0;
}

/* A stream cannot be looked at and then read from its start: it is kept first. */
static int keep_stream(struct bundle *b, struct err *err)
{
	enum { CHUNK = 1 << 16 };
	AUTO_FREE char *chunk = malloc(CHUNK);
	AUTO_CLOSE int to = openat(b->work_fd, "stream", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
				   0600);
	ssize_t n;

	if (!chunk || to < 0)
		return chunk ? err_sys(err, "create 'stream'")
			     : err_set(err, ENOMEM, "out of memory");
	while ((n = read_upto(b->fd, chunk, CHUNK, "the source", err)) > 0) {
		int r = write_all(to, chunk, (size_t)n, "a copy of the source", err);
		if (r < 0)
			return r;
	}
	if (n < 0)
		return (int)n;
	int r = rewind_file(to, err);
	if (r < 0)
		return r;
	auto_close(&b->fd);
	b->fd = TAKE_FD(to);
	return 0;
}

static int check_layout(const struct bundle *b, struct err *err)
{
	AUTO(auto_json_free) struct json_object *doc = NULL;
	AUTO_BUF struct buf text = BUF_INIT;
	const char *version = NULL;

	int r = bundle_read(b, "oci-layout", 4096, &text, err);
	if (r == 0)
		r = json_parse(text.data, text.len, 4096, "oci-layout", &doc, err);
	if (r == 0)
		r = json_need(json_get_str(doc, "imageLayoutVersion", &version, err),
			      "imageLayoutVersion", err);
	if (r >= 0 && !str_prefix(version, "1.", NULL))
		return err_set(err, EINVAL, "oci-layout: version '%.20s' is not known", version);
	return r < 0 ? r : 0;
}

static bool has_name(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int find_kind(struct bundle *b, const char *path, struct err *err)
{
	struct stat st;

	if (fstat(b->fd, &st) < 0)
		return err_sys(err, "stat '%s'", path);
	b->time_ns = st.st_mtim.tv_sec < 0 ? 0
					   : (uint64_t)st.st_mtim.tv_sec * 1000000000U +
						     (uint64_t)st.st_mtim.tv_nsec;
	if (S_ISDIR(st.st_mode)) {
		b->kind = has_name(b->fd, "oci-layout") && has_name(b->fd, "index.json")
				  ? BUNDLE_OCI
				  : BUNDLE_FOLDER;
		return 0;
	}
	bool stream = S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode);
	if (!S_ISREG(st.st_mode) && !stream)
		return err_set(err, EINVAL, "'%s' is no file, folder or pipe", path);
	int r = stream ? keep_stream(b, err) : rewind_file(b->fd, err);
	if (r == 0)
		r = unpack_look(b->fd, err);
	if (r < 0)
		return r;
	b->kind = r == UNPACK_OCI ? BUNDLE_OCI : r == UNPACK_DOCKER ? BUNDLE_DOCKER : BUNDLE_TAR;
	return b->kind == BUNDLE_TAR ? 0 : unpack_all(b->fd, b->work_fd, &b->files, err);
}

int bundle_open(int source, const char *path, int work_fd, struct bundle **ret, struct err *err)
{
	AUTO_CLOSE int fd = source;
	AUTO(auto_bundle_free) struct bundle *b = calloc(1, sizeof(*b));

	if (!b)
		return err_set(err, ENOMEM, "out of memory");
	b->work_fd = work_fd;
	b->fd = TAKE_FD(fd);
	int r = find_kind(b, path, err);
	if (r == 0 && b->kind == BUNDLE_OCI)
		r = check_layout(b, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(b);
	return 0;
}

int bundle_file(const struct bundle *b, const char *name, uint64_t *ret_size,
		char mine[BUNDLE_NAME], struct err *err)
{
	bool folder = b->files.names.n == 0;
	struct stat st;

	if (!path_is_clean(name, true))
		return err_set(err, EINVAL, "'%.200s' is not a name within the source", name);
	if (!folder && unpacked_find(&b->files, name, mine) < 0)
		return err_set(err, ENOENT, "'%.200s' is not in the archive", name);
	AUTO_CLOSE int fd = path_open_in(folder ? b->fd : b->work_fd, folder ? name : mine,
					 O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return err_sys(err, "stat '%s'", name);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "'%.200s' is not a regular file", name);
	*ret_size = (uint64_t)st.st_size;
	if (folder)
		mine[0] = '\0';
	return TAKE_FD(fd);
}

int bundle_read(const struct bundle *b, const char *name, uint64_t max, struct buf *to,
		struct err *err)
{
	char mine[BUNDLE_NAME];
	uint64_t size = 0;

	AUTO_CLOSE int fd = bundle_file(b, name, &size, mine, err);
	if (fd < 0)
		return fd;
	if (size > max)
		return err_set(err, EFBIG, "'%.200s' has %ju bytes, at most %ju", name,
			       (uintmax_t)size, (uintmax_t)max);
	char *at = buf_reserve(to, size);
	if (!at)
		return buf_check(to, err);
	ssize_t n = read_upto(fd, at, size, name, err);
	if (n < 0)
		return (int)n;
	to->len += (size_t)n;
	to->data[to->len] = '\0';
	return 0;
}
