/* SPDX-License-Identifier: Apache-2.0 */
/* gzip (RFC 1952), several members one after the other included, by ISA-L: two to four times as
 * quick as zlib (docs/performance.md), and unpacking is what a pull waits for. */
#pragma once

#include <stddef.h>

#include "base/attr.h"

struct err;
struct gunzip;

/* What gunzip_step() answers. */
enum gunzip_answer {
	GUNZIP_MADE, /* *ret_n bytes, at least one */
	GUNZIP_HUNGRY, /* all of the input is used up, within a member */
	GUNZIP_MEMBER, /* a member has ended; what follows may be another, or nothing */
};

/* Starts one; the caller frees. */
int gunzip_new(struct gunzip **ret, struct err *err) HULL_MUST_CHECK;

/* NULL is fine. */
void gunzip_free(struct gunzip *g);

/* Gives it n bytes, borrowed until they are used up. Only when those before are. */
void gunzip_feed(struct gunzip *g, const void *bytes, size_t n);

/* How many of the bytes it was given are not used yet. */
size_t gunzip_left(const struct gunzip *g);

/* Goes on: an enum gunzip_answer; the bytes made are borrowed until the step after the next that
 * makes some. EINVAL for what is damaged, or begins no member. */
int gunzip_step(struct gunzip *g, const void **ret, size_t *ret_n, struct err *err) HULL_MUST_CHECK;

DEFINE_AUTO(struct gunzip, gunzip_free)
