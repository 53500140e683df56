/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's module index, as it comes with a kernel handed in: modules.dep, and behind the first
 * NUL byte modules.builtin. */
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "machine/moddep.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO(auto_moddep_free) struct moddep *m = NULL;
	AUTO_STRV struct strv order = {0};
	struct err err = ERR_INIT;
	const char *dep = (const char *)data;

	const char *nul = memchr(data, '\0', n);
	size_t n_dep = nul ? (size_t)(nul - dep) : n;
	const char *builtin = nul ? nul + 1 : NULL;
	if (moddep_parse(dep, n_dep, builtin, builtin ? n - n_dep - 1 : 0, &m, &err) < 0)
		return 0;
	static const char *const names[] = {"virtio_blk", "virtiofs", "a"};
	for (size_t i = 0; i < 3; i++) {
		if (moddep_order(m, names[i], &order, &err) < 0)
			return 0;
	}
	return 0;
}
