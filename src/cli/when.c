/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/when.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

enum { EPOCH_DIGITS = 9 }; /* a bare number this long is a time, a shorter one a span */

/* ".123" in nanoseconds; moves *p. */
static long fraction(const char **p)
{
	long ns = 0;
	long unit = 100000000;

	if (**p != '.')
		return 0;
	for ((*p)++; isdigit((unsigned char)**p); (*p)++, unit /= 10)
		ns += (**p - '0') * unit;
	return ns;
}

/* "Z", "+01:00" or nothing (local time) behind a broken-down time. */
static int zone(const char *p, struct tm *tm, time_t *ret)
{
	int hours = 0;
	int minutes = 0;
	char end;

	if (*p == '\0') {
		tm->tm_isdst = -1;
		*ret = mktime(tm);
		return 0;
	}
	*ret = timegm(tm);
	if (strcmp(p, "Z") == 0)
		return 0;
	if ((*p != '+' && *p != '-') ||
	    sscanf(p + 1, "%2d:%2d%c", &hours, &minutes, &end) != 2) /* NOLINT(cert-err34-c) */
		return -1;
	long offset = hours * 3600L + minutes * 60L;
	*ret -= *p == '+' ? offset : -offset;
	return 0;
}

static bool absolute(const char *text, struct timespec *ret)
{
	struct tm tm = {.tm_isdst = -1};

	const char *p = strptime(text, "%Y-%m-%d", &tm);
	if (!p)
		return false;
	if (*p == 'T' || *p == ' ') {
		const char *minute = strptime(p + 1, "%H:%M", &tm);
		const char *second = minute ? strptime(minute, ":%S", &tm) : NULL;
		p = second ? second : minute;
	}
	if (!p)
		return false;
	ret->tv_nsec = fraction(&p);
	return zone(p, &tm, &ret->tv_sec) == 0;
}

int parse_when(const char *text, const char *what, struct timespec *ret, struct err *err)
{
	struct timespec now;
	struct err ignored = ERR_INIT;
	int64_t s;
	uint64_t ms;

	if (!text || absolute(text, ret))
		return 0;
	const char *p = text + strspn(text, "0123456789");
	if (p - text >= EPOCH_DIGITS && (*p == '\0' || *p == '.')) {
		char whole[32];
		(void)snprintf(whole, sizeof(whole), "%.*s", (int)(p - text), text);
		if (parse_int(whole, 0, INT64_MAX / 2, what, &s, &ignored) == 0) {
			ret->tv_sec = s;
			ret->tv_nsec = fraction(&p);
			if (*p == '\0')
				return 0;
		}
	}
	ignored = ERR_INIT;
	if (parse_duration_ms(text, what, &ms, &ignored) < 0)
		return err_set(err, EINVAL,
			       "%s: '%s' is neither a time nor a span (10m, "
			       "2026-01-02T15:04:05Z)",
			       what, text);
	(void)clock_gettime(CLOCK_REALTIME, &now);
	ret->tv_sec = now.tv_sec - (time_t)(ms / 1000);
	ret->tv_nsec = 0;
	return 0;
}
