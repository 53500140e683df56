/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's own words: lines of the kernel's log, which the host sees on the machine's console.
 */
#pragma once

#include "base/attr.h"

/* Opens the log; before that, and when it cannot be opened, nothing is said. */
void kmsg_open(void);

/* Says one line, without its newline. */
void kmsg(const char *fmt, ...) HULL_PRINTF(1, 2);
