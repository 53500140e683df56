/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a mount's options. */
#pragma once

#include <stdbool.h>

#include "base/attr.h"

struct plan_mount;

/* Carries out a word on *to, and sets *is_bind by `bind` and `rbind`; false when it is not known.
 */
bool oci_option(const char *word, struct plan_mount *to, bool *is_bind) HULL_MUST_CHECK;
