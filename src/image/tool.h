/* SPDX-License-Identifier: Apache-2.0 */
/* How hull-image answers its caller. */
#pragma once

#define TOOL_ERROR "error "

enum { TOOL_FAILED = 125 };
