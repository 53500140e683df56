/* SPDX-License-Identifier: Apache-2.0 */
/* The disks of a machine, found by serial number, never by order. */
#pragma once

#include <stdint.h>

#include "base/attr.h"

struct err;
struct list;
struct strv;

/* Mounts each extent of the disk of layers (struct machine_extent) below `folder`, as 0, 1, …, and
 * appends the folders to *ret. */
int disk_layers(const struct list *extents, const char *folder, struct strv *ret, struct err *err)
	HULL_MUST_CHECK;

/* Mounts the disk with this serial number on `folder`, which is made. */
int disk_mount(const char *serial, const char *type, const char *folder, unsigned long flags,
	       struct err *err) HULL_MUST_CHECK;

/* Takes the writable disk out of use, at most ms after it is no longer held. */
int disk_release(uint64_t ms, struct err *err) HULL_MUST_CHECK;

/* Where the writable disk is mounted. */
#define DISK_SCRATCH "/run/hull/scratch"
