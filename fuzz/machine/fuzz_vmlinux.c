/* SPDX-License-Identifier: Apache-2.0 */
/* A file offered as a kernel: bzImage and ELF headers. */
#include <assert.h>
#include <stdint.h>

#include "base/err.h"
#include "machine/vmlinux.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct kernel_image image;
	struct err err = ERR_INIT;

	if (kernel_image_check(data, n, &image, &err) == 0) {
		assert(image.payload_at <= n && image.payload_len <= n - image.payload_at);
		assert(image.release[0] == '\0' || kernel_release_ok(image.release));
	}
	return 0;
}
