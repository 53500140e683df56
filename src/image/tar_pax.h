/* SPDX-License-Identifier: Apache-2.0 */
/* The records of a pax extended header ("LENGTH KEY=VALUE"). For tar_header.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct err;
struct tar_header;

/* What the records said, so that the header block behind them does not say it again. */
struct tar_pax {
	bool path, target, size, uid, gid, mtime, major, minor;
	bool socket; /* star's way to say so */
	bool sparse_name; /* path is the sparse file's */
	bool sparse_size; /* header.size is the sparse file's */
	bool sparse_map; /* pieces are known */
	int64_t sparse_version; /* 1: the map is in front of the content */
	uint64_t piece_at; /* of form 0.0, whose pieces come in two records */
};

/* Takes n bytes of records (changed on the way) into h. */
int tar_pax_parse(struct tar_header *h, struct tar_pax *pax, char *bytes, size_t n, struct err *err)
	HULL_MUST_CHECK;

/* The number that the n bytes of text are, with a NUL behind them; `what` names it in the error,
 * which does not repeat the text. */
int tar_number(const char *text, size_t n, int64_t min, const char *what, int64_t *ret,
	       struct err *err) HULL_MUST_CHECK;
