/* SPDX-License-Identifier: Apache-2.0 */
/* Compiler attributes and the cleanup ("AUTO") idiom. Depends on nothing. */
#pragma once

#include <stdlib.h>

#define HULL_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define HULL_MUST_CHECK         __attribute__((warn_unused_result))
#define HULL_NONNULL(...)       __attribute__((nonnull(__VA_ARGS__)))

/*
 * AUTO(fn) releases a local through fn(&local) on every way out of its scope.
 * Rules: initialise on the declaration line, one variable per declaration,
 * hand ownership on only through TAKE_PTR()/TAKE_FD().
 */
#define AUTO(fn)   __attribute__((cleanup(fn)))
#define AUTO_FREE  AUTO(auto_free)
#define AUTO_CLOSE AUTO(auto_close)

/* Defines auto_<fn>() for a destructor that takes the pointer and allows NULL. */
#define DEFINE_AUTO(type, fn)                                                                      \
	static inline void auto_##fn(__typeof__(type) **p)                                         \
	{                                                                                          \
		fn(*p);                                                                            \
	}

#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) taken_ = (p);                                                        \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})

#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int taken_ = (fd);                                                                 \
		(fd) = -1;                                                                         \
		taken_;                                                                            \
	})

static inline void auto_free(void *p)
{
	free(*(void **)p);
}
