/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that come to the machine and go from it while it runs: its kernel finds them when their
 * driver is told to bind them. */
#pragma once

#include <stdint.h>

#include "base/attr.h"

struct err;

enum { PLUG_SLOTS_MAX = 32 };

/* Has the driver take the device of this number, or let go of it; done already is fine. */
int plug_bind(uint32_t slot, struct err *err) HULL_MUST_CHECK;
int plug_unbind(uint32_t slot, struct err *err) HULL_MUST_CHECK;
