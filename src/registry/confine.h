/* SPDX-License-Identifier: Apache-2.0 */
/* What a program that reads what a stranger sends may still do. */
#pragma once

#include "base/attr.h"

struct err;

/*
 * Gives up, for good, all rights but those of talking over the network: root becomes nobody,
 * without capabilities; no program can be started, and no other process, name or mount be touched
 * (the calls fail with EPERM). Files that everybody may read can be read: certificates,
 * resolv.conf. To be called before there is a second thread.
 */
int registry_confine(struct err *err) HULL_MUST_CHECK;
