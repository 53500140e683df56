/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/archive.h"
#include "base/archive_format.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/path.h"
#include "base/str.h"

enum { PAX_MAX = 1 << 20 };

/* One entry, judged. */
struct item {
	char type;
	char path[PATH_MAX]; /* below folder; "" is folder itself */
	char link[PATH_MAX];
	uint64_t size, mode, uid, gid, mtime, major, minor;
};

struct reader {
	int in;
	bool owners;
	int rootfd; /* borrowed */
	const char *path_to; /* inside rootfd: what the user named */
	int folder; /* everything goes below it; -1 until the first entry */
	char top[NAME_MAX +
		 1]; /* the one name in it that may be made; "": any, for a stream of "." */
	char first[NAME_MAX + 1]; /* what the stream calls it; "" until known */
	struct buf path, link; /* from a pax header, for the next entry */
	bool has_size;
	uint64_t size;
	struct item item, target; /* of the entry at hand; target: of a hard link */
	char tidied[PATH_MAX];
};

static int read_exact(struct reader *rd, void *to, size_t n, struct err *err)
{
	ssize_t got = read_upto(rd->in, to, n, "the archive", err);

	if (got < 0)
		return (int)got;
	return (size_t)got == n ? 0 : err_set(err, EBADMSG, "the archive ends too early");
}

/* Digits up to a space or NUL, or GNU's big-endian form with the top bit set. */
static int number(const char *field, size_t size, uint64_t *ret, struct err *err)
{
	uint64_t n = 0;
	size_t i = 0;

	if ((unsigned char)field[0] == 0x80) {
		for (i = 1; i < size; i++) {
			if (n >> 55)
				return err_set(err, EBADMSG,
					       "the archive holds a number too large");
			n = n << 8 | (unsigned char)field[i];
		}
		*ret = n;
		return 0;
	}
	while (i < size && field[i] == ' ')
		i++;
	for (; i < size && field[i] >= '0' && field[i] <= '7'; i++)
		n = n << 3 | (uint64_t)(field[i] - '0');
	if (i < size && field[i] != ' ' && field[i] != '\0')
		return err_set(err, EBADMSG, "the archive holds a number that is none");
	*ret = n;
	return 0;
}

static int skip(struct reader *rd, uint64_t n, struct err *err)
{
	char drop[4096];
	int r = 0;

	while (r == 0 && n > 0) {
		size_t part = n < sizeof(drop) ? (size_t)n : sizeof(drop);
		r = read_exact(rd, drop, part, err);
		n -= part;
	}
	return r;
}

