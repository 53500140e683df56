/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One disk out of many files: the text form of a VMDK whose extents are files of raw sectors, one
 * behind the other. qemu shows it as one read-only disk.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct buf;

/* Appends the descriptor of n extents: `names` as qemu is to open them (no quotes, no newlines, at
 * most 500 bytes), `sectors` of 512 bytes, none of them 0. */
void vmdk_describe(struct buf *to, const char *const *names, const uint64_t *sectors, size_t n);
