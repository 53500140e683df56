/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/xattr.h>

#include "share/fuse.h"
#include "share/share.h"

enum { VALUE_MAX = 64 * 1024 }; /* XATTR_SIZE_MAX and XATTR_LIST_MAX */

/* The node, by a path; answers when there is none. */
static bool path_of(fuse_req_t req, fuse_ino_t ino, char path[16])
{
	AUTO_NODE struct node *n = node_get(ino);

	if (n)
		node_path(n, path);
	else
		(void)fuse_reply_err(req, ESTALE);
	return n != NULL;
}

/* With size 0 the guest asks how long the value is. */
static void reply_value(fuse_req_t req, const char *bytes, ssize_t n, size_t size)
{
	if (n < 0)
		(void)fuse_reply_err(req, errno);
	else if (size == 0)
		(void)fuse_reply_xattr(req, (size_t)n);
	else
		(void)fuse_reply_buf(req, bytes, (size_t)n);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	static _Thread_local char value[VALUE_MAX];
	char path[16];

	if (path_of(req, ino, path))
		reply_value(req, value,
			    getxattr(path, name, value, size < VALUE_MAX ? size : VALUE_MAX), size);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	static _Thread_local char value[VALUE_MAX];
	char path[16];

	if (path_of(req, ino, path))
		reply_value(req, value, listxattr(path, value, size < VALUE_MAX ? size : VALUE_MAX),
			    size);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
			size_t size, int flags)
{
	char path[16];

	if (path_of(req, ino, path))
		(void)fuse_reply_err(req, setxattr(path, name, value, size, flags) < 0 ? errno : 0);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	char path[16];

	if (path_of(req, ino, path))
		(void)fuse_reply_err(req, removexattr(path, name) < 0 ? errno : 0);
}

void ops_xattr(struct fuse_lowlevel_ops *ops)
{
	ops->getxattr = op_getxattr;
	ops->listxattr = op_listxattr;
	ops->setxattr = op_setxattr;
	ops->removexattr = op_removexattr;
}
