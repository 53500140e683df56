/* SPDX-License-Identifier: Apache-2.0 */
/* A message of a guest's FUSE: what passes for one has its names ended and its lengths told. */
#include <linux/fuse.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "share/share.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct fuse_in_header head;
	/* exactly so many bytes, so that ASan sees a read beyond */
	AUTO_FREE uint8_t *copy = malloc(n ? n : 1);

	if (!copy)
		return 0;
	memcpy(copy, data, n);
	if (n >= sizeof(head)) { /* a length that is right is rarely found by chance */
		memcpy(&head, copy, sizeof(head));
		if (head.len % 2 == 0)
			head.len = (uint32_t)n;
		memcpy(copy, &head, sizeof(head));
	}
	if (message_judge(copy, n) != 0)
		return 0;
	memcpy(&head, copy, sizeof(head));
	const uint8_t *rest = copy + sizeof(head);
	size_t left = n - sizeof(head);
	if (head.len != n)
		__builtin_trap();
	(void)message_drops_setid(copy);
	if (head.opcode == FUSE_LOOKUP && !memchr(rest, '\0', left))
		__builtin_trap();
	if (head.opcode == FUSE_WRITE) {
		struct fuse_write_in in;
		memcpy(&in, rest, sizeof(in));
		if (in.size != left - sizeof(in))
			__builtin_trap();
	}
	return 0;
}
