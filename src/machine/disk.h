/* SPDX-License-Identifier: Apache-2.0 */
/* The files behind a machine's disks. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct err;
struct machine_setup;
struct plan;

/*
 * Opens the writable disk `path` for reading and writing; when it is missing, makes a sparse ext4
 * image of `size` bytes (0: a size nobody fills), without a journal when `throwaway`. Returns the
 * descriptor.
 */
int disk_scratch(const char *path, uint64_t size, bool throwaway, struct err *err) HULL_MUST_CHECK;

/* Adds to setup->layers where each of the plan's layers stands on the disk that shows them back to
 * back. *sizes, one per layer, is the caller's. */
int disk_layers(const struct plan *plan, struct machine_setup *setup, uint64_t **sizes,
		struct err *err) HULL_MUST_CHECK;

/* Opens the host interface `name` as the machine's side of a tap, once more if it has many queues.
 */
int disk_tap(const char *name, bool many_queues, struct err *err) HULL_MUST_CHECK;
