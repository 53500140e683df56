/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of image/ share among themselves, hull-import included. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct db;
struct err;
struct image;
struct json_object;
struct store;

enum {
	DIGEST_HEX = 64,
	IMAGE_JSON_MAX = 4 << 20, /* largest manifest, index or config */
	IMAGE_LAYERS_MAX = 512,
};

/* Whether s is n = 64 lower-case hex digits. */
bool digest_is_hex(const char *s, size_t n);

/*
 * Reads a config document into the members of *ret that it speaks of (os to created_ns, config,
 * diff_ids); ret must be zeroed, and is the caller's to release, on failure too. Everything is
 * checked: this is the door for documents from outside.
 */
int image_parse_config(struct json_object *doc, struct image *ret, struct err *err) HULL_MUST_CHECK;

/* Finds the id that `what` means, by the rules of image_find(); *ret_name only when it was a name.
 * The caller frees both. */
int image_resolve(struct db *db, const char *what, char **ret_id, char **ret_name, struct err *err)
	HULL_MUST_CHECK;

/* Gives `name` (as reference.name has it) to image `id`, whoever had it. */
int image_set_name(struct db *txn, const char *id, const char *name, struct err *err)
	HULL_MUST_CHECK;

/* Now, in nanoseconds since the epoch. */
uint64_t image_now_ns(void);

/* RFC 3339 text as nanoseconds since the epoch; 0 for what is no such time or before 1970. */
uint64_t image_parse_time(const char *text);

/*
 * Image files are added under a shared lock held for the whole import, and removed only under the
 * exclusive one, after looking that no record names them. Returns the lock, to be closed;
 * -EWOULDBLOCK (without err) when exclusive was asked for and an import is under way.
 */
int image_lock(const struct store *store, bool exclusive, struct err *err) HULL_MUST_CHECK;

/*
 * Makes a folder of its own for an importer below root/tmp, locked as long as the descriptor
 * returned is open: image_gc() takes unlocked ones for dead. *ret_path is its path, which the
 * caller gives to image_workdir_remove() in the end, and frees.
 */
int image_workdir(const struct store *store, char **ret_path, struct err *err) HULL_MUST_CHECK;

/* Removes such a folder with all in it; what cannot be is collected later. */
void image_workdir_remove(const struct store *store, const char *path);

/* Reads what hull-import wrote (changed in place) and how it ended: its image's id, caller frees,
 * or its error. */
int image_answer_parse(char *answer, int status, char **ret_id, struct err *err) HULL_MUST_CHECK;
