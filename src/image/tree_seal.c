/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "image/tree.h"

/* One folder's names, to be sorted; reused from folder to folder. */
struct names {
	struct dent **v;
	size_t n, size;
};

static void names_done(struct names *names)
{
	free(names->v);
}

static int names_add(struct names *names, struct dent *d, struct err *err)
{
	if (names->n == names->size) {
		size_t size = names->size ? names->size * 2 : 64;
		struct dent **v = reallocarray(names->v, size, sizeof(struct dent *));
		if (!v)
			return err_set(err, ENOMEM, "out of memory");
		names->v = v;
		names->size = size;
	}
	names->v[names->n++] = d;
	return 0;
}

/* The order EROFS searches in: by bytes, a name before what it begins. */
static int compare(const void *a, const void *b)
{
	const struct dent *d = *(struct dent *const *)a, *e = *(struct dent *const *)b;
	size_t n = d->name_len < e->name_len ? d->name_len : e->name_len;
	int c = memcmp(d->name, e->name, n);

	return c != 0 ? c : d->name_len - e->name_len;
}

static int add_dots(struct tree *t, struct inode *dir, struct names *names, struct err *err)
{
	for (uint16_t len = 1; len <= 2; len++) {
		struct dent *d = arena_alloc(tree_arena(t), sizeof(*d) + len + 1, err);
		if (!d)
			return -ENOMEM;
		memcpy(d->name, "..", len);
		d->name_len = len;
		d->parent = dir;
		d->inode = len == 1 || !dir->self ? dir : dir->self->parent;
		int r = names_add(names, d, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Orders the children of dir, "." and ".." among them. */
static int sort_folder(struct tree *t, struct inode *dir, struct names *names, struct err *err)
{
	names->n = 0;
	int r = add_dots(t, dir, names, err);
	for (struct dent *d = dir->children; r == 0 && d; d = d->next)
		r = names_add(names, d, err);
	if (r < 0)
		return r;
	qsort(names->v, names->n, sizeof(struct dent *), compare);
	for (size_t i = 0; i < names->n; i++)
		names->v[i]->next = i + 1 < names->n ? names->v[i + 1] : NULL;
	dir->children = names->v[0];
	return 0;
}

static bool is_dots(const struct dent *d)
{
	return d->name[0] == '.' && (d->name_len == 1 || (d->name_len == 2 && d->name[1] == '.'));
}

/* Counts the links that dir's names make, and strings inodes met for the first time behind *tail.
 */
static void count_links(struct inode *dir, struct inode **tail)
{
	bool cut = (dir->flags & (INODE_OPAQUE | INODE_CUT)) != 0;

	for (struct dent *d = dir->children; d; d = d->next) {
		struct inode *inode = d->inode;
		if (is_dots(d))
			continue;
		if (inode->nlink == 0) {
			(*tail)->next = inode;
			*tail = inode;
		}
		if (!S_ISDIR(inode->mode)) {
			inode->nlink++;
			continue;
		}
		inode->nlink = 2;
		dir->nlink++;
		if (cut)
			inode->flags |= INODE_CUT;
		if (inode->flags & (INODE_CUT | INODE_OPAQUE))
			inode->flags &= (uint8_t)~INODE_IMPLIED;
	}
}

int tree_seal(struct tree *t, bool *ret_needs_lower, struct err *err)
{
	AUTO(names_done) struct names names = {0};
	struct inode *tail = tree_root(t);
	bool needs_lower = false;

	tail->nlink = 2;
	for (struct inode *inode = tail; inode; inode = inode->next) {
		if (inode->flags & (INODE_IMPLIED | INODE_BORROWED))
			needs_lower = true;
		if (!S_ISDIR(inode->mode))
			continue;
		int r = sort_folder(t, inode, &names, err);
		if (r < 0)
			return r;
		count_links(inode, &tail);
	}
	*ret_needs_lower = needs_lower;
	return 0;
}

char *tree_folder_path(const struct inode *inode)
{
	size_t len = 0;
	for (const struct inode *i = inode; i->self; i = i->self->parent)
		len += i->self->name_len + 1U;

	char *path = malloc(len + 1);
	if (!path)
		return NULL;
	char *at = path + (len ? len - 1 : 0);
	*at = '\0';
	for (const struct inode *i = inode; i->self; i = i->self->parent) {
		at -= i->self->name_len;
		memcpy(at, i->self->name, i->self->name_len);
		if (at > path)
			*--at = '/';
	}
	return path;
}
