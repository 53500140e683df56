/* SPDX-License-Identifier: Apache-2.0 */
/* Image names as users type them: what is taken is taken again as it is stored, unchanged. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_REFERENCE struct reference ref = {0};
	AUTO_REFERENCE struct reference again = {0};
	struct err err = ERR_INIT;

	AUTO_FREE char *text = strndup((const char *)data, n);
	if (!text || reference_parse(text, &ref, &err) < 0)
		return 0;
	if (strpbrk(ref.name, " \n\t\"'\\") || strstr(ref.repository, ".."))
		abort();
	if (ref.tag && (reference_parse(ref.name, &again, &err) < 0 ||
			strcmp(ref.name, again.name) != 0 || strcmp(ref.tag, again.tag) != 0))
		abort();
	return 0;
}
