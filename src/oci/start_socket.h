/* SPDX-License-Identifier: Apache-2.0 */
/* The socket in a container's folder at which its parked first process waits for the word to start.
 */
#pragma once

#include <stdbool.h>

#include "base/attr.h"

struct err;

/* Makes it, listening; the caller closes. */
int start_socket_new(int folder, struct err *err) HULL_MUST_CHECK;

/* A connection to it; ECONNREFUSED when nobody waits there (any more). */
int start_socket_connect(int folder, struct err *err) HULL_MUST_CHECK;

/* Whether somebody waits. */
bool start_socket_waits(int folder);
