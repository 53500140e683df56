/* SPDX-License-Identifier: Apache-2.0 */
/* Layer files looked at again: judged, or written out as the tar they mean. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "image/erofs_view.h"
#include "image/erofs_walk.h"
#include "image/layer.h"
#include "image/tar_emit.h"

static int drop_content(void *ctx, const void *bytes, size_t n, struct err *err)
{
	(void)ctx;
	(void)bytes;
	(void)n;
	(void)err;
	return 0;
}

struct judge {
	const struct erofs_view *v;
	uint64_t entries;
};

/* Reading all content finds blocks that lie outside, and those that the disk cannot give any more.
 */
static int judge_entry(void *ctx, const struct erofs_walk_entry *e, struct err *err)
{
	struct judge *j = ctx;

	j->entries++;
	if (!S_ISREG(e->entry.mode) || e->entry.hardlink)
		return 0;
	return erofs_view_content(j->v, e->file, drop_content, NULL, err);
}

int layer_check(int layer_fd, const uint8_t diff_id[LAYER_DIGEST], const uint8_t *chain,
		uint64_t *ret_names, struct err *err)
{
	AUTO(auto_erofs_view_free) struct erofs_view *v = NULL;
	uint8_t uuid[EROFS_UUID];

	int r = erofs_view_open(layer_fd, &v, err);
	if (r == 0)
		r = layer_uuid(diff_id, chain, uuid, err);
	if (r == 0 && memcmp(uuid, erofs_view_uuid(v), sizeof(uuid)) != 0)
		r = err_set(err, EUCLEAN, "it is another layer: its UUID is not of this diff-id");
	if (r < 0)
		return r;
	struct judge judge = {.v = v};
	r = erofs_walk(v, judge_entry, &judge, err);
	if (r == 0)
		*ret_names = judge.entries;
	return r;
}

struct out {
	const struct erofs_view *v;
	struct tar_emitter *tar;
	bool upper;
};

/* Whether the entry is a root that no tar spoke of. */
static bool is_silent_root(const struct erofs_walk_entry *e)
{
	const struct tree_entry *t = &e->entry;

	return strcmp(t->path, ".") == 0 && (t->mode & 07777) == 0755 && t->uid == 0 &&
	       t->gid == 0 && t->mtime == 0 && t->mtime_nsec == 0 && !t->xattrs;
}

/* "a/.wh.b" for the deletion of "a/b"; "a/.wh..wh..opq" for the opaque folder "a". */
static int emit_mark(struct out *out, const char *folder, size_t folder_len, const char *name,
		     struct err *err)
{
	char path[TREE_PATH_MAX + 32];
	bool at_root = folder_len == 0;

	(void)snprintf(path, sizeof(path), "%.*s%s%s", (int)folder_len, folder, at_root ? "" : "/",
		       name);
	struct tree_entry mark = {.path = path, .mode = S_IFREG};
	return tar_emit_entry(out->tar, &mark, 0, err);
}

static int emit_whiteout(struct out *out, const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	char name[TREE_NAME_MAX + 8];

	(void)snprintf(name, sizeof(name), ".wh.%s", slash ? slash + 1 : path);
	return emit_mark(out, path, slash ? (size_t)(slash - path) : 0, name, err);
}

static int emit_walked(void *ctx, const struct erofs_walk_entry *e, struct err *err)
{
	struct out *out = ctx;
	const char *path = e->entry.path;

	if (e->whiteout)
		return emit_whiteout(out, path, err);
	if (out->upper && is_silent_root(e) && !e->opaque)
		return 0;
	bool content = S_ISREG(e->entry.mode) && !e->entry.hardlink;
	uint64_t size = content ? e->file->size : 0;
	int r = tar_emit_entry(out->tar, &e->entry, size, err);
	if (r == 0 && content)
		r = erofs_view_content(out->v, e->file, tar_emit_content, out->tar, err);
	if (r == 0 && content)
		r = tar_emit_padding(out->tar, size, err);
	if (r == 0 && e->opaque)
		r = emit_mark(out, path, strcmp(path, ".") == 0 ? 0 : strlen(path), ".wh..wh..opq",
			      err);
	return r;
}

int layer_write_tar(int layer_fd, bool upper, layer_write_fn *write, void *ctx,
		    struct layer_info *info, struct err *err)
{
	AUTO(auto_erofs_view_free) struct erofs_view *v = NULL;
	AUTO(auto_tar_emitter_free) struct tar_emitter *tar = NULL;
	struct layer_info made = {0};

	int r = erofs_view_open(layer_fd, &v, err);
	if (r == 0)
		r = tar_emitter_new(write, ctx, &tar, err);
	if (r < 0)
		return r;
	r = erofs_walk(v, emit_walked, &(struct out){v, tar, upper}, err);
	if (r == 0)
		r = tar_emit_end(tar, &made, err);
	if (r == 0)
		*info = made;
	return r;
}
