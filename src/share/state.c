/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's kernel knows files by the numbers of nodes and handles, and goes on using them in a
 * machine that comes back; here is which files they are. Files are told by their paths below the
 * root, not by what the host's file system calls them, so that a copy of the folder does as well.
 * Who reads a state believes nothing: a path is walked from the root without links, what lies there
 * must be of the kind it was, and only regular files and folders are opened.
 */
#include "base/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fuse.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/io.h"
#include "base/path.h"
#include "share/share.h"

/* In the order of writing. */
enum { PART_HELLO = 1, PART_NODES, PART_HANDLES };

enum {
	ROOT = 1,
	STATE_BYTES_MAX = 1 << 30, /* a million files with paths of a thousand bytes */
	/* what of a file's flags it is opened with again */
	FLAGS = O_ACCMODE | O_SYNC | O_DSYNC | O_NOATIME,
};

static const struct state_form form = {"hullshar", 1, "share"};

struct share_hello share_hello;

/* --- paths --- */

/* By which a file is found again. */
struct place {
	char path[PATH_MAX]; /* below the root, "" for itself */
	struct stat st; /* of the file */
};

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* How the kernel calls the file; -1 with errno. */
static ssize_t read_name(int fd, char to[PATH_MAX])
{
	char link[16];

	(void)snprintf(link, sizeof(link), "%d", fd);
	ssize_t n = readlinkat(AT_FDCWD, link, to, PATH_MAX - 1);
	to[n < 0 ? 0 : n] = '\0';
	return n;
}

/* Where the file is; ENOENT: nowhere any more, or another errno. */
static int locate(int root, int fd, struct place *ret)
{
	char top[PATH_MAX];
	char name[PATH_MAX];
	struct stat there;

	ssize_t n = read_name(root, top);
	if (n < 0 || read_name(fd, name) < 0 || fstat(fd, &ret->st) < 0)
		return errno;
	size_t skip = n == 1 ? 0 : (size_t)n; /* of "/" nothing */
	if (strncmp(name, top, skip) != 0 || (name[skip] != '/' && name[skip] != '\0'))
		return ENOENT;
	const char *path = name[skip] == '/' ? name + skip + 1 : name + skip;
	if (fstatat(root, path, &there, path[0] ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH) < 0)
		return errno == ENOTDIR ? ENOENT : errno;
	if (!same_file(&there, &ret->st))
		return ENOENT;
	memcpy(ret->path, path, strlen(path) + 1);
	return 0;
}

/* What is open may have been found by another name than the one it was opened by. */
static int locate_open(int root, int fd, struct place *ret)
{
	int code = locate(root, fd, ret);

	if (code != ENOENT)
		return code;
	const struct node *n = node_find(&ret->st);
	return n ? locate(root, n->fd, ret) : ENOENT;
}

/* --- writing --- */

static void put_path(struct buf *to, const char *path)
{
	size_t n = strlen(path);

	buf_le32(to, (uint32_t)n);
	buf_add(to, path, n);
}

/* Fills in how many records there are, which was left open at `at`. */
static void end_records(struct buf *to, size_t part, size_t at, uint64_t count)
{
	struct buf le = {0};

	buf_le64(&le, count);
	if (!to->bad && !le.bad)
		memcpy(to->data + at, le.data, le.len);
	to->bad |= le.bad;
	buf_done(&le);
	state_end_part(to, part);
}

static int save_nodes(int root, struct buf *to, struct err *err)
{
	size_t part = state_part(to, PART_NODES, 0);
	struct place at = {.path = ""};
	uint64_t count = 0, id = ROOT;
	const struct node *n;
	size_t start = to->len;

	buf_le64(to, 0);
	for (; (n = nodes_next(&id)); count++) {
		int code = n->fd < 0 ? ENOENT : locate(root, n->fd, &at);
		if (code != 0 && code != ENOENT)
			return err_set(err, code, "find file %ju again: %s", (uintmax_t)id,
				       strerrordesc_np(code));
		buf_le64(to, id);
		buf_le64(to, n->lookups);
		buf_le32(to, code ? 0 : n->type);
		put_path(to, code ? "" : at.path);
	}
	end_records(to, part, start, count);
	return 0;
}

/* What it holds is nowhere else. */
static int refuse_removed(int fd, bool is_dir, struct err *err)
{
	static const char mark[] = " (deleted)";
	char name[PATH_MAX];

	ssize_t n = read_name(fd, name);
	ssize_t cut = n - (ssize_t)strlen(mark);
	if (cut > 0 && strcmp(name + cut, mark) == 0)
		name[cut] = '\0';
	return err_set(err, EBUSY, "%s '%.256s' is open and has been removed: it would be lost",
		       is_dir ? "folder" : "file", name);
}

static int save_handle(int root, uint64_t id, const struct handle *h, struct buf *to,
		       struct err *err)
{
	int fd = h->dir ? dirfd(h->dir) : h->fd;
	struct place at = {.path = ""};

