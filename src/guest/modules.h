/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel modules that came in the initramfs, as kernel_modules_cpio() of src/machine/ put them
 * there: those a root is reached with, and those a machine can start without. */
#pragma once

/* Loads the former and takes hold of the latter; before the initramfs is left. */
void modules_load(void);

/* Loads the latter, once the workload has had its start. */
void modules_load_late(void);
