/* SPDX-License-Identifier: Apache-2.0 */
#include "image/erofs_walk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "image/arena.h"
#include "image/erofs_view.h"
#include "image/folder_links.h"

struct walk {
	const struct erofs_view *v;
	erofs_walk_fn *fn;
	void *ctx;
	struct folder_links links; /* first names, by inode number */
	struct arena paths; /* of links */
	struct arena xattrs; /* of the entry at work */
	uint32_t *met; /* names of each inode so far, by its place */
	uint64_t inodes;
	char path[TREE_PATH_MAX]; /* of the entry at work, "." for the root */
	char target[TREE_PATH_MAX]; /* of the symbolic link at work */
	size_t target_len;
};

static void walk_done(struct walk *w)
{
	folder_links_done(&w->links);
	arena_done(&w->paths);
	arena_done(&w->xattrs);
	free(w->met);
}

/* A folder's names while they are looked through: each its inode's number, then the name. */
struct listing {
	struct buf names;
	uint64_t self, parent; /* what "." and ".." say */
	char last[TREE_NAME_MAX + 1];
	bool any;
};

static void listing_done(struct listing *l)
{
	buf_done(&l->names);
}

static int list_name(void *ctx, const char *name, size_t len, uint64_t nid, struct err *err)
{
	struct listing *l = ctx;

	if (len == 0 || len > TREE_NAME_MAX || memchr(name, '/', len))
		return err_set(err, EUCLEAN, "it holds a damaged name");
	char copy[TREE_NAME_MAX + 1];
	memcpy(copy, name, len);
	copy[len] = '\0';
	if (l->any && strcmp(l->last, copy) >= 0)
		return err_set(err, EUCLEAN, "its names are not in order");
	memcpy(l->last, copy, len + 1);
	l->any = true;
	if (strcmp(copy, ".") == 0) {
		l->self = nid;
	} else if (strcmp(copy, "..") == 0) {
		l->parent = nid;
	} else {
		buf_le64(&l->names, nid);
		buf_add(&l->names, copy, len + 1);
	}
	return buf_check(&l->names, err);
}

static int target_piece(void *ctx, const void *bytes, size_t n, struct err *err)
{
	struct walk *w = ctx;

	if (!bytes || n >= sizeof(w->target) - w->target_len || memchr(bytes, '\0', n))
		return err_set(err, EUCLEAN, "the link's target is damaged");
	memcpy(w->target + w->target_len, bytes, n);
	w->target_len += n;
	return 0;
}

static int read_target(struct walk *w, const struct erofs_file *f, struct err *err)
{
	w->target_len = 0;
	int r = erofs_view_content(w->v, f, target_piece, w, err);
	if (r == 0 && w->target_len == 0)
		r = err_set(err, EUCLEAN, "the link's target is empty");
	w->target[w->target_len] = '\0';
	return r;
}

static bool is_whiteout(const struct erofs_file *f)
{
	return S_ISCHR(f->mode) && f->rdev == 0;
}

/* Counts the name in; *ret_first is the inode's first one if this is another. */
static int count_name(struct walk *w, const struct erofs_file *f, const char **ret_first,
		      struct err *err)
{
	uint32_t *met = &w->met[f->nid / 2];

	*ret_first = NULL;
	if ((*met)++ == 0)
		w->inodes++;
	if (*met == 1 && f->nlink > 1 && !S_ISDIR(f->mode)) {
		const char *copy = arena_copy(&w->paths, w->path, strlen(w->path), err);
		return copy ? folder_links_add(&w->links, 0, f->nid, copy, err) : -ENOMEM;
	}
	if (*met > 1 && (S_ISDIR(f->mode) || *met > f->nlink))
		return err_set(err, EUCLEAN, "it has more names than its inode says");
	if (*met > 1)
		*ret_first = folder_links_find(&w->links, 0, f->nid);
	return 0;
}

