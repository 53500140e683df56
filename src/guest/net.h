/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's network interfaces, set up by netlink. */
#pragma once

#include "base/attr.h"

struct err;
struct plan_net;

/* Brings the loopback interface up, and the interface that the plan describes, if any, as eth0 with
 * its address and default route. */
int net_setup(const struct plan_net *net, struct err *err) HULL_MUST_CHECK;

/* Brings one more interface up, the one with net's MAC, under that name. */
int net_add(const char *name, const struct plan_net *net, struct err *err) HULL_MUST_CHECK;
