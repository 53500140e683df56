/* SPDX-License-Identifier: Apache-2.0 */
/* The files by which a workload finds others by name: /etc/hosts and /etc/resolv.conf, as text. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct buf;
struct err;

/*
 * Appends an /etc/hosts: localhost, the `extra` lines ("NAME:ADDRESS" each, as --add-host takes
 * them; NULL: none), and the workload's own name. address 0 means that it has none of its own: then
 * the name is 127.0.1.1. domain may be NULL.
 */
int hosts_text(struct buf *to, const char *hostname, const char *domain, uint32_t address,
	       const struct strv *extra, struct err *err) HULL_MUST_CHECK;

/*
 * Appends an /etc/resolv.conf made of the host's `text`: everything but name servers on the host's
 * loopback, which a workload cannot reach, and comments. Returns how many name servers are left.
 */
int resolv_filter(struct buf *to, const char *text);

/*
 * Appends the resolv.conf for a workload. With `whole` (the host's network) it is the host's as it
 * is; else it is filtered, taken from systemd-resolved's list of upstream servers when the host's
 * own names only loopback, and holds a comment when no server is left. A host without the file:
 * empty.
 */
int resolv_text(struct buf *to, bool whole, struct err *err) HULL_MUST_CHECK;
