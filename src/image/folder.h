/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of the host into a tree, an EROFS file and the one tar of it. */
#pragma once

#include <stdint.h>

#include "base/attr.h"

struct erofs;
struct err;
struct tar_emitter;
struct tree;

/* Takes all that is below dirfd (borrowed), in the order of the names; *ret_ignored counts
 * attributes left out. */
int folder_read(int dirfd, struct tree *tree, struct erofs *erofs, struct tar_emitter *tar,
		uint64_t *ret_ignored, struct err *err) HULL_MUST_CHECK;
