/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a transfer is, on standard error: a bar on a terminal, a line for each part that is done
 * elsewhere, nothing when quiet. Any thread may tell.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct err;
struct progress;

/* Begins to show `parts` parts of `bytes` bytes together; the caller ends it. */
int progress_new(bool quiet, size_t parts, uint64_t bytes, struct progress **ret, struct err *err)
	HULL_MUST_CHECK;

/* More bytes have come. */
void progress_add(struct progress *p, uint64_t bytes);

/* Part `number` (from 0) is done; how says what became of it: "fetched", "already there". */
void progress_part(struct progress *p, size_t number, uint64_t bytes, const char *how);

/* Takes the bar away and frees; NULL is fine. */
void progress_free(struct progress *p);

DEFINE_AUTO(struct progress, progress_free)
