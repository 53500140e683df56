/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an --env-file: every assignment that comes out has a name without spaces, and is one
 * line. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "engine/build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_STRV struct strv env = {0};
	struct err err = ERR_INIT;

	int r = env_file_parse((const char *)data, n, "fuzz", &env, &err);
	if ((r < 0) != (err.code != 0))
		abort();
	for (size_t i = 0; i < env.n; i++) {
		const char *equals = strchr(env.v[i], '=');
		if (!equals || equals == env.v[i] || strchr(env.v[i], '\n'))
			abort();
		if (strcspn(env.v[i], " \t\r\v\f") < (size_t)(equals - env.v[i]))
			abort();
	}
	return 0;
}