	int code = locate_open(root, fd, &at);
	if (code == ENOENT)
		return refuse_removed(fd, h->dir != NULL, err);
	int flags = fcntl(fd, F_GETFL);
	if (code != 0 || flags < 0)
		return err_set(err, code ? code : errno, "find open file %ju again: %s",
			       (uintmax_t)id, strerrordesc_np(code ? code : errno));
	buf_le64(to, id);
	state_put_flag(to, h->dir != NULL);
	buf_le32(to, h->dir ? 0 : (uint32_t)flags & FLAGS);
	put_path(to, at.path);
	return 0;
}

static int save_handles(int root, struct buf *to, struct err *err)
{
	size_t part = state_part(to, PART_HANDLES, 0);
	uint64_t count = 0, id = 0;
	const struct handle *h;
	size_t start = to->len;

	buf_le64(to, 0);
	for (; (h = handles_next(&id)); count++) {
		int r = save_handle(root, id, h, to, err);
		if (r < 0)
			return r;
	}
	end_records(to, part, start, count);
	return 0;
}

static int save_all(int root, struct buf *to, uint32_t *ret_checksum, struct err *err)
{
	state_begin(to, &form);
	size_t part = state_part(to, PART_HELLO, 0);
	buf_add(to, share_hello.bytes, share_hello.n);
	state_end_part(to, part);
	int r = save_nodes(root, to, err);
	if (r == 0)
		r = save_handles(root, to, err);
	*ret_checksum = state_seal(to);
	if (r == 0)
		r = buf_check(to, err);
	if (r == 0 && to->len > STATE_BYTES_MAX)
		r = err_set(err, E2BIG, "the guest knows more files than can be written down");
	return r;
}

int share_save(int file, uint32_t *ret_checksum, struct err *err)
{
	AUTO_NODE struct node *root = node_get(ROOT);
	AUTO_BUF struct buf b = BUF_INIT;
	uint32_t checksum;

	int r = save_all(root->fd, &b, &checksum, err);
	if (r < 0)
		return r;
	if (ftruncate(file, 0) < 0)
		return err_sys(err, "make the state file");
	r = pwrite_all(file, b.data, b.len, 0, "state file", err);
	if (r == 0)
		*ret_checksum = checksum;
	return r;
}

/* --- reading --- */

/* A path of a record; false when it can be none. */
static bool take_path(struct state_reader *from, char to[PATH_MAX])
{
	uint32_t n = state_take32(from);
	const uint8_t *bytes = n < PATH_MAX ? state_take_ref(from, n) : NULL;

	if (!bytes || memchr(bytes, '\0', n))
		return false;
	memcpy(to, bytes, n);
	to[n] = '\0';
	return n == 0 || path_is_clean(to, true);
}

/* An O_PATH descriptor of what lies there now; -1 with errno. */
static int open_place(int root, const char *path, struct stat *ret)
{
	struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
					  RESOLVE_NO_MAGICLINKS};
	AUTO_CLOSE int fd = (int)syscall(SYS_openat2, root, path[0] ? path : ".", &how,
					 sizeof(how));

	return fd < 0 || fstat(fd, ret) < 0 ? -1 : TAKE_FD(fd);
}

static int refuse_number(uint64_t id, int code, struct err *err)
{
	return err_set(err, code, "number %ju: %s", (uintmax_t)id,
		       code == EEXIST ? "given twice" : strerrordesc_np(code));
}

static bool is_gone(int code)
{
	return code == ENOENT || code == ENOTDIR || code == ELOOP;
}

static bool is_type(uint32_t type)
{
	return type == S_IFREG || type == S_IFDIR || type == S_IFLNK || type == S_IFIFO ||
	       type == S_IFSOCK || type == S_IFCHR || type == S_IFBLK;
}

static int load_node(int root, struct state_reader *from, struct err *err)
{
	uint64_t id = state_take64(from);
	uint64_t lookups = state_take64(from);
	uint32_t type = state_take32(from);
	char path[PATH_MAX];
	struct stat st = {0};
	AUTO_CLOSE int fd = -1;

	bool sound = take_path(from, path) && lookups > 0;
	if (!sound || (path[0] ? !is_type(type) : type != 0))
		return err_set(err, EINVAL, "file %ju cannot be as the state says", (uintmax_t)id);
	if (path[0]) {
		fd = open_place(root, path, &st);
		if (fd < 0 && !is_gone(errno))
			return err_sys(err, "find file '%.256s' again", path);
	}
	if (fd >= 0 && (st.st_mode & S_IFMT) != type)
		auto_close(&fd);
	int code = node_restore(id, TAKE_FD(fd), &st, lookups);
	return code ? refuse_number(id, code, err) : 0;
}

