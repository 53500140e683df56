/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images as files for others. An archive is an OCI layout and a docker-archive at once: index.json
 * and manifest.json name the same blobs. The same images give the same bytes.
 */
#pragma once

#include <stddef.h>

#include "base/attr.h"

struct err;
struct store;

/* Writes one archive with the n images `names` to fd; their documents name each by what it was
 * asked for by, and an image asked for by id by all its names. */
int save_archive(const struct store *store, const char *const *names, size_t n, int fd,
		 struct err *err) HULL_MUST_CHECK;

/* Makes an OCI layout of one image in the empty folder dirfd, which lies in the store: kept blobs
 * become links. */
int save_layout(const struct store *store, const char *what, int dirfd, struct err *err)
	HULL_MUST_CHECK;