/* Tells the entry at work. */
static int tell(struct walk *w, const struct erofs_file *f, struct err *err)
{
	const char *first = NULL;

	arena_done(&w->xattrs);
	int r = count_name(w, f, &first, err);
	if (r < 0)
		return r;
	struct erofs_walk_entry e = {
		.entry = {.path = w->path,
			  .mode = f->mode,
			  .uid = f->uid,
			  .gid = f->gid,
			  .mtime = f->mtime,
			  .mtime_nsec = f->mtime_nsec,
			  .hardlink = first != NULL,
			  .target = first},
		.file = f,
		.whiteout = is_whiteout(f),
	};
	if (S_ISCHR(f->mode) || S_ISBLK(f->mode)) { /* new_encode_dev() of Linux */
		e.entry.rdev_major = (f->rdev & 0xfff00) >> 8;
		e.entry.rdev_minor = (f->rdev & 0xff) | (f->rdev >> 12 & 0xfff00);
	}
	if (S_ISLNK(f->mode) && !first) {
		r = read_target(w, f, err);
		e.entry.target = w->target;
	}
	if (r == 0 && !first)
		r = erofs_view_xattrs(w->v, f, &w->xattrs, &e.entry.xattrs, &e.opaque, err);
	return r < 0 ? r : w->fn(w->ctx, &e, err);
}

static int walk_folder(struct walk *w, const struct erofs_file *dir, uint64_t parent,
		       struct err *err);

static int walk_name(struct walk *w, uint64_t nid, uint64_t parent, struct err *err)
{
	struct erofs_file f;

	int r = erofs_view_file(w->v, nid, &f, err);
	if (r == 0)
		r = tell(w, &f, err);
	return r == 0 && S_ISDIR(f.mode) ? walk_folder(w, &f, parent, err) : r;
}

static int walk_names(struct walk *w, const struct buf *names, uint64_t parent, struct err *err)
{
	size_t len = strcmp(w->path, ".") == 0 ? 0 : strlen(w->path);
	int r = 0;

	for (size_t at = 0; r == 0 && at < names->len;) {
		uint64_t nid = 0;
		memcpy(&nid, names->data + at, sizeof(nid));
		const char *name = names->data + at + sizeof(nid);
		at += sizeof(nid) + strlen(name) + 1;
		if (len + 1 + strlen(name) >= sizeof(w->path))
			return err_set(err, EUCLEAN, "it holds a path of %zu bytes or more",
				       sizeof(w->path));
		(void)snprintf(w->path + len, sizeof(w->path) - len, "%s%s", len ? "/" : "", name);
		r = walk_name(w, nid, parent, err);
	}
	if (r == 0)
		(void)snprintf(w->path + len, 2, "%s", len ? "" : ".");
	return r;
}

static int walk_folder(struct walk *w, const struct erofs_file *dir, uint64_t parent,
		       struct err *err)
{
	AUTO(listing_done) struct listing l = {.names = BUF_INIT};

	int r = erofs_view_names(w->v, dir, list_name, &l, err);
	if (r == 0 && (l.self != dir->nid || l.parent != parent))
		r = err_set(err, EUCLEAN, "its '.' or '..' is another folder");
	return r < 0 ? r : walk_names(w, &l.names, dir->nid, err);
}

/* Each inode had all its names, and there are as many as the super block says. */
static int judge_counts(const struct walk *w, struct err *err)
{
	if (w->inodes != erofs_view_inodes(w->v))
		return err_set(err, EUCLEAN, "%ju inodes have names, its super block says %ju",
			       (uintmax_t)w->inodes, (uintmax_t)erofs_view_inodes(w->v));
	for (uint64_t i = 0; i < erofs_view_nids(w->v) / 2; i++) {
		struct erofs_file f;
		if (w->met[i] == 0)
			continue;
		int r = erofs_view_file(w->v, i * 2, &f, err);
		if (r < 0)
			return r;
		if (!S_ISDIR(f.mode) && f.nlink != w->met[i])
			return err_set(err, EUCLEAN, "inode %ju has %u names and says %u",
				       (uintmax_t)f.nid, w->met[i], f.nlink);
	}
	return 0;
}

int erofs_walk(const struct erofs_view *v, erofs_walk_fn *fn, void *ctx, struct err *err)
{
	AUTO(walk_done) struct walk w = {.v = v, .fn = fn, .ctx = ctx, .path = "."};
	struct shown shown;
	struct erofs_file root;

	w.met = calloc(erofs_view_nids(v) / 2 + 1, sizeof(*w.met));
	if (!w.met)
		return err_set(err, ENOMEM, "out of memory");
	int r = erofs_view_file(v, erofs_view_root(v), &root, err);
	if (r == 0 && !S_ISDIR(root.mode))
		r = err_set(err, EUCLEAN, "its root is no folder");
	if (r == 0)
		r = tell(&w, &root, err);
	if (r == 0)
		r = walk_folder(&w, &root, root.nid, err);
	if (r < 0)
		return err_wrap(err, "'%s'", show(w.path, &shown));
	return judge_counts(&w, err);
}
