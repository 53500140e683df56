/* SPDX-License-Identifier: Apache-2.0 */
/* Names and attributes. What is made is made as the user in the guest who asked, so that it is
 * theirs; who may do what was judged by the guest's kernel (virtiofs: default_permissions). */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "share/fuse.h"
#include "share/share.h"

bool name_ok(const char *name)
{
	return name[0] && strlen(name) <= NAME_MAX && !strchr(name, '/') &&
	       strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

int lookup_entry(const struct node *parent, const char *name, struct fuse_entry_param *ret)
{
	struct stat st;

	if (!name_ok(name))
		return EINVAL;
	AUTO_CLOSE int fd = openat(parent->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return errno;
	uint64_t id = node_enter(TAKE_FD(fd), &st);
	if (!id)
		return errno;
	*ret = (struct fuse_entry_param){.ino = id,
					 .attr = st,
					 .attr_timeout = SHARE_BELIEVE,
					 .entry_timeout = SHARE_BELIEVE};
	return 0;
}

static void reply_entry(fuse_req_t req, const struct node *parent, const char *name)
{
	struct fuse_entry_param e = {0};

	int code = lookup_entry(parent, name, &e);
	if (code)
		(void)fuse_reply_err(req, code);
	else if (fuse_reply_entry(req, &e) < 0)
		node_forget(e.ino, 1);
}

/* The folder that `name` stands in, to be put back; answers, and returns NULL, when there is none
 * or the name is none. */
static struct node *parent_of(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	AUTO_NODE struct node *p = node_get(parent);

	if (p && p->type == S_IFDIR && name_ok(name))
		return TAKE_PTR(p);
	(void)fuse_reply_err(req, !p ? ESTALE : p->type != S_IFDIR ? ENOTDIR : EINVAL);
	return NULL;
}

/* The node, to be put back; answers when there is none. */
static struct node *node_of(fuse_req_t req, fuse_ino_t ino)
{
	struct node *n = node_get(ino);

	if (!n)
		(void)fuse_reply_err(req, ESTALE);
	return n;
}

/* --- becoming the user who asks --- */

/* The C library's wrappers are for all threads, and there is no other way to see a failure than to
 * look: the kernel's calls answer with who one was. */
static void become(uid_t uid, gid_t gid)
{
	(void)syscall(SYS_setfsgid, gid);
	(void)syscall(SYS_setfsuid, uid);
}

static bool is_now(uid_t uid, gid_t gid)
{
	return syscall(SYS_setfsuid, (uid_t)-1) == (long)uid &&
	       syscall(SYS_setfsgid, (gid_t)-1) == (long)gid;
}

bool user_enter(fuse_req_t req)
{
	const struct fuse_ctx *who = fuse_req_ctx(req);

	become(who->uid, who->gid);
	if (is_now(who->uid, who->gid))
		return true;
	become(0, 0);
	errno = EPERM;
	return false;
}

void user_leave(void)
{
	int code = errno;

	become(0, 0);
	errno = code;
}

/* --- operations --- */

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	AUTO_NODE struct node *p = parent_of(req, parent, name);

	if (p)
		reply_entry(req, p, name);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	node_forget(ino, n);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *f)
{
	for (size_t i = 0; i < count; i++)
		node_forget(f[i].ino, f[i].nlookup);
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	AUTO_NODE struct node *n = node_of(req, ino);
	struct stat st;

	(void)fi;
	if (!n)
		return;
	if (fstat(n->fd, &st) < 0)
		(void)fuse_reply_err(req, errno);
	else
		(void)fuse_reply_attr(req, &st, SHARE_BELIEVE);
}

static struct timespec time_to_set(int set, int now, int given, struct timespec t)
{
	if (set & now)
		return (struct timespec){.tv_nsec = UTIME_NOW};
	return set & given ? t : (struct timespec){.tv_nsec = UTIME_OMIT};
}

static int set_attributes(const struct node *n, const struct stat *st, int set)
{
	char path[16];

	node_path(n, path);
	if (set & FUSE_SET_ATTR_MODE) {
		if (n->type == S_IFLNK)
			return EOPNOTSUPP;
		if (chmod(path, st->st_mode & 07777) < 0)
			return errno;
	}
	if (set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) {
		uid_t uid = set & FUSE_SET_ATTR_UID ? st->st_uid : (uid_t)-1;
		gid_t gid = set & FUSE_SET_ATTR_GID ? st->st_gid : (gid_t)-1;
		if (fchownat(n->fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
			return errno;
	}
	if (set & FUSE_SET_ATTR_SIZE) {
		if (n->type != S_IFREG)
			return EINVAL;
		if (share_drops_setid() && setid_drop(n->fd) < 0)
			return errno;
		if (truncate(path, st->st_size) < 0)
			return errno;
	}
	int now = FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW;
	if (set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | now)) {
		struct timespec times[2] = {time_to_set(set, FUSE_SET_ATTR_ATIME_NOW,
							FUSE_SET_ATTR_ATIME, st->st_atim),
					    time_to_set(set, FUSE_SET_ATTR_MTIME_NOW,
							FUSE_SET_ATTR_MTIME, st->st_mtim)};
		if (utimensat(AT_FDCWD, path, times, 0) < 0)
			return errno;
	}
	return 0;
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int set,
		       struct fuse_file_info *fi)
{
	AUTO_NODE struct node *n = node_of(req, ino);

	if (!n)
		return;
	int code = set_attributes(n, st, set);
	if (code)
		(void)fuse_reply_err(req, code);
	else
		op_getattr(req, ino, fi);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	AUTO_NODE struct node *n = node_of(req, ino);
	char to[PATH_MAX];

	if (!n)
		return;
	ssize_t len = readlinkat(n->fd, "", to, sizeof(to) - 1);
	if (len < 0) {
		(void)fuse_reply_err(req, errno);
		return;
	}
	to[len] = '\0';
	(void)fuse_reply_readlink(req, to);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	AUTO_NODE struct node *n = node_of(req, ino);
	struct statvfs st;

	if (!n)
		return;
	if (fstatvfs(n->fd, &st) < 0)
		(void)fuse_reply_err(req, errno);
	else
		(void)fuse_reply_statfs(req, &st);
}

/* What is to be made, and how. */
struct making {
	mode_t mode;
	const char *link; /* a symbolic link's target */
};

static int make(const struct node *p, const char *name, const struct making *m)
{
	if (m->link)
		return symlinkat(m->link, p->fd, name);
	switch (m->mode & S_IFMT) {
	case S_IFDIR:
		return mkdirat(p->fd, name, m->mode & 07777);
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
		return mknodat(p->fd, name, m->mode, 0);
	default: /* devices are the host's */
		errno = EPERM;
		return -1;
	}
}

static void make_entry(fuse_req_t req, fuse_ino_t parent, const char *name, struct making m)
{
	AUTO_NODE struct node *p = parent_of(req, parent, name);

	if (!p)
		return;
	int r = -1;
	if (user_enter(req)) {
		r = make(p, name, &m);
		user_leave();
	}
	if (r < 0)
		(void)fuse_reply_err(req, errno);
	else
		reply_entry(req, p, name);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	make_entry(req, parent, name, (struct making){.mode = S_IFDIR | (mode & 07777)});
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t dev)
{
	(void)dev;
	make_entry(req, parent, name, (struct making){.mode = mode});
}

static void op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	make_entry(req, parent, name, (struct making){.link = link});
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	AUTO_NODE struct node *n = node_get(ino);
	AUTO_NODE struct node *p = parent_of(req, parent, name);
	char path[16];

	if (!p)
		return;
	if (!n) {
		(void)fuse_reply_err(req, ESTALE);
		return;
	}
	node_path(n, path);
	if (linkat(AT_FDCWD, path, p->fd, name, AT_SYMLINK_FOLLOW) < 0)
		(void)fuse_reply_err(req, errno);
	else
		reply_entry(req, p, name);
}

static void remove_entry(fuse_req_t req, fuse_ino_t parent, const char *name, int flags)
{
	AUTO_NODE struct node *p = parent_of(req, parent, name);

	if (p)
		(void)fuse_reply_err(req, unlinkat(p->fd, name, flags) < 0 ? errno : 0);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_entry(req, parent, name, 0);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_entry(req, parent, name, AT_REMOVEDIR);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to,
		      const char *to_name, unsigned flags)
{
	AUTO_NODE struct node *p = parent_of(req, parent, name);
	AUTO_NODE struct node *q = p ? parent_of(req, to, to_name) : NULL;

	if (!q)
		return;
	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)) /* no whiteouts here */
		(void)fuse_reply_err(req, EINVAL);
	else
		(void)fuse_reply_err(req,
				     renameat2(p->fd, name, q->fd, to_name, flags) < 0 ? errno : 0);
}

void ops_names(struct fuse_lowlevel_ops *ops)
{
	ops->lookup = op_lookup;
	ops->forget = op_forget;
	ops->forget_multi = op_forget_multi;
	ops->getattr = op_getattr;
	ops->setattr = op_setattr;
	ops->readlink = op_readlink;
	ops->statfs = op_statfs;
	ops->mkdir = op_mkdir;
	ops->mknod = op_mknod;
	ops->symlink = op_symlink;
	ops->link = op_link;
	ops->unlink = op_unlink;
	ops->rmdir = op_rmdir;
	ops->rename = op_rename;
}
