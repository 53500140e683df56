/* SPDX-License-Identifier: Apache-2.0 */
/* fs-verity: a file system that has it refuses each read of a block that is not what it was. */
#pragma once

#include <stdbool.h>

/*
 * Seals the finished file `name` in dirfd, which nobody has open for writing: from then on it
 * cannot be written to, and damage is an error of read(2) (EIO). false where the file system or the
 * kernel cannot: that costs nothing but this.
 */
bool verity_seal(int dirfd, const char *name);
