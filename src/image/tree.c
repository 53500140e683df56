/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nothing is ever taken out of the tree: an entry that replaces another one gets the old name's
 * place, and what hung below it can no longer be reached from the root. tree_seal() walks what can
 * be reached, and only that is written.
 */
#include "image/tree.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/str.h"
#include "image/tree_hash.h"
#include "image/tree_name.h"

#define WHITEOUT_PREFIX ".wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"

struct tree {
	struct arena arena;
	struct tree_hash hash;
	struct inode *root;
	uint64_t entries, max_entries;
	bool has_root;
};

int tree_new(uint64_t max_entries, struct tree **ret, struct err *err)
{
	AUTO(auto_tree_free) struct tree *t = calloc(1, sizeof(*t));
	if (!t)
		return err_set(err, ENOMEM, "out of memory");
	t->max_entries = max_entries;
	int r = tree_hash_init(&t->hash, err);
	if (r < 0)
		return r;
	t->root = arena_alloc(&t->arena, sizeof(*t->root), err);
	if (!t->root)
		return -ENOMEM;
	t->root->mode = S_IFDIR | 0755;
	*ret = TAKE_PTR(t);
	return 0;
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	tree_hash_done(&t->hash);
	arena_done(&t->arena);
	free(t);
}

struct arena *tree_arena(struct tree *t)
{
	return &t->arena;
}

struct inode *tree_root(struct tree *t)
{
	return t->root;
}

uint64_t tree_entries(const struct tree *t)
{
	return t->entries;
}

bool tree_has_root(const struct tree *t)
{
	return t->has_root;
}

static struct inode *inode_new(struct tree *t, mode_t mode, struct err *err)
{
	struct inode *inode = arena_alloc(&t->arena, sizeof(*inode), err);
	if (inode)
		inode->mode = (uint16_t)mode;
	return inode;
}

/* Makes the name `name` in `parent`, without an inode as yet. parent is NULL for the targets of
 * borrowed files, which are kept by their whole path. */
static struct dent *dent_new(struct tree *t, struct inode *parent, const char *name, size_t len,
			     struct err *err)
{
	struct dent *d = arena_alloc(&t->arena, sizeof(*d) + len + 1, err);
	if (!d)
		return NULL;
	memcpy(d->name, name, len);
	d->name_len = (uint16_t)len;
	d->parent = parent;
	tree_hash_add(&t->hash, d);
	if (parent) {
		d->next = parent->children;
		parent->children = d;
	}
	return d;
}

/*
 * Gives the name to the inode, replacing what has it. A folder over a folder is the same folder:
 * the new attributes are copied to the old one, which is *ret then. A folder over anything else is
 * a fresh one, since that hid what lay below.
 */
static int put(struct tree *t, struct inode *parent, const char *name, size_t len,
	       struct inode *inode, struct inode **ret, struct err *err)
{
	assert(inode);

	struct dent *d = tree_hash_find(&t->hash, parent, name, len);
	if (!d)
		d = dent_new(t, parent, name, len, err);
	if (!d)
		return -ENOMEM;

	struct inode *old = d->inode;
	if (old && S_ISDIR(inode->mode) && S_ISDIR(old->mode)) {
		old->mode = inode->mode;
		old->uid = inode->uid;
		old->gid = inode->gid;
		old->mtime = inode->mtime;
		old->mtime_nsec = inode->mtime_nsec;
		old->xattrs = inode->xattrs;
		old->flags &= (uint8_t)~INODE_IMPLIED;
		*ret = old;
		return 0;
	}
	if (S_ISDIR(inode->mode)) {
		inode->self = d;
		if (old)
			inode->flags |= INODE_OPAQUE;
	}
	d->inode = inode;
	*ret = inode;
	return 0;
}

/* The folder `name` in `parent` on the way to an entry; made when nobody named it yet. */
static int step_into(struct tree *t, struct inode *parent, const char *name, size_t len,
		     struct inode **ret, struct err *err)
{
	struct dent *d = tree_hash_find(&t->hash, parent, name, len);
	const struct inode *have = d ? d->inode : NULL;

	if (have && S_ISDIR(have->mode)) {
		*ret = d->inode;
		return 0;
	}
	if (have && S_ISLNK(have->mode))
		return err_set(err, ELOOP, "the path goes through a symbolic link");
	if (have && !(have->flags & INODE_WHITEOUT))
		return err_set(err, ENOTDIR, "the path goes through what is not a folder");
	if (str_prefix(name, WHITEOUT_PREFIX, NULL))
		return err_set(err, EINVAL, "the path goes through a deleted name");

