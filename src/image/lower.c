/* SPDX-License-Identifier: Apache-2.0 */
#include "image/lower.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/fd.h"
#include "image/hostfile.h"
#include "image/layer.h"
#include "image/tree.h"
#include "image/xattr.h"

/* Owner, permissions, time and attributes of an open file; LAYER_OTHER when it is of another type.
 */
static int copy_attributes(const struct layer_lower *lower, int fd, struct tree *tree,
			   struct inode *inode, uint64_t *ret_size, struct err *err)
{
	AUTO(xattr_set_done) struct xattr_set set = XATTR_SET_INIT;
	uint64_t ignored = 0;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "stat");
	if ((st.st_mode & S_IFMT) != (inode->mode & S_IFMT))
		return LAYER_OTHER;
	int r = hostfile_xattrs(fd, true, &set, &ignored, err);
	if (r == 0 && lower->hidden)
		r = lower->hidden(lower->ctx, fd, &set, err);
	if (r == 0)
		r = xattr_pack(&set, tree_arena(tree), &inode->xattrs, err);
	if (r < 0)
		return r;
	inode->mode = (uint16_t)st.st_mode;
	inode->uid = st.st_uid;
	inode->gid = st.st_gid;
	inode->mtime = st.st_mtim.tv_sec;
	inode->mtime_nsec = (uint32_t)st.st_mtim.tv_nsec;
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

/* An implied folder takes after the one below; without one it keeps its default. */
static int fill_folder(const struct layer_lower *lower, struct tree *tree, struct inode *inode,
		       struct err *err)
{
	AUTO_FREE char *path = tree_folder_path(inode);
	AUTO_CLOSE int fd = -1;
	uint64_t size = 0;
	struct shown shown;

	if (!path)
		return err_set(err, ENOMEM, "out of memory");
	int r = lower ? lower->open(lower->ctx, path, &fd, err) : LAYER_ABSENT;
	if (r == 0)
		r = copy_attributes(lower, fd, tree, inode, &size, err);
	if (r == LAYER_ABSENT)
		return 0;
	if (r == LAYER_OTHER)
		return err_set(err, ENOTDIR,
			       "'%s' is only named, and a link or file in the layers below",
			       show(path, &shown));
	return r < 0 ? err_wrap(err, "folder '%s' of the layers below", show(path, &shown)) : 0;
}

static int fill_file(const struct layer_lower *lower, struct tree *tree, struct erofs *erofs,
		     struct inode *inode, struct err *err)
{
	AUTO_CLOSE int fd = -1;
	uint64_t size = 0;
	struct shown shown;

	int r = lower ? lower->open(lower->ctx, inode->target, &fd, err) : LAYER_ABSENT;
	if (r == 0)
		r = copy_attributes(lower, fd, tree, inode, &size, err);
	if (r == LAYER_ABSENT)
		return err_set(err, ENOENT,
			       "hard link to '%s': neither in this layer nor a file of one below",
			       show(inode->target, &shown));
	if (r == LAYER_OTHER)
		return err_set(err, EINVAL,
			       "hard link to '%s', which is no regular file in the layers below",
			       show(inode->target, &shown));
	if (r == 0)
		r = hostfile_content(fd, size, inode,
				     &(struct hostfile_to){.tree = tree, .erofs = erofs}, err);
	return r < 0 ? err_wrap(err, "'%s' of the layers below", show(inode->target, &shown)) : 0;
}

int lower_fill_in(const struct layer_lower *lower, struct tree *tree, struct erofs *erofs,
		  struct err *err)
{
	int r = 0;

	for (struct inode *i = tree_root(tree); r == 0 && i; i = i->next) {
		if (i->flags & INODE_IMPLIED)
			r = fill_folder(lower, tree, i, err);
		else if (i->flags & INODE_BORROWED)
			r = fill_file(lower, tree, erofs, i, err);
	}
	return r;
}
