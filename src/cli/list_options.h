/* SPDX-License-Identifier: Apache-2.0 */
/* The options of every listing, onto a struct list_options; and --format alone. */
#pragma once

#include <stddef.h>

#include "cli/cli.h"

enum { LIST_OPTION_COUNT = 4 };

extern const struct option list_option_table[LIST_OPTION_COUNT];
