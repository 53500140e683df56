/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts that come to and go from a container while it runs. */
#pragma once

#include "base/attr.h"

struct err;

/* Shows the mounted folder `source` (without what is mounted below it) at `target`, an absolute
 * path in the mount namespace of the process pidfd, which is made when missing. */
int show_mount(int pidfd, const char *source, const char *target, struct err *err) HULL_MUST_CHECK;

/* Takes it away again; nothing there is fine. EBUSY while it is in use. */
int show_no_more(int pidfd, const char *target, struct err *err) HULL_MUST_CHECK;
