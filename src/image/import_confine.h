/* SPDX-License-Identifier: Apache-2.0 */
/* What a program that reads archives and layers may still do while it does. */
#pragma once

#include "base/attr.h"

struct err;

/*
 * Gives up, for good, all rights but those of working in the store `root` (absolute): no
 * capabilities; no program can be started, nothing mounted, no other process touched, and nothing
 * be sent anywhere but through descriptors that are open (the calls fail with EPERM). With Landlock
 * (ABI 2, Linux 5.19) no file can be opened but those of the store, and those below `source`,
 * a descriptor, when that is a folder (-1: there is none); a folder may hold files of all users, so
 * that the capabilities to read them stay. To be called before there is a second thread.
 */
int import_confine(const char *root, int source, struct err *err) HULL_MUST_CHECK;
