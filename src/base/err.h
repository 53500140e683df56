/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors.
 *
 * A function that can fail returns an int: 0 (or a count, a descriptor) on
 * success, a negative errno on failure, and takes `struct err *err` as its
 * last parameter. On failure err says what happened, in words for the user; on
 * success it is untouched. A *positive* answer (say NOT_FOUND) is documented
 * by the function and dealt with by its caller, never passed on.
 *
 * The caller owns the struct, usually on the stack of main() or of a request
 * handler: nothing to free, usable when memory is out, after fork(), in the
 * guest and from any thread. Each caller may add what it was doing in front:
 *
 *	hull: run web: attach drive 0: open disk 'a.img': No such file or directory
 */
#pragma once

#include "base/attr.h"

enum { ERR_MSG_MAX = 512 };

struct err {
	int code; /* positive errno, 0 while there is no error */
	char msg[ERR_MSG_MAX];
};

#define ERR_INIT ((struct err){0})

/* Records a failure; returns -code. A second error never hides the first. */
int err_set(struct err *err, int code, const char *fmt, ...) HULL_PRINTF(3, 4) HULL_NONNULL(1);

/* Records a failed system call from errno, with its text; returns -errno. */
int err_sys(struct err *err, const char *fmt, ...) HULL_PRINTF(2, 3) HULL_NONNULL(1);

/* Puts "<context>: " before the message of a recorded failure; returns -code. */
int err_wrap(struct err *err, const char *fmt, ...) HULL_PRINTF(2, 3) HULL_NONNULL(1);

#ifdef __clang_analyzer__ /* which sees one file at a time: that a failure's answer is negative */
#	define ERR_NEGATIVE(call)                                                                 \
		({                                                                                 \
			int failure_ = call;                                                       \
			if (failure_ >= 0)                                                         \
				__builtin_unreachable();                                           \
			failure_;                                                                  \
		})
#	define err_set(...)  ERR_NEGATIVE((err_set)(__VA_ARGS__))
#	define err_sys(...)  ERR_NEGATIVE((err_sys)(__VA_ARGS__))
#	define err_wrap(...) ERR_NEGATIVE((err_wrap)(__VA_ARGS__))
#endif
