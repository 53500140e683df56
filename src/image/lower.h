/* SPDX-License-Identifier: Apache-2.0 */
/* What a layer says only by naming it: attributes of folders and files of the layers below. */
#pragma once

#include "base/attr.h"

struct erofs;
struct err;
struct layer_lower;
struct tree;

/* Fills in all implied folders and borrowed files of a sealed tree. lower may be NULL: then folders
 * keep their default, and a borrowed file is a failure. */
int lower_fill_in(const struct layer_lower *lower, struct tree *tree, struct erofs *erofs,
		  struct err *err) HULL_MUST_CHECK;
