/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The code that a program of hull's runs when it has been taken over (tests alone): everything that
 * would lead beyond the descriptors it was given. Linked into builds of hull-monitor and hull-share
 * which run it where their threads would begin to serve.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The name under which a test listens on the host, in the abstract space of Unix sockets. */
#define TAKEN_LISTENER "hull-taken"

/*
 * Tries it all and returns how much that was; what succeeded first is in *reached, else NULL.
 * filtered: with the system-call filter; without it the box alone has to hold, and what only a
 * filter can refuse is not tried.
 */
size_t taken_try(bool filtered, const char **reached);
