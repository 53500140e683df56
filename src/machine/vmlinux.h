/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a file offered as a kernel is: a bzImage (vmlinuz) or an uncompressed ELF (vmlinux) for
 * x86-64. The file is hostile: each offset is checked against its size before it is used.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct err;

enum { KERNEL_RELEASE_MAX = 64 };

enum kernel_form { KERNEL_BZIMAGE = 1, KERNEL_ELF };

/* How a bzImage's payload is compressed. */
enum kernel_payload { PAYLOAD_UNKNOWN, PAYLOAD_GZIP, PAYLOAD_XZ, PAYLOAD_ZSTD, PAYLOAD_LZ4 };

struct kernel_image {
	enum kernel_form form;
	char release[KERNEL_RELEASE_MAX + 1]; /* "6.1.0-56-cloud-amd64"; "" when the file does not
						 tell */
	enum kernel_payload payload; /* bzImage: the kernel proper, packed, and where it is */
	size_t payload_at, payload_len;
	bool pvh; /* ELF: has the entry that monitors start directly */
	uint64_t memory; /* bytes that the running kernel's image takes; 0: unknown */
};

/* Judges n bytes. Fails with one line that says what they are instead: cut short, no kernel, of
 * another architecture. */
int kernel_image_check(const uint8_t *bytes, size_t n, struct kernel_image *ret, struct err *err)
	HULL_MUST_CHECK;

/* Whether a kernel release is fit to be a folder's name: letters, digits and "._+~-", not
 * beginning with '.' or '-'. */
bool kernel_release_ok(const char *release);
