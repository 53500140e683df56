/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's ear: the socket `ctl`, its clients and their requests (proto/control.h). */
#pragma once

#include "base/attr.h"

struct err;
struct keeper;
struct server;

/* Listens on `ctl` in the run folder. */
int server_new(struct server **ret, struct keeper *k, struct err *err) HULL_MUST_CHECK;

/* The workload has ended for good (k->status says how): answers those who wait for that. */
void server_ended(struct server *s);

/* Nothing of it is left on the host: answers those who asked for its stop and listens no more. */
void server_gone(struct server *s);

/* Frees all; NULL is fine. */
void server_free(struct server *s);