static uint64_t padding(uint64_t size)
{
	return (TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK;
}

/* --- names --- */

/* Takes "./", "//" and a trailing '/' out; refuses "..", absolute names and NUL. */
static int tidy(const char *name, char to[PATH_MAX], struct err *err)
{
	size_t n = 0;

	if (name[0] == '/')
		return err_set(err, EBADMSG, "the archive holds an absolute name");
	for (const char *p = name; *p;) {
		size_t len = strcspn(p, "/");
		if (len == 2 && p[0] == '.' && p[1] == '.')
			return err_set(err, EBADMSG, "the archive holds a name with '..'");
		if (len > NAME_MAX || n + len + 2 > PATH_MAX)
			return err_set(err, ENAMETOOLONG, "the archive holds a name too long");
		if (len > 0 && !(len == 1 && p[0] == '.')) {
			if (n > 0)
				to[n++] = '/';
			memcpy(to + n, p, len);
			n += len;
		}
		p += len + (p[len] == '/');
	}
	to[n] = '\0';
	return 0;
}

/* Where it goes: an existing folder takes the tree as a member; else the tree becomes path. */
static int choose_place(struct reader *rd, const char *first, struct err *err)
{
	const char *path = rd->path_to;
	struct err absent = ERR_INIT;
	char head[PATH_MAX];

	rd->folder = path_open_in(rd->rootfd, path, O_PATH | O_DIRECTORY, 0, &absent);
	if (rd->folder >= 0) {
		(void)snprintf(rd->top, sizeof(rd->top), "%.*s", (int)strcspn(first, "/"), first);
		return 0;
	}
	size_t n = strlen(path);
	if (n == 0 || n >= sizeof(head))
		return err_set(err, EINVAL, "'%.80s' is not a path", path);
	memcpy(head, path, n + 1);
	while (n > 1 && head[n - 1] == '/')
		head[--n] = '\0';
	char *slash = strrchr(head, '/');
	const char *last = slash ? slash + 1 : head;
	if (strlen(last) > NAME_MAX)
		return err_set(err, ENAMETOOLONG, "'%.80s…' is too long", path);
	memcpy(rd->top, last, strlen(last) + 1);
	if (slash)
		slash[slash == head] = '\0';
	rd->folder = path_open_in(rd->rootfd, slash ? head : ".", O_PATH | O_DIRECTORY, 0, err);
	if (rd->folder < 0 || first[0])
		return rd->folder < 0 ? rd->folder : 0;
	/* the content of a folder, for one that is still to be made */
	if (mkdirat(rd->folder, rd->top, 0755) < 0)
		return err_sys(err, "make folder '%s'", path);
	int made = openat(rd->folder, rd->top, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (made < 0)
		return err_sys(err, "open folder '%s'", path);
	auto_close(&rd->folder);
	rd->folder = made;
	rd->top[0] = '\0';
	return 0;
}

/* Gives the entry its place: below `top` instead of the stream's first name, and nowhere else. */
static int place(struct reader *rd, const char *name, struct item *item, struct err *err)
{
	char *tidied = rd->tidied;

	int r = tidy(name, tidied, err);
	if (r == 0 && rd->folder < 0)
		r = choose_place(rd, tidied, err);
	if (r < 0)
		return r;
	if (rd->top[0] == '\0') {
		memcpy(item->path, tidied, strlen(tidied) + 1);
		return 0;
	}
	size_t n = strcspn(tidied, "/");
	if (n == 0)
		return err_set(err, EBADMSG, "the archive begins with a folder's content only");
	if (rd->first[0] == '\0')
		(void)snprintf(rd->first, sizeof(rd->first), "%.*s", (int)n, tidied);
	if (strlen(rd->first) != n || strncmp(rd->first, tidied, n) != 0)
		return err_set(err, EBADMSG, "the archive holds more than one tree");
	if (snprintf(item->path, sizeof(item->path), "%s%s", rd->top, tidied + n) >=
	    (int)sizeof(item->path))
		return err_set(err, ENAMETOOLONG, "the archive holds a name too long");
	return 0;
}

/* The folder an entry lies in, reached without following any link; made when missing. */
static int open_parent(struct reader *rd, const char *path, const char **ret_name, struct err *err)
{
	char head[PATH_MAX];
	const char *slash = strrchr(path, '/');

	*ret_name = slash ? slash + 1 : path;
	if (!slash)
		(void)snprintf(head, sizeof(head), ".");
	else
		(void)snprintf(head, sizeof(head), "%.*s", (int)(slash - path), path);
	const struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
				     .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
						RESOLVE_NO_MAGICLINKS};
	int fd = (int)syscall(SYS_openat2, rd->folder, head, &how, sizeof(how));
	if (fd < 0 && errno == ENOENT) {
		for (char *p = head; *p; p++) {
			if (*p != '/')
				continue;
			*p = '\0';
			(void)mkdirat(rd->folder, head, 0755); /* judged by the opening below */
			*p = '/';
		}
		(void)mkdirat(rd->folder, head, 0755);
		fd = (int)syscall(SYS_openat2, rd->folder, head, &how, sizeof(how));
	}
	return fd < 0 ? err_sys(err, "open folder '%s'", head) : fd;
}

/* --- entries --- */

static int make_file(struct reader *rd, int dir, const char *name, const struct item *item,
		     struct err *err)
{
	char chunk[4096];

	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return err_sys(err, "replace '%s'", item->path);
	AUTO_CLOSE int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				   0600);
	if (fd < 0)
		return err_sys(err, "make '%s'", item->path);
	for (uint64_t left = item->size; left > 0;) {
		size_t part = left < sizeof(chunk) ? (size_t)left : sizeof(chunk);
		int r = read_exact(rd, chunk, part, err);
		if (r == 0)
			r = write_all(fd, chunk, part, item->path, err);
		if (r < 0)
			return r;
		left -= part;
	}
	return skip(rd, padding(item->size), err);
}

static int make_folder(int dir, const char *name, const struct item *item, struct err *err)
{
	struct stat st;

	if (item->path[0] == '\0' || mkdirat(dir, name, 0700) == 0)
		return 0;
	if (errno == EEXIST && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISDIR(st.st_mode))
		return 0;
	return err_set(err, ENOTDIR, "'%s' is there and is no folder", item->path);
}

