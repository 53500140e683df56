/* SPDX-License-Identifier: Apache-2.0 */
/* Network interfaces that come to a machine while it runs: the monitor is asked to put the tap
 * behind a spare device, then the agent to bind and set up that device; the other way round when it
 * goes.
 */
#pragma once

#include "proto/isolation.h"

/* As the member `interface` of struct isolation_ops. */
void nic_change(struct isolation *m, const struct isolation_interface *what, isolation_reply *reply,
		void *ctx);

/* Forgets all of them, when nobody answers any more. */
void nic_done(struct isolation *m);
