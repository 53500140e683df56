/* SPDX-License-Identifier: Apache-2.0 */
/* Points in time as users write them. */
#pragma once

#include <time.h>

#include "base/attr.h"

struct err;

/* Reads "2026-01-02T15:04:05.5Z" (also with +01:00, or local without a zone), "2026-01-02", seconds
 * since the epoch, or a duration ago ("10m"). NULL leaves *ret zero. */
int parse_when(const char *text, const char *what, struct timespec *ret, struct err *err)
	HULL_MUST_CHECK;
