/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "share/fuse.h"
#include "share/share.h"

enum { LIST_MAX = 64 * 1024 };

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	AUTO_NODE struct node *n = node_get(ino);

	if (!n || n->type != S_IFDIR) {
		(void)fuse_reply_err(req, n ? ENOTDIR : ESTALE);
		return;
	}
	int fd = openat(n->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		int code = errno;
		auto_close(&fd);
		(void)fuse_reply_err(req, code);
		return;
	}
	AUTO_HANDLE struct handle *h = handle_add(fd, dir, &fi->fh);
	if (!h)
		(void)fuse_reply_err(req, errno);
	else if (fuse_reply_open(req, fi) < 0)
		handle_close(fi->fh, true);
}

/* A list in the making. */
struct listing {
	fuse_req_t req;
	const struct node *folder;
	char *at;
	size_t left;
	bool plus; /* each entry is looked up as well */
};

/* Adds the entry, unless it is gone already; false: there is no room for it. */
static bool add_entry(struct listing *l, const struct dirent *e)
{
	struct fuse_entry_param p = {.attr.st_ino = e->d_ino,
				     .attr.st_mode = (mode_t)DTTOIF(e->d_type)};
	bool dots = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
	size_t n = l->plus ? fuse_add_direntry_plus(l->req, NULL, 0, e->d_name, NULL, 0)
			   : fuse_add_direntry(l->req, NULL, 0, e->d_name, NULL, 0);

	if (n > l->left) /* before it is looked up, which counts */
		return false;
	if (!l->plus)
		(void)fuse_add_direntry(l->req, l->at, n, e->d_name, &p.attr, e->d_off);
	else if (dots || lookup_entry(l->folder, e->d_name, &p) == 0)
		(void)fuse_add_direntry_plus(l->req, l->at, n, e->d_name, &p, e->d_off);
	else
		n = 0;
	l->at += n;
	l->left -= n;
	return true;
}

/* Adds what there is from `offset` on and finds room. 0 or errno. What does not find room is kept:
 * to go to a place makes a file system begin anew. */
static int add_entries(struct listing *l, struct handle *h, off_t offset)
{
	const struct dirent *e = h->kept_at == offset ? h->kept : NULL;
	off_t at = offset;

	h->kept = NULL;
	if (!e)
		seekdir(h->dir, offset);
	for (;;) {
		errno = 0;
		e = e ? e : readdir(h->dir);
		if (!e)
			return errno;
		if (!add_entry(l, e))
			break;
		at = e->d_off;
		e = NULL;
	}
	h->kept = e;
	h->kept_at = at;
	return 0;
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		 const struct fuse_file_info *fi, bool plus)
{
	static _Thread_local char bytes[LIST_MAX];
	AUTO_NODE struct node *folder = node_get(ino);
	AUTO_HANDLE struct handle *h = handle_get(fi->fh, true);
	struct listing l = {.req = req, .folder = folder, .at = bytes, .plus = plus};

	if (!h || !folder || folder->type != S_IFDIR) {
		(void)fuse_reply_err(req, EBADF);
		return;
	}
	l.left = size < sizeof(bytes) ? size : sizeof(bytes);
	(void)pthread_mutex_lock(&h->reading);
	int code = add_entries(&l, h, offset);
	(void)pthread_mutex_unlock(&h->reading);
	/* an error is told when there is nothing else to tell */
	if (code && l.at == bytes)
		(void)fuse_reply_err(req, code);
	else
		(void)fuse_reply_buf(req, bytes, (size_t)(l.at - bytes));
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		       struct fuse_file_info *fi)
{
	list(req, ino, size, offset, fi, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
			   struct fuse_file_info *fi)
{
	list(req, ino, size, offset, fi, true);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	handle_close(fi->fh, true);
	(void)fuse_reply_err(req, 0);
}

static void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int data, struct fuse_file_info *fi)
{
	AUTO_HANDLE struct handle *h = handle_get(fi->fh, true);

	(void)ino;
	int r = !h ? -1 : data ? fdatasync(h->fd) : fsync(h->fd);
	(void)fuse_reply_err(req, !h ? EBADF : r < 0 ? errno : 0);
}

void ops_dirs(struct fuse_lowlevel_ops *ops)
{
	ops->opendir = op_opendir;
	ops->readdir = op_readdir;
	ops->readdirplus = op_readdirplus;
	ops->releasedir = op_releasedir;
	ops->fsyncdir = op_fsyncdir;
}