/* Opens it as it was; -1 with errno. */
static int open_again(int place, bool is_dir, uint32_t flags)
{
	char link[16];

	if (is_dir)
		return openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(link, sizeof(link), "%d", place);
	return open(link, (int)flags | O_CLOEXEC | O_NOCTTY);
}

/*
 * What was read first tells the file system where a listing stands. ext4 (dx_readdir()) that is
 * asked for the end first has nothing for the beginning, once; so it is asked for the beginning.
 */
static DIR *open_listing(int fd)
{
	DIR *dir = fdopendir(fd);

	if (dir)
		(void)readdir(dir);
	return dir;
}

static int load_handle(int root, struct state_reader *from, struct err *err)
{
	uint64_t id = state_take64(from);
	bool is_dir = state_take_flag(from);
	uint32_t flags = state_take32(from);
	char path[PATH_MAX];
	struct stat st;

	bool sound = take_path(from, path) && !from->bad;
	if (!sound || (flags & ~(uint32_t)FLAGS))
		return err_set(err, EINVAL, "open file %ju cannot be as the state says",
			       (uintmax_t)id);
	AUTO_CLOSE int place = open_place(root, path, &st);
	if (place < 0)
		return err_sys(err, "open file '%.256s' again", path);
	if ((st.st_mode & S_IFMT) != (is_dir ? S_IFDIR : S_IFREG))
		return err_set(err, EINVAL, "'%.256s' was an open %s, and is none any more", path,
			       is_dir ? "folder" : "file");
	AUTO_CLOSE int fd = open_again(place, is_dir, flags);
	if (fd < 0)
		return err_sys(err, "open file '%.256s' again", path);
	DIR *dir = is_dir ? open_listing(fd) : NULL;
	if (is_dir && !dir)
		return err_sys(err, "open folder '%.256s' again", path);
	int code = handle_restore(id, TAKE_FD(fd), dir);
	return code ? refuse_number(id, code, err) : 0;
}

typedef int load_fn(int root, struct state_reader *from, struct err *err);

static int load_records(struct state *s, uint32_t kind, int root, load_fn *fn, struct err *err)
{
	struct state_reader part;

	int r = state_next(s, kind, 0, &part, err);
	if (r < 0)
		return r;
	for (uint64_t left = state_take64(&part); left > 0 && r == 0; left--)
		r = fn(root, &part, err); /* which fails when there are not so many */
	return r < 0 ? r : state_taken(&part, err);
}

static int load_hello(struct state *s, struct err *err)
{
	struct share_hello hello = {0};
	struct fuse_in_header head = {0};
	struct state_reader part;

	int r = state_next(s, PART_HELLO, 0, &part, err);
	if (r < 0 || part.left == 0)
		return r;
	if (part.left > sizeof(hello.bytes))
		return err_set(err, EINVAL, "the guest's session cannot have begun so");
	hello.n = part.left;
	state_take(&part, hello.bytes, hello.n);
	memcpy(&head, hello.bytes, sizeof(head));
	if (message_judge(hello.bytes, hello.n) != 0 || head.opcode != FUSE_INIT ||
	    head.unique != 0)
		return err_set(err, EINVAL, "the guest's session cannot have begun so");
	share_hello = hello;
	return 0;
}

static int load_all(int root, const void *bytes, size_t n, uint32_t *ret_checksum, struct err *err)
{
	struct state s;

	int r = state_open(&s, &form, bytes, n, err);
	if (r == 0)
		r = load_hello(&s, err);
	if (r == 0)
		r = load_records(&s, PART_NODES, root, load_node, err);
	if (r == 0)
		r = load_records(&s, PART_HANDLES, root, load_handle, err);
	if (r == 0)
		r = state_close(&s, err);
	if (r == 0)
		*ret_checksum = s.checksum;
	return r;
}

/* Wherever others who have the file open may have read to. */
static ssize_t read_whole(int file, uint8_t *to, size_t n, struct err *err)
{
	size_t done = 0;
	ssize_t r;

	do {
		r = pread(file, to + done, n - done, (off_t)done);
		done += r > 0 ? (size_t)r : 0;
	} while (r > 0 || (r < 0 && errno == EINTR));
	return r < 0 ? err_sys(err, "read the state file") : (ssize_t)done;
}

int share_load(int file, uint32_t *ret_checksum, struct err *err)
{
	AUTO_NODE struct node *root = node_get(ROOT);
	struct stat st;

	if (fstat(file, &st) < 0)
		return err_sys(err, "state file");
	if (!S_ISREG(st.st_mode) || st.st_size > STATE_BYTES_MAX)
		return err_set(err, EINVAL, "this is no state of a share");
	size_t size = (size_t)st.st_size;
	AUTO_FREE uint8_t *bytes = malloc(size + 1);
	if (!bytes)
		return err_set(err, ENOMEM, "out of memory");
	ssize_t n = read_whole(file, bytes, size, err);
	return n < 0 ? (int)n : load_all(root->fd, bytes, (size_t)n, ret_checksum, err);
}
