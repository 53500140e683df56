/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/limits.h>
#include <search.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/archive.h"
#include "base/archive_format.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/path.h"

enum {
	DEPTH_MAX = 512,
	LINKED_MAX = 1 << 20, /* files remembered for their other names */
	XATTRS_MAX = 64 << 10, /* the kernel's bound of a list, and of a value */
};

#define OCTAL_SIZE_MAX UINT64_C(077777777777)

/* A file on its way into the stream. */
struct item {
	int dir;
	const char *name; /* in dir */
	const char *path; /* in the stream */
	struct stat st;
	char link[PATH_MAX]; /* a symbolic link's target, a hard link's other name */
	struct buf pax; /* owned: records of what ustar has no place for */
};

static void item_done(struct item *e)
{
	buf_done(&e->pax);
}

/* n as octal digits and a NUL; numbers that do not fit become 0 (a pax header tells them). */
static void put_octal(char *field, size_t size, uint64_t n)
{
	char text[32];

	int len = snprintf(text, sizeof(text), "%0*" PRIo64, (int)size - 1, n);
	if (len < 0 || (size_t)len >= size)
		(void)snprintf(text, sizeof(text), "%0*o", (int)size - 1, 0U);
	memcpy(field, text, size);
}

/* "LEN KEY=VALUE\n", where LEN counts itself. */
static void pax_bytes(struct buf *to, const char *key, const void *value, size_t value_len)
{
	size_t n = strlen(key) + value_len + 3; /* ' ', '=', newline */
	size_t len = n + 1;

	for (size_t digits = 1, limit = 10; digits < 19; digits++, limit *= 10) {
		len = n + digits;
		if (len < limit)
			break;
	}
	buf_printf(to, "%zu %s=", len, key);
	buf_add(to, value, value_len);
	buf_str(to, "\n");
}

static void pax_record(struct buf *to, const char *key, const char *value)
{
	pax_bytes(to, key, value, strlen(value));
}

static void put_header(struct tar_block *b, const struct stat *st, char type, const char *name,
		       const char *link)
{
	memset(b, 0, sizeof(*b));
	memcpy(b->name, name, strnlen(name, sizeof(b->name)));
	put_octal(b->mode, sizeof(b->mode), st->st_mode & 07777);
	put_octal(b->uid, sizeof(b->uid), st->st_uid);
	put_octal(b->gid, sizeof(b->gid), st->st_gid);
	put_octal(b->size, sizeof(b->size), type == '0' ? (uint64_t)st->st_size : 0);
	put_octal(b->mtime, sizeof(b->mtime), st->st_mtime > 0 ? (uint64_t)st->st_mtime : 0);
	b->type = type;
	memcpy(b->link, link, strnlen(link, sizeof(b->link)));
	memcpy(b->magic, "ustar\00000", 8);
	put_octal(b->major, sizeof(b->major), major(st->st_rdev));
	put_octal(b->minor, sizeof(b->minor), minor(st->st_rdev));
	(void)snprintf(b->sum, sizeof(b->sum), "%06o", tar_sum(b));
	b->sum[7] = ' ';
}

static void pad(struct buf *to)
{
	static const char zeros[TAR_BLOCK];

	buf_add(to, zeros, (TAR_BLOCK - to->len % TAR_BLOCK) % TAR_BLOCK);
}

/* The entry's headers: a pax one where names or numbers do not fit. */
static int write_headers(struct item *e, char type, int out, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct buf *pax = &e->pax;
	struct tar_block b;
	char number[32];

	if (strlen(e->path) > TAR_NAME)
		pax_record(pax, "path", e->path);
	if (strlen(e->link) > TAR_NAME)
		pax_record(pax, "linkpath", e->link);
	if ((uint64_t)e->st.st_size > OCTAL_SIZE_MAX) {
		(void)snprintf(number, sizeof(number), "%jd", (intmax_t)e->st.st_size);
		pax_record(pax, "size", number);
	}
	int failed = buf_check(pax, err);
	if (failed < 0)
		return failed;
	if (pax->len > 0) {
		struct stat st = {.st_mode = 0644, .st_size = (off_t)pax->len};
		put_header(&b, &st, 'x', "pax", "");
		put_octal(b.size, sizeof(b.size), pax->len);
		(void)snprintf(b.sum, sizeof(b.sum), "%06o", tar_sum(&b));
		b.sum[7] = ' ';
		buf_add(&text, &b, sizeof(b));
		buf_add(&text, pax->data, pax->len);
		pad(&text);
	}
	put_header(&b, &e->st, type, e->path, e->link);
	buf_add(&text, &b, sizeof(b));
	int r = buf_check(&text, err);
	return r < 0 ? r : write_all(out, text.data, text.len, "the archive", err);
}

