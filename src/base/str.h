/* SPDX-License-Identifier: Apache-2.0 */
/* Values written by people (numbers, sizes, durations) and lists of strings. Everything is checked
 * whole: "12x" is no number. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct err;

/* A NULL-terminated list of owned strings; {0} is the empty list. */
struct strv {
	char **v; /* NULL or n strings and a NULL */
	size_t n;
};

/* Decimal number in [min, max]. `what` names it in the error: "--pids-limit". */
int parse_int(const char *text, int64_t min, int64_t max, const char *what, int64_t *ret,
	      struct err *err) HULL_MUST_CHECK;

/* Bytes: a number with an optional suffix b k m g t (powers of 1024; also kb, KiB, any case). */
int parse_size(const char *text, const char *what, uint64_t *ret, struct err *err) HULL_MUST_CHECK;

/* A decimal fraction ("1.5", ".5") in billionths, at most 9 digits behind the point. */
int parse_nano(const char *text, const char *what, uint64_t *ret, struct err *err) HULL_MUST_CHECK;

/* A duration: "90", "1.5s", "2m", "1h30m", "100ms"; a bare number is seconds. In milliseconds. */
int parse_duration_ms(const char *text, const char *what, uint64_t *ret, struct err *err)
	HULL_MUST_CHECK;

/* A signal by number or name, with or without SIG, any case ("9", "KILL", "sigterm", "RTMIN+3"). */
int parse_signal(const char *text, int *ret, struct err *err) HULL_MUST_CHECK;

/* The name with SIG in front ("SIGTERM"), or NULL for a number without one. */
const char *signal_name(int sig);

/* Whether s begins with prefix; on true and with ret, *ret is what follows. */
bool str_prefix(const char *s, const char *prefix, const char **ret);

/* How many of the n bytes at s are one character in UTF-8 (RFC 3629 section 4), 0 when they are
 * none. n is at least 1. */
size_t utf8_len(const unsigned char *s, size_t n);

/* Whether s is one of the NULL-terminated list. */
bool str_in(const char *s, const char *const *list);

/* Appends a copy of s. On failure the list is unchanged. */
int strv_add(struct strv *list, const char *s, struct err *err) HULL_MUST_CHECK;

/* Sets KEY=VALUE, replacing an entry with the same key. */
int strv_set_env(struct strv *list, const char *assignment, struct err *err) HULL_MUST_CHECK;

/* The value of KEY in a list of assignments, borrowed, or NULL. */
const char *strv_env(const struct strv *list, const char *key);

/* Copies all of `from` to the end of `to`. */
int strv_add_all(struct strv *to, const struct strv *from, struct err *err) HULL_MUST_CHECK;

/* Frees all; the list is empty and usable again. */
void strv_done(struct strv *list);

/* For AUTO(strv_done). */
#define AUTO_STRV AUTO(strv_done)
