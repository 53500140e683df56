/* SPDX-License-Identifier: Apache-2.0 */
#include "image/xattr.h"

#include <endian.h>
#include <errno.h>
#include <linux/limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "image/erofs_format.h"
#include "image/tree.h"

/* What overlayfs reads from a folder that hides all below it; both kinds, since a rootless mount
 * reads the second only. */
static const struct {
	uint8_t index;
	const char *name;
} opaque_marks[] = {
	{EROFS_XATTR_USER, "overlay.opaque"},
	{EROFS_XATTR_TRUSTED, "overlay.opaque"},
};
enum { N_MARKS = sizeof(opaque_marks) / sizeof(opaque_marks[0]), MARKS_ROOM = 64 };
enum { MAX_ATTRIBUTES = 1024 }; /* of one inode */

/* Longest first where one begins like another. */
static const struct {
	const char *prefix;
	uint8_t index;
	bool whole; /* the prefix is the whole name */
} spaces[] = {
	{"system.posix_acl_access", EROFS_XATTR_POSIX_ACL_ACCESS, true},
	{"system.posix_acl_default", EROFS_XATTR_POSIX_ACL_DEFAULT, true},
	{"user.", EROFS_XATTR_USER, false},
	{"trusted.", EROFS_XATTR_TRUSTED, false},
	{"security.", EROFS_XATTR_SECURITY, false},
};

static size_t entry_size(const struct erofs_xattr_entry *e)
{
	return (sizeof(*e) + e->name_len + le16toh(e->value_size) + 3) & ~(size_t)3;
}

/* Appends one encoded entry. */
static void encode(struct buf *to, uint8_t index, const char *name, const void *value, size_t n)
{
	struct erofs_xattr_entry e = {.name_len = (uint8_t)strlen(name),
				      .name_index = index,
				      .value_size = htole16((uint16_t)n)};
	static const char zeros[4];

	buf_add(to, &e, sizeof(e));
	buf_str(to, name);
	buf_add(to, value, n);
	buf_add(to, zeros, entry_size(&e) - sizeof(e) - e.name_len - n);
}

static struct erofs_xattr_entry entry_at(const char *p)
{
	struct erofs_xattr_entry e;

	memcpy(&e, p, sizeof(e));
	return e;
}

/* Takes the entry of that name out of the set, if there is one. */
static void drop(struct xattr_set *set, uint8_t index, const char *name)
{
	struct buf *b = &set->entries;

	for (size_t at = 0; at < b->len;) {
		struct erofs_xattr_entry e = entry_at(b->data + at);
		size_t size = entry_size(&e);
		if (e.name_index == index && e.name_len == strlen(name) &&
		    memcmp(b->data + at + sizeof(e), name, e.name_len) == 0) {
			memmove(b->data + at, b->data + at + size, b->len - at - size);
			b->len -= size;
			set->count--;
			return;
		}
		at += size;
	}
}

int xattr_add(struct xattr_set *set, const char *name, const void *value, size_t n, struct err *err)
{
	struct shown shown;

	if (str_prefix(name, "trusted.overlay.", NULL) || str_prefix(name, "user.overlay.", NULL))
		return err_set(err, EINVAL, "attribute '%s' belongs to the overlay file system",
			       show(name, &shown));

	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
		const char *rest;
		if (!str_prefix(name, spaces[i].prefix, &rest) || spaces[i].whole != (*rest == 0))
			continue;
		if (strlen(name) > XATTR_NAME_MAX)
			return err_set(err, ERANGE, "attribute name is longer than %d bytes",
				       XATTR_NAME_MAX);
		if (n > UINT16_MAX)
			return err_set(err, E2BIG, "attribute '%s' is larger than %d bytes",
				       show(name, &shown), UINT16_MAX);
		drop(set, spaces[i].index, rest);
		encode(&set->entries, spaces[i].index, rest, value, n);
		if (++set->count > MAX_ATTRIBUTES)
			return err_set(err, E2BIG, "more than %d attributes", MAX_ATTRIBUTES);
		if (set->entries.len >
		    EROFS_XATTR_MAX - sizeof(struct erofs_xattr_header) - MARKS_ROOM)
			return err_set(err, E2BIG, "attributes take more than %zu bytes",
				       EROFS_XATTR_MAX);
		return buf_check(&set->entries, err);
	}
	return XATTR_IGNORED;
}

