/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The functions themselves, not what err.h makes of them for the analyzer. */
#undef err_set
#undef err_sys
#undef err_wrap

/* Both cut what does not fit and return the new length of msg. */
static size_t format(char *msg, const char *fmt, va_list ap) HULL_PRINTF(2, 0);

static size_t format(char *msg, const char *fmt, va_list ap)
{
	int n = vsnprintf(msg, ERR_MSG_MAX, fmt, ap);

	return n < 0 ? 0 : strnlen(msg, ERR_MSG_MAX - 1);
}

static size_t append(char *msg, size_t at, const char *text)
{
	size_t n = strnlen(text, ERR_MSG_MAX - 1 - at);

	memcpy(msg + at, text, n);
	msg[at + n] = '\0';
	return at + n;
}

int err_set(struct err *err, int code, const char *fmt, ...)
{
	assert(code > 0);

	if (err->code != 0)
		return -err->code;

	va_list ap;
	va_start(ap, fmt);
	(void)format(err->msg, fmt, ap);
	va_end(ap);
	err->code = code;
	return -code;
}

int err_sys(struct err *err, const char *fmt, ...)
{
	int code = errno > 0 ? errno : EIO;

	if (err->code != 0)
		return -err->code;

	va_list ap;
	va_start(ap, fmt);
	size_t len = format(err->msg, fmt, ap);
	va_end(ap);
	len = append(err->msg, len, ": ");
	(void)append(err->msg, len, strerrordesc_np(code));
	err->code = code;
	return -code;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
	assert(err->code > 0);

	char inner[ERR_MSG_MAX];
	memcpy(inner, err->msg, sizeof(inner));

	va_list ap;
	va_start(ap, fmt);
	size_t len = format(err->msg, fmt, ap);
	va_end(ap);
	len = append(err->msg, len, ": ");
	(void)append(err->msg, len, inner);
	return -err->code;
}
