/* SPDX-License-Identifier: Apache-2.0 */
/* What of a machine beside its memory is written (base/state.h tells how); who reads or writes a
 * part includes this. */
#pragma once

#include "base/state.h"

enum { STATE_MAX = 4 << 20 }; /* bytes; 64 processors take a half of it */

/* In the order of writing. */
enum state_kind { STATE_MACHINE = 1, STATE_DEVICE, STATE_PORTS, STATE_CPU, STATE_VM };
