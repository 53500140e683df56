/* SPDX-License-Identifier: Apache-2.0 */
#include "image/folder_links.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"

/* The file's place, or the free one where it would go. */
static struct folder_link *place(const struct folder_links *links, dev_t dev, ino_t ino)
{
	uint64_t at = (ino ^ dev << 32) * UINT64_C(0x9E3779B97F4A7C15) >> 20;

	for (;; at++) {
		struct folder_link *l = &links->v[at & (links->size - 1)];
		if (!l->path || (l->dev == dev && l->ino == ino))
			return l;
	}
}

const char *folder_links_find(const struct folder_links *links, dev_t dev, ino_t ino)
{
	return links->size ? place(links, dev, ino)->path : NULL;
}

static int grow(struct folder_links *links, struct err *err)
{
	struct folder_links more = {.n = links->n, .size = links->size ? links->size * 2 : 256};

	more.v = calloc(more.size, sizeof(*more.v));
	if (!more.v)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < links->size; i++) {
		if (links->v[i].path)
			*place(&more, links->v[i].dev, links->v[i].ino) = links->v[i];
	}
	free(links->v);
	*links = more;
	return 0;
}

int folder_links_add(struct folder_links *links, dev_t dev, ino_t ino, const char *path,
		     struct err *err)
{
	if (links->n * 2 >= links->size) {
		int r = grow(links, err);
		if (r < 0)
			return r;
	}
	struct folder_link *l = place(links, dev, ino);
	l->dev = dev;
	l->ino = ino;
	l->path = path;
	links->n++;
	return 0;
}

void folder_links_done(struct folder_links *links)
{
	free(links->v);
	*links = (struct folder_links){0};
}
