/* SPDX-License-Identifier: Apache-2.0 */
/* Paths as archives write them, brought into the one form the tree knows: relative, no empty, "."
 * or ".." component, "" for the root. For tree.c. */
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "image/tree.h"

struct err;

/* Writes the clean form of `path` to text, without leading "/" and "./" and trailing "/". Refuses
 * all that would have to be interpreted. */
int name_clean(const char *path, char text[TREE_PATH_MAX], struct err *err) HULL_MUST_CHECK;