/* Exactly as many bytes as the header said: a file that shrinks meanwhile is filled with zeros. */
static int write_content(int fd, uint64_t left, int out, struct err *err)
{
	char chunk[8192];

	for (uint64_t done = 0; done < left;) {
		size_t want = left - done < sizeof(chunk) ? (size_t)(left - done) : sizeof(chunk);
		ssize_t n = read(fd, chunk, want);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "read");
		if (n == 0) {
			memset(chunk, 0, want);
			n = (ssize_t)want;
		}
		int r = write_all(out, chunk, (size_t)n, "the archive", err);
		if (r < 0)
			return r;
		done += (uint64_t)n;
	}
	memset(chunk, 0, TAR_BLOCK);
	return write_all(out, chunk, (TAR_BLOCK - left % TAR_BLOCK) % TAR_BLOCK, "the archive",
			 err);
}

/* Where it goes, and how far. */
struct output {
	int fd;
	bool whole; /* see archive_write() */
	void *linked; /* owned: a tree (tsearch) of struct linked */
	size_t n_linked;
};

/* A file that has other names. */
struct linked {
	dev_t dev;
	ino_t ino;
	char path[]; /* in the stream, of the first name */
};

static int compare_linked(const void *a, const void *b)
{
	const struct linked *x = a;
	const struct linked *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* Whether the file is in the stream by another name, which is put into e->link then: 1, or 0. */
static int find_linked(struct item *e, struct output *to, struct err *err)
{
	if (!to->whole || e->st.st_nlink < 2 || to->n_linked == LINKED_MAX)
		return 0;
	AUTO_FREE struct linked *own = malloc(sizeof(*own) + strlen(e->path) + 1);
	if (!own)
		return err_set(err, ENOMEM, "out of memory");
	own->dev = e->st.st_dev;
	own->ino = e->st.st_ino;
	memcpy(own->path, e->path, strlen(e->path) + 1);
	struct linked **found = tsearch(own, &to->linked, compare_linked);
	if (!found)
		return err_set(err, ENOMEM, "out of memory");
	if (*found == own) { /* the tree's from now on */
		own = NULL;
		to->n_linked++;
		return 0;
	}
	int n = snprintf(e->link, sizeof(e->link), "%s", (*found)->path);
	return n > 0 && (size_t)n < sizeof(e->link); /* else by its content once more */
}

/* Attributes that mean the same elsewhere: users' own, and a program's capabilities. */
static bool is_kept(const char *name)
{
	return strncmp(name, "user.", strlen("user.")) == 0 ||
	       strcmp(name, "security.capability") == 0;
}

/* Adds the attributes of what is open to the entry's records; one that goes meanwhile is left out.
 */
static int add_xattrs(struct item *e, const struct output *to, int fd, struct err *err)
{
	char key[sizeof("SCHILY.xattr.") + XATTR_NAME_MAX + 1];

	if (!to->whole || flistxattr(fd, NULL, 0) <= 0)
		return 0;
	AUTO_FREE char *names = malloc((size_t)2 * XATTRS_MAX);
	if (!names)
		return err_set(err, ENOMEM, "out of memory");
	char *value = names + XATTRS_MAX;
	ssize_t n = flistxattr(fd, names, XATTRS_MAX);
	for (const char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
		ssize_t len = is_kept(p) ? fgetxattr(fd, p, value, XATTRS_MAX) : -1;
		if (len < 0)
			continue;
		(void)snprintf(key, sizeof(key), "SCHILY.xattr.%s", p);
		pax_bytes(&e->pax, key, value, (size_t)len);
	}
	return 0;
}

/* Whether the file or folder belongs to the file system that is asked for. */
static bool is_within(const struct output *to, int fd)
{
	struct statx st;

	return !to->whole || statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &st) < 0 ||
	       !(st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static int write_file(struct item *e, struct output *to, struct err *err)
{
	AUTO_CLOSE int fd = openat(e->dir, e->name,
				   O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &e->st) < 0)
		return err_sys(err, "read '%s'", e->path);
	if (!S_ISREG(e->st.st_mode))
		return err_set(err, EAGAIN, "'%s' changed while it was read", e->path);
	if (!is_within(to, fd))
		return 0;
	int r = find_linked(e, to, err);
	if (r > 0)
		return write_headers(e, '1', to->fd, err);
	if (r == 0)
		r = add_xattrs(e, to, fd, err);
	if (r == 0)
		r = write_headers(e, '0', to->fd, err);
	if (r == 0)
		r = write_content(fd, (uint64_t)e->st.st_size, to->fd, err);
	return r < 0 ? err_wrap(err, "'%s'", e->path) : 0;
}

static int write_entry(int dir, const char *name, const char *path, struct output *to, int depth,
		       struct err *err);

static int write_members(int dirfd, const char *path, struct output *to, int depth, struct err *err)
{
	int copy = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	int r = 0;

	if (!dir) {
		r = err_sys(err, "read folder '%s'", path);
		auto_close(&copy);
		return r;
	}
	for (struct dirent *d; r == 0 && (d = readdir(dir)) != NULL;) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		AUTO_FREE char *inner = NULL;
		if (asprintf(&inner, "%s/%s", path, d->d_name) < 0)
			r = err_set(err, ENOMEM, "out of memory");
		else
			r = write_entry(dirfd, d->d_name, inner, to, depth, err);
	}
	(void)closedir(dir);
	return r;
}

