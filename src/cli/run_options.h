/* SPDX-License-Identifier: Apache-2.0 */
/* The options of `run` and `create`, and the part of them that `update` has too. */
#pragma once

#include <stddef.h>

#include "cli/cli.h"

enum { RUN_OPTION_COUNT = 49, LIMIT_OPTION_COUNT = 15 };

/* Onto a struct run_options. */
extern const struct option run_option_table[RUN_OPTION_COUNT];

/* Onto a struct limit_options. */
extern const struct option limit_option_table[LIMIT_OPTION_COUNT];