	struct inode *inode = inode_new(t, S_IFDIR | 0755, err);
	if (!inode)
		return -ENOMEM;
	inode->flags = INODE_IMPLIED;
	return put(t, parent, name, len, inode, ret, err);
}

/* The folder that holds the last name of a clean path, and where that name begins. */
static int walk_to_parent(struct tree *t, const char *path, struct inode **ret,
			  const char **ret_name, struct err *err)
{
	struct inode *dir = t->root;

	for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
		int r = step_into(t, dir, path, (size_t)(slash - path), &dir, err);
		if (r < 0)
			return r;
	}
	*ret = dir;
	*ret_name = path;
	return 0;
}

/* Carries out the whiteout `name` (with its prefix) in dir. */
static int add_whiteout(struct tree *t, struct inode *dir, const char *name, struct err *err)
{
	if (strcmp(name, WHITEOUT_OPAQUE) == 0) {
		if (dir == t->root)
			return err_set(err, EINVAL, "the root cannot hide the layers below");
		dir->flags |= INODE_OPAQUE;
		return 0;
	}
	const char *victim = name + strlen(WHITEOUT_PREFIX);
	if (*victim == '\0' || strcmp(victim, ".") == 0 || strcmp(victim, "..") == 0 ||
	    str_prefix(victim, WHITEOUT_PREFIX, NULL))
		return err_set(err, EINVAL, "not a name that can be deleted");

	/* It speaks of the layers below only: what this layer itself brings stays. */
	struct dent *d = tree_hash_find(&t->hash, dir, victim, strlen(victim));
	if (d && S_ISDIR(d->inode->mode))
		d->inode->flags |= INODE_OPAQUE;
	if (d)
		return 0;
	struct inode *inode = inode_new(t, S_IFCHR, err);
	if (!inode)
		return -ENOMEM;
	inode->flags = INODE_WHITEOUT;
	return put(t, dir, victim, strlen(victim), inode, &inode, err);
}

/* Whether the clean path names something in this layer; *ret_cut tells that this layer hides what
 * lies below there. Fails when the way leads through something other than folders. */
static int find_target(struct tree *t, const char *path, struct inode **ret, bool *ret_cut,
		       struct err *err)
{
	struct inode *at = t->root;
	bool cut = false;

	for (bool last = false; !last && at;) {
		const char *slash = strchr(path, '/');
		size_t len = slash ? (size_t)(slash - path) : strlen(path);
		last = !slash;
		if (!S_ISDIR(at->mode))
			return err_set(err, ENOTDIR, "its target's path goes through no folder");
		cut |= (at->flags & INODE_OPAQUE) != 0;
		struct dent *d = tree_hash_find(&t->hash, at, path, len);
		at = d ? d->inode : NULL;
		path = slash ? slash + 1 : path;
	}
	*ret = at;
	*ret_cut = cut;
	return 0;
}

/* Names the inode by its path, which nothing in this layer has. */
static int put_name(struct tree *t, const char *path, struct inode *inode, struct err *err)
{
	struct inode *dir = NULL, *placed = NULL;
	const char *name = NULL;

	int r = walk_to_parent(t, path, &dir, &name, err);
	return r < 0 ? r : put(t, dir, name, strlen(name), inode, &placed, err);
}

/*
 * The one inode that stands for the file `path` of the layers below. It takes that name too, so
 * that this name and the links to it are one file, as they are where the archive is unpacked.
 */
static int borrow(struct tree *t, const char *path, struct inode **ret, struct err *err)
{
	struct dent *d = tree_hash_find(&t->hash, NULL, path, strlen(path));

	if (!d) {
		d = dent_new(t, NULL, path, strlen(path), err);
		struct inode *inode = d ? inode_new(t, S_IFREG, err) : NULL;
		if (!inode)
			return -ENOMEM;
		inode->flags = INODE_BORROWED;
		inode->target = d->name;
		d->inode = inode;
		int r = put_name(t, path, inode, err);
		if (r < 0)
			return r;
	}
	*ret = d->inode;
	return 0;
}

static int find_link(struct tree *t, const char *target, struct inode **ret, struct err *err)
{
	char clean[TREE_PATH_MAX];
	bool cut = false;
	struct inode *found = NULL;
	struct shown shown;

	int r = name_clean(target, clean, err);
	if (r == 0)
		r = find_target(t, clean, &found, &cut, err);
	if (r < 0)
		return err_wrap(err, "hard link to '%s'", show(target, &shown));
	if (!found && !cut && *clean != '\0')
		return borrow(t, clean, ret, err);
	if (!found || (found->flags & INODE_WHITEOUT))
		return err_set(err, ENOENT, "hard link to '%s', which is not there",
			       show(target, &shown));
	if (!S_ISREG(found->mode))
		return err_set(err, EINVAL, "hard link to '%s', which is not a regular file",
			       show(target, &shown));
	*ret = found;
	return 0;
}

