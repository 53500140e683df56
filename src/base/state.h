/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The written form of what a program has in mind: a header (magic, version, length, checksum) and
 * parts in a fixed order, each with its kind, its number and its length; all little-endian. Who
 * reads it believes nothing: a part is there in its place and used up exactly, or the state is
 * refused; what a value means is judged by whom it belongs to.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"

struct err;

enum { STATE_MAGIC_LEN = 8 };

/* Whose states they are. */
struct state_form {
	char magic[STATE_MAGIC_LEN];
	uint32_t version; /* another one whenever anything is written that the last one's readers
			   * would misread */
	const char *of; /* "machine": for complaints */
};

/* --- writing --- */

/* Begins a state in the empty buffer. */
void state_begin(struct buf *b, const struct state_form *form);

/* Begins a part; returns where, for state_end_part(). Kinds are the form's. */
size_t state_part(struct buf *b, uint32_t kind, uint32_t number);
void state_end_part(struct buf *b, size_t at);

/* Writes length and checksum, which is the answer: it is whole. Nothing is appended after it. */
uint32_t state_seal(struct buf *b);

/* Append what buf.h has no word for. */
void state_put16(struct buf *b, uint16_t v);
void state_put_flag(struct buf *b, bool v);

/* --- reading --- */

/* The parts that are left of a state; borrows its bytes. */
struct state {
	const uint8_t *at;
	size_t left;
	uint32_t checksum; /* of all of it */
};

/* What is left of a part. Values taken beyond its end are zeros, and remembered. */
struct state_reader {
	const uint8_t *at;
	size_t left;
	bool bad;
};

/* Judges header and checksum. EINVAL: no state, not whole, or changed. */
int state_open(struct state *ret, const struct state_form *form, const void *bytes, size_t n,
	       struct err *err) HULL_MUST_CHECK;

/* The next part, which must be this one. */
int state_next(struct state *s, uint32_t kind, uint32_t number, struct state_reader *ret,
	       struct err *err) HULL_MUST_CHECK;

/* That no part is left. */
int state_close(const struct state *s, struct err *err) HULL_MUST_CHECK;

/* Take a value. */
uint64_t state_take64(struct state_reader *r);
uint32_t state_take32(struct state_reader *r);
uint16_t state_take16(struct state_reader *r);
bool state_take_flag(struct state_reader *r); /* anything but 0 and 1 is bad */
void state_take(struct state_reader *r, void *to, size_t n);

/* The next n bytes where they lie; NULL when there are not so many. */
const uint8_t *state_take_ref(struct state_reader *r, size_t n);

/* Whether the next n bytes, which are taken, are these. */
bool state_take_same(struct state_reader *r, const void *bytes, size_t n);

/* That all was there and all has been taken. */
int state_taken(const struct state_reader *r, struct err *err) HULL_MUST_CHECK;
