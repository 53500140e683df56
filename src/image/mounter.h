/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child of the importer that keeps the rights which the importer gives up before it reads what a
 * stranger has made (import_confine.h), for one purpose: to mount the layers below one that is
 * being made (below.h), and to open what is in them. What it is asked is judged: it mounts nothing
 * but in a mount namespace of its own, and opens nothing but what it has mounted.
 */
#pragma once

#include "base/attr.h"
#include "image/layer.h"

struct err;
struct mounter;

/* Starts it, for importers' folders below the store `root`. The caller frees. */
int mounter_new(const char *root, struct mounter **ret, struct err *err) HULL_MUST_CHECK;

/* Ends it, and waits for its end; NULL is fine. */
void mounter_free(struct mounter *m);

/* Begins an empty stack in the importer's folder; one from before is unmounted. */
int mounter_begin(struct mounter *m, const char *work_path, struct err *err) HULL_MUST_CHECK;

/* Puts a finished layer file (borrowed, open for reading) on top. */
int mounter_push(struct mounter *m, int layer_fd, struct err *err) HULL_MUST_CHECK;

/* What is merged by now, for layer_finish(); valid until the next push. It borrows m. */
struct layer_lower mounter_view(struct mounter *m);

DEFINE_AUTO(struct mounter, mounter_free)
