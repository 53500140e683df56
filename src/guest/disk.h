/* SPDX-License-Identifier: Apache-2.0 */
/* The disks of a machine, found by serial number, never by order. */
#pragma once

#include <stdbool.h>
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

/* Mounts a disk that came while the machine runs, whose file system is one that machines know
 * (ext4, EROFS), on `folder`; devices and set-user-id bits of it have no effect. */
int disk_mount_any(const char *serial, bool readonly, const char *folder, struct err *err)
	HULL_MUST_CHECK;

/* EBUSY while a file system of the disk is mounted anywhere; a disk that is not there is free. */
int disk_is_free(const char *serial, struct err *err) HULL_MUST_CHECK;

/* Takes the writable disk out of use, at most ms after it is no longer held. */
int disk_release(uint64_t ms, struct err *err) HULL_MUST_CHECK;

/* Where the writable disk is mounted. */
#define DISK_SCRATCH "/run/hull/scratch"
