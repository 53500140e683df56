/* SPDX-License-Identifier: Apache-2.0 */
/* The header WWW-Authenticate as a registry sends it, one to a line; and an entry of a file of
 * credentials. What is taken must be whole. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "registry/base64.h"
#include "registry/challenge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void try_base64(const char *text)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	AUTO_BUF struct buf again = BUF_INIT;
	AUTO_BUF struct buf same = BUF_INIT;
	struct err err = ERR_INIT;

	if (base64_decode(&bytes, text, &err) < 0)
		return;
	base64_encode(&again, bytes.data, bytes.len);
	if (again.len != strlen(text))
		abort();
	if (again.len > 0 && (base64_decode(&same, again.data, &err) < 0 || same.len != bytes.len ||
			      memcmp(same.data, bytes.data, same.len) != 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO(challenge_done) struct challenge c = {0};
	AUTO_STRV struct strv headers = {0};
	struct err err = ERR_INIT;
	char *rest = NULL;

	AUTO_FREE char *text = strndup((const char *)data, n);
	if (!text)
		return 0;
	try_base64(text);
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (strv_add(&headers, line, &err) < 0)
			return 0;
	}
	if (challenge_pick(&headers, &c, &err) < 0)
		return 0;
	if (c.bearer && !c.realm)
		abort();
	if (c.realm)
		(void)challenge_realm_is_near("registry.example.org", c.realm);
	return 0;
}
