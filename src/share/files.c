/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/fd.h"
#include "share/fuse.h"
#include "share/share.h"

enum { READ_MAX = 128 * 1024 };

/* Of the guest's flags, those that mean something for a descriptor here. O_APPEND is the guest's
 * affair: it sends where to write; O_DIRECT would ask for aligned buffers. */
static int flags_of(const struct fuse_file_info *fi)
{
	return (fi->flags & (O_ACCMODE | O_TRUNC | O_SYNC | O_DSYNC | O_NOATIME)) | O_CLOEXEC |
	       O_NOCTTY;
}

/* The file that fi names, to be put back; answers when it is none. */
static struct handle *file_of(fuse_req_t req, const struct fuse_file_info *fi)
{
	struct handle *h = fi ? handle_get(fi->fh, false) : NULL;

	if (!h)
		(void)fuse_reply_err(req, EBADF);
	return h;
}

int setid_drop(int fd)
{
	char path[16];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	mode_t bits = st.st_mode & (S_ISUID | (st.st_mode & S_IXGRP ? S_ISGID : 0));
	if (bits == 0)
		return 0;
	(void)snprintf(path, sizeof(path), "%d", fd);
	return chmod(path, (st.st_mode & 07777) & ~bits);
}

/* With this answer goes the file, once, so that the monitor may read and write it by itself; but
 * none whose writes wait for storage. */
static void offer(struct handle *h, const struct fuse_file_info *fi)
{
	if (!(fi->flags & O_DSYNC) && !__atomic_exchange_n(&h->offered, true, __ATOMIC_RELAXED))
		share_pass(h->fd);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	AUTO_NODE struct node *n = node_get(ino);
	char path[16];
	struct stat st;

	if (!n || n->type != S_IFREG) {
		(void)fuse_reply_err(req, n ? EINVAL : ESTALE);
		return;
	}
	node_path(n, path);
	int fd = open(path, flags_of(fi));
	if (fd < 0 && (fi->flags & O_NOATIME))
		fd = open(path, flags_of(fi) & ~O_NOATIME);
	if (fd >= 0 && share_drops_setid() && setid_drop(fd) < 0)
		auto_close(&fd);
	AUTO_HANDLE struct handle *h = fd < 0 ? NULL : handle_add(fd, NULL, &fi->fh);
	if (!h) {
		(void)fuse_reply_err(req, errno);
		return;
	}
	fi->keep_cache = fstat(h->fd, &st) == 0 && node_unchanged(n, &st);
	fi->noflush = (fi->flags & O_ACCMODE) == O_RDONLY;
	offer(h, fi);
	if (fuse_reply_open(req, fi) < 0)
		handle_close(fi->fh, false);
}

static int create_file(fuse_req_t req, const struct node *p, const char *name, mode_t mode,
		       const struct fuse_file_info *fi)
{
	int fd = -1;

	if (user_enter(req)) {
		fd = openat(p->fd, name, flags_of(fi) | O_CREAT | (fi->flags & O_EXCL) | O_NOFOLLOW,
			    mode & 07777);
		user_leave();
	}
	return fd;
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *fi)
{
	AUTO_NODE struct node *p = node_get(parent);
	struct fuse_entry_param e = {0};
	struct stat st;

	if (!p || p->type != S_IFDIR || !name_ok(name)) {
		(void)fuse_reply_err(req, p ? EINVAL : ESTALE);
		return;
	}
	/* what is there already may be anything: it is opened by its node, if it is a file */
	if (fstatat(p->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode)) {
		(void)fuse_reply_err(req, fi->flags & O_EXCL ? EEXIST : EINVAL);
		return;
	}
	int fd = create_file(req, p, name, mode, fi);
	AUTO_HANDLE struct handle *h = fd < 0 ? NULL : handle_add(fd, NULL, &fi->fh);
	if (!h) {
		(void)fuse_reply_err(req, errno);
		return;
	}
	int code = lookup_entry(p, name, &e);
	if (code)
		(void)fuse_reply_err(req, code);
	else
		offer(h, fi);
	if (code || fuse_reply_create(req, &e, fi) < 0)
		handle_close(fi->fh, false);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	static _Thread_local char bytes[READ_MAX];
	AUTO_HANDLE struct handle *h = file_of(req, fi);

	(void)ino;
	if (!h)
		return;
	offer(h, fi);
	ssize_t n = pread(h->fd, bytes, size < sizeof(bytes) ? size : sizeof(bytes), offset);
	if (n < 0)
		(void)fuse_reply_err(req, errno);
	else
		(void)fuse_reply_buf(req, bytes, (size_t)n);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t offset,
		     struct fuse_file_info *fi)
{
	AUTO_HANDLE struct handle *h = file_of(req, fi);

	(void)ino;
	if (!h)
		return;
	offer(h, fi);
	bool ready = !share_drops_setid() || setid_drop(h->fd) == 0;
	ssize_t n = ready ? pwrite(h->fd, bytes, size, offset) : -1;
	if (n < 0)
		(void)fuse_reply_err(req, errno);
	else
		(void)fuse_reply_write(req, (size_t)n);
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	AUTO_HANDLE struct handle *h = file_of(req, fi);

	(void)ino;
	if (!h)
		return;
	int fd = fcntl(h->fd, F_DUPFD_CLOEXEC,
		       0); /* what close() would tell (NFS, quotas), without closing */
	(void)fuse_reply_err(req, fd < 0 || close(fd) < 0 ? errno : 0);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	handle_close(fi->fh, false);
	(void)fuse_reply_err(req, 0);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int data, struct fuse_file_info *fi)
{
	AUTO_HANDLE struct handle *h = file_of(req, fi);

	(void)ino;
	if (h)
		(void)fuse_reply_err(req, (data ? fdatasync(h->fd) : fsync(h->fd)) < 0 ? errno : 0);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
			 struct fuse_file_info *fi)
{
	AUTO_HANDLE struct handle *h = file_of(req, fi);

	(void)ino;
	if (h)
		(void)fuse_reply_err(req, fallocate(h->fd, mode, offset, length) < 0 ? errno : 0);
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
		     struct fuse_file_info *fi)
{
	AUTO_HANDLE struct handle *h = file_of(req, fi);

	(void)ino;
	if (!h)
		return;
	off_t at = whence == SEEK_DATA || whence == SEEK_HOLE ? lseek(h->fd, offset, whence) : -1;
	if (at < 0)
		(void)fuse_reply_err(req, errno ? errno : EINVAL);
	else
		(void)fuse_reply_lseek(req, at);
}

void ops_files(struct fuse_lowlevel_ops *ops)
{
	ops->open = op_open;
	ops->create = op_create;
	ops->read = op_read;
	ops->write = op_write;
	ops->flush = op_flush;
	ops->release = op_release;
	ops->fsync = op_fsync;
	ops->fallocate = op_fallocate;
	ops->lseek = op_lseek;
}
