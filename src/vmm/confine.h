/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread of the monitor may still ask of the kernel once the guest runs: a list of system
 * calls for each role, and death for every other. */
#pragma once

#include <stdbool.h>

#include "base/attr.h"

struct err;

enum confine_role {
	CONFINE_VCPU, /* runs the guest, answers its register accesses */
	CONFINE_DISKS, /* serves block devices */
	CONFINE_POOL, /* waits for their storage */
	CONFINE_SHARE, /* serves the file system device */
	CONFINE_MAIN, /* serves the others, waits for the end */
	CONFINE_ROLES,
};

/* No core dumps any more, and no descriptors but so many that are received, for the whole process;
 * before any other thread is started, after all that is needed is open. */
int confine_process(unsigned files, struct err *err) HULL_MUST_CHECK;

/* Confines the calling thread for good. */
int confine_thread(enum confine_role role, struct err *err) HULL_MUST_CHECK;
