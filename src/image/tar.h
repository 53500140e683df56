/* SPDX-License-Identifier: Apache-2.0 */
/* The entries of a tar stream into a tree and its content into an EROFS file. */
#pragma once

#include <stdint.h>

#include "base/attr.h"

struct erofs;
struct err;
struct source;
struct tree;

/* Reads the whole tar, to the end of the source; *ret_ignored counts attributes left out. */
int tar_read(struct source *s, struct tree *tree, struct erofs *erofs, uint64_t *ret_ignored,
	     struct err *err) HULL_MUST_CHECK;
