/* SPDX-License-Identifier: Apache-2.0 */
/* Passphrases of keys: never in arguments, never on the screen. */
#pragma once

#include <stdbool.h>

#include "base/attr.h"

struct err;

/* $COSIGN_PASSWORD, else what the terminal is asked for by `prompt` (twice: must be the same). The
 * caller releases *ret by AUTO(auto_secret). EACCES when there is neither. */
int pass_read(const char *prompt, bool twice, char **ret, struct err *err) HULL_MUST_CHECK;

/* Overwrites and frees a string; for AUTO(). */
void auto_secret(char **secret);
