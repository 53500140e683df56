/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/vmdk.h"

#include <inttypes.h>

#include "base/buf.h"

void vmdk_describe(struct buf *to, const char *const *names, const uint64_t *sectors, size_t n)
{
	buf_str(to, "# Disk DescriptorFile\n"
		    "version=1\n"
		    "CID=fffffffe\n"
		    "parentCID=ffffffff\n"
		    "createType=\"twoGbMaxExtentFlat\"\n");
	/* "RW" is the access of the extent's form; the disk as a whole is opened read-only */
	for (size_t i = 0; i < n; i++)
		buf_printf(to, "RW %" PRIu64 " FLAT \"%s\" 0\n", sectors[i], names[i]);
}
