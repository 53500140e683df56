/* SPDX-License-Identifier: Apache-2.0 */
/* The header of a tar entry (POSIX ustar). Private to the archive files. */
#pragma once

#include <stdint.h>

enum { TAR_BLOCK = 512, TAR_NAME = 100 };

struct tar_block {
	char name[TAR_NAME];
	char mode[8], uid[8], gid[8];
	char size[12], mtime[12];
	char sum[8];
	char type;
	char link[TAR_NAME];
	char magic[8]; /* "ustar\0" "00" */
	char uname[32], gname[32];
	char major[8], minor[8];
	char prefix[155];
	char pad[12];
};

_Static_assert(sizeof(struct tar_block) == TAR_BLOCK, "a tar header is one block");

/* The sum over a header's bytes, its own field counted as spaces. */
static inline unsigned tar_sum(const struct tar_block *b)
{
	const unsigned char *bytes = (const unsigned char *)b;
	unsigned sum = 8 * ' ';

	for (unsigned i = 0; i < sizeof(*b); i++)
		sum += bytes[i];
	for (unsigned i = 0; i < sizeof(b->sum); i++)
		sum -= (unsigned char)b->sum[i];
	return sum;
}
