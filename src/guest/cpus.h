/* SPDX-License-Identifier: Apache-2.0 */
/* Processors of the machine: it is made with all that it may have, and some of them are online. */
#pragma once

#include "base/attr.h"

struct err;

#define CPUS_FOLDER "/sys/devices/system/cpu"

/* Has the first n processors of `folder` (CPUS_FOLDER) online and no others. ERANGE when there are
 * not so many. The first one, which has no switch, is always online. */
int cpus_keep_online(const char *folder, unsigned n, struct err *err) HULL_MUST_CHECK;
