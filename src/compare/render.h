/* SPDX-License-Identifier: Apache-2.0 */
/* What the forms of a comparison have in common. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "compare/compare.h"

struct buf;

/* How many lines must be known to read the figures, and one of them appended. */
enum { NOTES_MAX = 4 };
size_t comparison_notes(const struct comparison *c);
void comparison_note(const struct comparison *c, size_t i, struct buf *to);

/* The command as one line, or words for the image's own. */
void comparison_command(const struct comparison *c, struct buf *to);

/* Whether a metric has anything to show: samples, and one that is not 0. */
bool comparison_shows(const struct comparison *c, enum metric m);