void xattr_set_clear(struct xattr_set *set)
{
	buf_clear(&set->entries);
	set->count = 0;
}

void xattr_set_done(struct xattr_set *set)
{
	buf_done(&set->entries);
	set->count = 0;
}

/* By name space, then name; names of one space differ. */
static int compare(const void *a, const void *b)
{
	const char *p = *(const char *const *)a, *q = *(const char *const *)b;
	struct erofs_xattr_entry e = entry_at(p), f = entry_at(q);

	if (e.name_index != f.name_index)
		return e.name_index - f.name_index;
	int c = memcmp(p + sizeof(e), q + sizeof(f),
		       e.name_len < f.name_len ? e.name_len : f.name_len);
	return c != 0 ? c : e.name_len - f.name_len;
}

/* Makes the packed form for n bytes of entries, which the caller fills in; an opaque folder's marks
 * follow them. */
static int pack_new(size_t n, bool opaque, struct arena *arena, struct xattrs **ret,
		    struct err *err)
{
	AUTO_BUF struct buf marks = BUF_INIT;

	for (size_t i = 0; opaque && i < N_MARKS; i++)
		encode(&marks, opaque_marks[i].index, opaque_marks[i].name, "y", 1);
	int r = buf_check(&marks, err);
	if (r < 0)
		return r;

	size_t len = sizeof(struct erofs_xattr_header) + n + marks.len;
	struct xattrs *x = arena_alloc(arena, sizeof(*x) + len, err);
	if (!x)
		return -ENOMEM;
	x->len = (uint32_t)len;
	if (marks.len > 0)
		memcpy(x->body + len - marks.len, marks.data, marks.len);
	*ret = x;
	return 0;
}

int xattr_pack(const struct xattr_set *set, struct arena *arena, struct xattrs **ret,
	       struct err *err)
{
	if (set->count == 0) {
		*ret = NULL;
		return 0;
	}
	AUTO_FREE const char **order = calloc(set->count, sizeof(*order));
	if (!order)
		return err_set(err, ENOMEM, "out of memory");
	const char *p = set->entries.data;
	for (size_t i = 0; i < set->count; i++) {
		struct erofs_xattr_entry e = entry_at(p);
		order[i] = p;
		p += entry_size(&e);
	}
	qsort(order, set->count, sizeof(*order), compare);

	struct xattrs *x = NULL;
	int r = pack_new(set->entries.len, false, arena, &x, err);
	if (r < 0)
		return r;
	uint8_t *to = x->body + sizeof(struct erofs_xattr_header);
	for (size_t i = 0; i < set->count; i++) {
		struct erofs_xattr_entry e = entry_at(order[i]);
		memcpy(to, order[i], entry_size(&e));
		to += entry_size(&e);
	}
	*ret = x;
	return 0;
}

int xattr_pack_opaque(const struct xattrs *old, struct arena *arena, struct xattrs **ret,
		      struct err *err)
{
	const size_t header = sizeof(struct erofs_xattr_header);
	size_t n = old ? old->len - header : 0;
	struct xattrs *x = NULL;

	int r = pack_new(n, true, arena, &x, err);
	if (r < 0)
		return r;
	if (n > 0)
		memcpy(x->body + header, old->body + header, n);
	*ret = x;
	return 0;
}

bool xattr_next(const struct xattrs *x, size_t *at, struct xattr_view *ret)
{
	size_t place = sizeof(struct erofs_xattr_header) + *at;

	if (place >= x->len)
		return false;
	const char *p = (const char *)x->body + place;
	struct erofs_xattr_entry e = entry_at(p);
	*ret = (struct xattr_view){.space = "",
				   .name = p + sizeof(e),
				   .name_len = e.name_len,
				   .value = p + sizeof(e) + e.name_len,
				   .n = le16toh(e.value_size)};
	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
		if (spaces[i].index == e.name_index)
			ret->space = spaces[i].prefix;
	}
	*at += entry_size(&e);
	return true;
}
