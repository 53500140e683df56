/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layers below one that is being made, mounted and merged as a workload would see them, in a
 * mount namespace of the importer's own: nothing of it is seen elsewhere, and it ends with the
 * process. Only for the main thread, when no other is left.
 */
#pragma once

#include "base/attr.h"
#include "image/layer.h"

struct below;
struct err;

/* Prepares an empty stack; work_path (absolute) is the importer's folder. The caller frees. */
int below_new(const char *work_path, struct below **ret, struct err *err) HULL_MUST_CHECK;

/* Unmounts; NULL is fine. */
void below_free(struct below *b);

/* Puts a finished layer file (borrowed, open for reading) on top. */
int below_push(struct below *b, int layer_fd, struct err *err) HULL_MUST_CHECK;

/* What is merged by now, for layer_finish(); valid until the next push. *ret borrows b. */
int below_view(struct below *b, struct layer_lower *ret, struct err *err) HULL_MUST_CHECK;

DEFINE_AUTO(struct below, below_free)