static int write_folder(struct item *e, struct output *to, int depth, struct err *err)
{
	AUTO_FREE char *slashed = NULL;

	if (depth == DEPTH_MAX)
		return err_set(err, ELOOP, "'%s' lies too deep", e->path);
	AUTO_CLOSE int fd = openat(e->dir, e->name,
				   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "read folder '%s'", e->path);
	if (asprintf(&slashed, "%s/", e->path) < 0)
		return err_set(err, ENOMEM, "out of memory");
	const char *path = e->path;
	e->path = slashed;
	int r = add_xattrs(e, to, fd, err);
	if (r == 0)
		r = write_headers(e, '5', to->fd, err);
	e->path = path;
	if (r < 0 || (depth > 0 && !is_within(to, fd)))
		return r;
	return write_members(fd, path, to, depth + 1, err);
}

static int write_entry(int dir, const char *name, const char *path, struct output *to, int depth,
		       struct err *err)
{
	AUTO(item_done) struct item e = {.dir = dir, .name = name, .path = path, .pax = BUF_INIT};

	if (fstatat(dir, name, &e.st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT && depth > 0 ? 0 : err_sys(err, "'%s'", path);
	if (S_ISDIR(e.st.st_mode))
		return write_folder(&e, to, depth, err);
	if (S_ISREG(e.st.st_mode))
		return write_file(&e, to, err);
	if (S_ISLNK(e.st.st_mode)) {
		ssize_t n = readlinkat(dir, name, e.link, sizeof(e.link) - 1);
		if (n < 0)
			return err_sys(err, "read link '%s'", path);
		return write_headers(&e, '2', to->fd, err);
	}
	if (S_ISSOCK(e.st.st_mode))
		return 0; /* lives with its process */
	char type = S_ISCHR(e.st.st_mode) ? '3' : S_ISBLK(e.st.st_mode) ? '4' : '6';
	return write_headers(&e, type, to->fd, err);
}

/* The folder that path lies in, and its last part: "." for "/" and for what ends in "/.". */
static int split(const char *path, char head[PATH_MAX], char tail[NAME_MAX + 1], struct err *err)
{
	size_t n = strlen(path);

	if (n == 0 || n >= PATH_MAX - 2)
		return err_set(err, EINVAL, "'%.80s' is not a path", path);
	memcpy(head, path, n + 1);
	while (n > 1 && head[n - 1] == '/')
		head[--n] = '\0';
	char *slash = strrchr(head, '/');
	const char *last = slash ? slash + 1 : head;
	if (strlen(last) > NAME_MAX)
		return err_set(err, ENAMETOOLONG, "'%.80s…' is too long", path);
	memcpy(tail, *last ? last : ".", *last ? strlen(last) + 1 : 2);
	if (slash)
		slash[slash == head] = '\0';
	else
		memcpy(head, ".", 2);
	return 0;
}

static void output_done(struct output *to)
{
	tdestroy(to->linked, free);
}

int archive_write(int rootfd, const char *path, int out, bool whole, struct err *err)
{
	AUTO(output_done) struct output to = {.fd = out, .whole = whole};
	static const char end[2 * TAR_BLOCK];
	char head[PATH_MAX];
	char tail[NAME_MAX + 1];

	int r = split(path, head, tail, err);
	if (r < 0)
		return r;
	if (strcmp(tail, "..") == 0)
		return err_set(err, EINVAL, "'%s' ends in '..'", path);
	AUTO_CLOSE int dir = path_open_in(rootfd, head, O_PATH | O_DIRECTORY, 0, err);
	if (dir < 0)
		return dir;
	r = write_entry(dir, tail, tail, &to, 0, err);
	return r < 0 ? r : write_all(out, end, sizeof(end), "the archive", err);
}