/* Device numbers as the kernel keeps them in 32 bits. */
static int set_rdev(struct inode *inode, int64_t major, int64_t minor, struct err *err)
{
	if (major < 0 || major > 0xfff || minor < 0 || minor > 0xfffff)
		return err_set(err, EINVAL, "no such device number");
	if (major == 0 && minor == 0)
		return err_set(err, EINVAL,
			       "device 0/0 belongs to the overlay file system (a deleted name)");
	inode->rdev = (uint32_t)((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12));
	return 0;
}

/* Where a symbolic link points; any text will do, for nothing here follows it. */
static int set_target(struct tree *t, struct inode *inode, const char *target, struct err *err)
{
	size_t len = target ? strnlen(target, TREE_PATH_MAX) : 0;

	if (len == 0 || len >= TREE_PATH_MAX)
		return err_set(err, EINVAL, "a symbolic link to %s",
			       len ? "a path of 4096 bytes or more" : "nothing");
	inode->size = len;
	inode->target = arena_copy(&t->arena, target, len, err);
	return inode->target ? 0 : -ENOMEM;
}

/* A new inode with all that the entry says of it but its content. */
static int inode_from_entry(struct tree *t, const struct tree_entry *e, struct inode **ret,
			    struct err *err)
{
	if (e->uid < 0 || e->uid >= UINT32_MAX || e->gid < 0 || e->gid >= UINT32_MAX)
		return err_set(err, EINVAL, "no such owner");
	if (e->mtime_nsec >= 1000000000)
		return err_set(err, EINVAL, "no such time");
	/* Linux has no other permissions of a symbolic link. */
	struct inode *inode = inode_new(t, S_ISLNK(e->mode) ? S_IFLNK | 0777 : e->mode, err);
	if (!inode)
		return -ENOMEM;
	inode->uid = (uint32_t)e->uid;
	inode->gid = (uint32_t)e->gid;
	inode->mtime = e->mtime;
	inode->mtime_nsec = e->mtime_nsec;
	inode->xattrs = e->xattrs;

	int r = 0;
	if (S_ISCHR(e->mode) || S_ISBLK(e->mode))
		r = set_rdev(inode, e->rdev_major, e->rdev_minor, err);
	else if (S_ISLNK(e->mode))
		r = set_target(t, inode, e->target, err);
	if (r == 0)
		*ret = inode;
	return r;
}

/* The root is there already and stays a folder. */
static int add_root(struct tree *t, const struct tree_entry *e, struct inode **ret, struct err *err)
{
	if (!S_ISDIR(e->mode) || e->hardlink)
		return err_set(err, EINVAL, "the root must be a folder");
	struct inode *inode = NULL;
	int r = inode_from_entry(t, e, &inode, err);
	if (r < 0)
		return r;
	assert(inode);
	inode->children = t->root->children;
	inode->flags = t->root->flags;
	*t->root = *inode;
	t->has_root = true;
	*ret = t->root;
	return 0;
}

static int add(struct tree *t, const struct tree_entry *e, struct inode **ret, struct err *err)
{
	if (++t->entries > t->max_entries)
		return err_set(err, EFBIG, "more than %ju entries", (uintmax_t)t->max_entries);

	char path[TREE_PATH_MAX];
	int r = name_clean(e->path, path, err);
	if (r < 0)
		return r;
	if (*path == '\0')
		return add_root(t, e, ret, err);

	struct inode *dir = NULL, *inode = NULL;
	const char *name = NULL;
	r = walk_to_parent(t, path, &dir, &name, err);
	if (r < 0)
		return r;
	if (str_prefix(name, WHITEOUT_PREFIX, NULL)) {
		*ret = NULL;
		return add_whiteout(t, dir, name, err);
	}
	if (e->hardlink)
		r = find_link(t, e->target ? e->target : "", &inode, err);
	else
		r = inode_from_entry(t, e, &inode, err);
	if (r == 0)
		r = put(t, dir, name, strlen(name), inode, &inode, err);
	if (r == 0)
		*ret = e->hardlink ? NULL : inode;
	return r;
}

int tree_add(struct tree *t, const struct tree_entry *e, struct inode **ret, struct err *err)
{
	struct shown shown;
	int r = add(t, e, ret, err);

	return r < 0 ? err_wrap(err, "'%s'", show(e->path, &shown)) : 0;
}
