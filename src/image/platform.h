/* SPDX-License-Identifier: Apache-2.0 */
/* What an image is made for, as --platform says it. */
#pragma once

#include <stdbool.h>

#include "base/attr.h"

struct err;

/* "os/architecture[/variant]"; all owned, variant may be NULL. */
struct platform {
	char *os, *architecture, *variant;
};

/* Parses --platform (NULL: this host's); the caller releases with platform_done(). */
int platform_parse(const char *text, struct platform *ret, struct err *err) HULL_MUST_CHECK;
void platform_done(struct platform *platform);

/* Whether os and architecture are those. Who knows of a variant compares it. */
bool platform_is(const struct platform *p, const char *os, const char *architecture);
