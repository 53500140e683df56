/* SPDX-License-Identifier: Apache-2.0 */
/* libfuse's low level, and what needs its types. */
#pragma once

#define FUSE_USE_VERSION 312
#include <fuse3/fuse_lowlevel.h>
#include <stdbool.h>

/* Makes files from now on as the user of the guest who sent the request; false with errno when the
 * host does not let us. */
bool user_enter(fuse_req_t req);

/* Back to root; keeps errno. */
void user_leave(void);
