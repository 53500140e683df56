/* SPDX-License-Identifier: Apache-2.0 */
/* Devices as sysfs lists them, and waiting for what the kernel finds in its own time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct err;

/* Waiting in steps that grow, up to a limit. */
struct patience {
	uint64_t until_ms;
	long step_us;
};

/* A wait of at most ms from now on. */
struct patience patience_of(uint64_t ms);

/* Sleeps a little; false when the time is over. */
bool patience_wait(struct patience *p);

enum { SYSFS_NAME = 64 };

/*
 * Finds the entry of `folder` whose file `attribute` holds `value` (in any case), waiting for it up
 * to ms, and writes its name to ret. ENODEV: "the machine has no `what` 'value'".
 */
int sysfs_find(const char *folder, const char *attribute, const char *value, const char *what,
	       uint64_t ms, char ret[SYSFS_NAME], struct err *err) HULL_MUST_CHECK;
