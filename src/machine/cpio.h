/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the archive form of an initramfs (cpio "newc"): names, modes and bytes, owned by root. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct buf;

/* Appends a folder; its parent must have come before. `name` is relative. */
void cpio_dir(struct buf *to, const char *name, mode_t mode);

/* Appends a regular file of n bytes (at most 4 GiB - 1, the form's own bound). */
void cpio_file(struct buf *to, const char *name, mode_t mode, const void *bytes, size_t n);

/* Appends the mark at which readers stop. */
void cpio_end(struct buf *to);
