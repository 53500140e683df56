/* SPDX-License-Identifier: Apache-2.0 */
/* Ids and names of workloads. */
#pragma once

#include <stdbool.h>

#include "base/attr.h"

struct err;

enum { ID_TEXT = 65, NAME_TEXT = 64, NAME_MAX_LEN = 128 };

/* A new id: 64 random hex digits. */
int id_generate(char id[ID_TEXT], struct err *err) HULL_MUST_CHECK;

/* Two words that belong to `id` ("quiet_harbour"); with attempt > 0 another pair, numbered. */
void name_generate(const char *id, unsigned attempt, char name[NAME_TEXT]);

/* Refuses what is no name: [a-zA-Z0-9][a-zA-Z0-9_.-]*, at most 128 bytes. */
int name_check(const char *name, struct err *err) HULL_MUST_CHECK;

/* Whether text could be an id or its beginning: hex digits only, 1 to 64. */
bool id_is_prefix(const char *text);
