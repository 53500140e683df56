/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blobs that are being fetched: root/partial/HEX holds as much of the blob as has come. Whoever
 * fetches it holds the file locked until its image is recorded, so that two pulls share the work; a
 * pull that fails or is killed leaves the file, and the next one goes on behind its end. Nothing
 * about its content is believed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "image/image_priv.h"

struct err;
struct store;

struct partial {
	int fd; /* locked; -1: none */
	char digest[DIGEST_HEX + 1];
	uint64_t have; /* bytes that were there when it was opened */
};

/*
 * Opens the blob's file, making it if need be. Answers PARTIAL_BUSY, without waiting, when another
 * process has it and `wait` is not set. The caller releases with partial_done(). Of several, the
 * blobs are to be opened in the order of their digests: nobody waits in a circle then.
 */
enum { PARTIAL_BUSY = 1 };
int partial_open(const struct store *store, const char *digest, bool wait, struct partial *ret,
		 struct err *err) HULL_MUST_CHECK;

/* Lets go of it; the file stays. */
void partial_done(struct partial *p);

/* Empties it: what was there is not what it has to be. */
int partial_clear(struct partial *p, struct err *err) HULL_MUST_CHECK;

/* Gives the file the name `name` in the folder dirfd as well. */
int partial_link(const struct store *store, const struct partial *p, int dirfd, const char *name,
		 struct err *err) HULL_MUST_CHECK;

/* Removes the file: its image is recorded, or it is spoilt. */
void partial_remove(const struct store *store, struct partial *p);
