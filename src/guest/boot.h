/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What PID 1 of a machine does before and after it serves the host: the file systems of the kernel,
 * its modules, the port, and the end.
 */
#pragma once

#include <stdbool.h>

#include "base/attr.h"

struct err;

/*
 * Mounts the kernel's file systems, loads the modules of the initramfs, and moves from the
 * initramfs to a tmpfs of its own, since pivot_root() (which workloads need) does not work on the
 * former.
 */
int boot(struct err *err) HULL_MUST_CHECK;

/* Loads what a machine can start without: how it gives memory back and gets more. */
void boot_late(void);

/* Opens the port to the host once it is there and the host listens; the caller closes. */
int boot_port(struct err *err) HULL_MUST_CHECK;

/* Reaps children that were dead at the last call already: those that no part of the agent waits
 * for. */
void boot_reap(void);

/* Ends every process and switches the machine off. With `keep`, what was written is on its disks
 * first. */
_Noreturn void boot_end(bool keep);
