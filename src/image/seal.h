/* SPDX-License-Identifier: Apache-2.0 */
/* A secret under a passphrase, in the JSON form that cosign seals its keys in: scrypt makes a key
 * of the passphrase, NaCl's secretbox (XSalsa20-Poly1305) closes the box. */
#pragma once

#include <stddef.h>

#include "base/attr.h"

struct buf;
struct err;

/* Opens the box in n bytes of JSON; the secret is appended to *ret. EACCES: another passphrase. */
int seal_open(const char *json, size_t n, const char *pass, struct buf *ret, struct err *err)
	HULL_MUST_CHECK;

/* Closes n bytes into a box; its JSON is appended to *ret. */
int seal_close(const void *secret, size_t n, const char *pass, struct buf *ret, struct err *err)
	HULL_MUST_CHECK;

/* Releases a buffer, its content overwritten before; for AUTO(). */
void buf_erase(struct buf *b);
