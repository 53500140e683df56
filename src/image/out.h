/* SPDX-License-Identifier: Apache-2.0 */
/* A new file that is written from front to back. What is skipped stays a hole and reads as zeros.
 */
#pragma once

#include <stdint.h>

#include "base/attr.h"

struct err;

struct out {
	int fd; /* borrowed */
	uint64_t pos; /* where the next byte goes */
	char *bytes; /* owned; not yet written, they end at pos */
	size_t used;
	uint64_t behind; /* up to where the kernel was asked to write */
};

/* Starts at offset 0 of an empty regular file (borrowed; must stay open). */
int out_init(struct out *out, int fd, struct err *err) HULL_MUST_CHECK;

/* Releases the buffer; what was not flushed is lost. */
void out_done(struct out *out);

/* Appends n bytes. */
int out_write(struct out *out, const void *bytes, size_t n, struct err *err) HULL_MUST_CHECK;

/* Goes on at offset `to`, which is not before the place reached. */
int out_seek(struct out *out, uint64_t to, struct err *err) HULL_MUST_CHECK;

/* Gives everything to the file. */
int out_flush(struct out *out, struct err *err) HULL_MUST_CHECK;