static int make_other(int dir, const char *name, const struct item *item, struct err *err)
{
	mode_t kind = item->type == '3' ? S_IFCHR : item->type == '4' ? S_IFBLK : S_IFIFO;
	int r;

	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return err_sys(err, "replace '%s'", item->path);
	if (item->type == '2')
		r = symlinkat(item->link, dir, name);
	else
		r = mknodat(dir, name, kind | 0600,
			    makedev((unsigned)item->major, (unsigned)item->minor));
	return r < 0 ? err_sys(err, "make '%s'", item->path) : 0;
}

static int make_hard_link(struct reader *rd, int dir, const char *name, const struct item *item,
			  struct err *err)
{
	const char *last;

	int r = place(rd, item->link, &rd->target, err);
	if (r < 0)
		return r;
	AUTO_CLOSE int from = open_parent(rd, rd->target.path, &last, err);
	if (from < 0)
		return from;
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return err_sys(err, "replace '%s'", item->path);
	return linkat(from, last, dir, name, 0) < 0 ? err_sys(err, "link '%s'", item->path) : 0;
}

static int set_attributes(const struct reader *rd, int dir, const char *name,
			  const struct item *item, struct err *err)
{
	const struct timespec times[2] = {{.tv_sec = (time_t)item->mtime},
					  {.tv_sec = (time_t)item->mtime}};
	mode_t mode = (mode_t)(item->mode & (rd->owners ? 07777 : 0777));

	if (item->path[0] == '\0' || item->type == '1')
		return 0;
	if (rd->owners &&
	    fchownat(dir, name, (uid_t)item->uid, (gid_t)item->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "set the owner of '%s'", item->path);
	if (item->type != '2' && fchmodat(dir, name, mode, 0) < 0)
		return err_sys(err, "set the mode of '%s'", item->path);
	if (utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "set the time of '%s'", item->path);
	return 0;
}

static int make(struct reader *rd, const struct item *item, struct err *err)
{
	const char *name;
	int r;

	AUTO_CLOSE int dir = open_parent(rd, item->path, &name, err);
	if (dir < 0)
		return dir;
	switch (item->type) {
	case '0':
	case '7':
	case '\0':
		r = make_file(rd, dir, name, item, err);
		break;
	case '5':
		r = make_folder(dir, name, item, err);
		break;
	case '1':
		r = make_hard_link(rd, dir, name, item, err);
		break;
	case '2':
	case '3':
	case '4':
	case '6':
		r = make_other(dir, name, item, err);
		break;
	default:
		return err_set(err, EBADMSG, "the archive holds an entry of unknown type");
	}
	return r < 0 ? r : set_attributes(rd, dir, name, item, err);
}

/* --- headers --- */

/* Takes path, linkpath and size of one pax header over for the entry behind it. */
static int read_pax(struct reader *rd, const char *text, size_t n, struct err *err)
{
	for (size_t at = 0; at < n;) {
		char *rest;
		unsigned long len = strtoul(text + at, &rest, 10);
		size_t head = (size_t)(rest - (text + at)) + 1;
		if (*rest != ' ' || len <= head || len > n - at || text[at + len - 1] != '\n')
			return err_set(err, EBADMSG, "the archive holds a broken pax header");
		const char *key = rest + 1;
		size_t left = len - head - 1;
		const char *equals = memchr(key, '=', left);
		if (!equals || memchr(key, '\0', left))
			return err_set(err, EBADMSG, "the archive holds a broken pax header");
		struct buf *to = str_prefix(key, "path=", NULL)       ? &rd->path
				 : str_prefix(key, "linkpath=", NULL) ? &rd->link
								      : NULL;
		if (to) {
			buf_clear(to);
			buf_add(to, equals + 1, left - (size_t)(equals + 1 - key));
		}
		if (str_prefix(key, "size=", NULL)) {
			rd->has_size = true;
			rd->size = strtoull(equals + 1, NULL, 10);
		}
		at += len;
	}
	return 0;
}

/* Entries that only tell about the next one; its content is read here. */
static int read_extension(struct reader *rd, char type, uint64_t size, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;

	if (size > PAX_MAX)
		return err_set(err, EBADMSG, "the archive holds a header too large");
	char *at = buf_reserve(&text, (size_t)size + 1);
	if (!at)
		return err_set(err, ENOMEM, "out of memory");
	int r = read_exact(rd, at, (size_t)size, err);
	if (r == 0)
		r = skip(rd, padding(size), err);
	if (r < 0)
		return r;
	text.len = (size_t)size;
	at[size] = '\0';
	if (type == 'x')
		return read_pax(rd, at, (size_t)size, err);
	if (type == 'L' || type == 'K') {
		struct buf *to = type == 'L' ? &rd->path : &rd->link;
		buf_clear(to);
		buf_add(to, at, strlen(at));
	}
	return 0; /* 'g': nothing in it is asked for */
}

static int item_numbers(const struct tar_block *b, struct item *item, struct err *err)
{
	int r = number(b->size, sizeof(b->size), &item->size, err);

	if (r == 0)
		r = number(b->mode, sizeof(b->mode), &item->mode, err);
	if (r == 0)
		r = number(b->uid, sizeof(b->uid), &item->uid, err);
	if (r == 0)
		r = number(b->gid, sizeof(b->gid), &item->gid, err);
	if (r == 0)
		r = number(b->mtime, sizeof(b->mtime), &item->mtime, err);
	if (r == 0)
		r = number(b->major, sizeof(b->major), &item->major, err);
	return r < 0 ? r : number(b->minor, sizeof(b->minor), &item->minor, err);
}

static int read_item(struct reader *rd, const struct tar_block *b, struct item *item,
		     struct err *err)
{
	char name[sizeof(b->prefix) + sizeof(b->name) + 2];
	bool prefixed = memcmp(b->magic, "ustar\0", 6) == 0 && b->prefix[0];

	(void)snprintf(name, sizeof(name), "%.*s%s%.*s", prefixed ? (int)sizeof(b->prefix) : 0,
		       b->prefix, prefixed ? "/" : "", (int)sizeof(b->name), b->name);
	(void)snprintf(item->link, sizeof(item->link), "%.*s", (int)sizeof(b->link), b->link);
	if (rd->link.len > 0)
		(void)snprintf(item->link, sizeof(item->link), "%s", rd->link.data);
	if (rd->has_size)
		item->size = rd->size;
	if (item->size > INT64_MAX || (item->size > 0 && strchr("123456", b->type) && b->type))
		return err_set(err, EBADMSG, "the archive holds an entry of impossible size");
	item->type = b->type;
	int r = place(rd, rd->path.len > 0 ? rd->path.data : name, item, err);
	buf_clear(&rd->path);
	buf_clear(&rd->link);
	rd->has_size = false;
	return r;
}

/* 1: an entry was read and dealt with; 0: the end. */
static int step(struct reader *rd, struct err *err)
{
	struct item *item = &rd->item;
	struct tar_block b;
	uint64_t sum = 0;

	int r = read_exact(rd, &b, sizeof(b), err);
	if (r < 0)
		return r;
	if (b.name[0] == '\0' && tar_sum(&b) == 8 * ' ')
		return 0;
	r = number(b.sum, sizeof(b.sum), &sum, err);
	if (r == 0 && sum != tar_sum(&b))
		r = err_set(err, EBADMSG, "the archive is damaged: a header's sum is wrong");
	if (r == 0)
		r = item_numbers(&b, item, err);
	if (r < 0)
		return r;
	if (strchr("xgLK", b.type) && b.type)
		r = read_extension(rd, b.type, item->size, err);
	else
		r = read_item(rd, &b, item, err);
	if (r == 0 && !(strchr("xgLK", b.type) && b.type))
		r = make(rd, item, err);
	return r < 0 ? r : 1;
}

int archive_read(int in, int rootfd, const char *path, bool owners, struct err *err)
{
	AUTO_FREE struct reader *rd = calloc(1, sizeof(*rd));
	int r = 1;

	if (!rd)
		return err_set(err, ENOMEM, "out of memory");
	rd->in = in;
	rd->owners = owners;
	rd->rootfd = rootfd;
	rd->path_to = path;
	rd->folder = -1;
	while (r > 0)
		r = step(rd, err);
	if (r == 0 && rd->folder < 0)
		r = err_set(err, EBADMSG, "the archive is empty");
	buf_done(&rd->path);
	buf_done(&rd->link);
	auto_close(&rd->folder);
	return r;
}
