/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

int parse_int(const char *text, int64_t min, int64_t max, const char *what, int64_t *ret,
	      struct err *err)
{
	char *end;

	errno = 0;
	long long v = strtoll(text, &end, 10);
	if (end == text || *end != '\0' || isspace((unsigned char)text[0]) || text[0] == '+')
		return err_set(err, EINVAL, "%s: '%s' is not a whole number", what, text);
	if (errno == ERANGE || v < min || v > max)
		return err_set(err, ERANGE, "%s: %s is outside %jd to %jd", what, text,
			       (intmax_t)min, (intmax_t)max);
	*ret = v;
	return 0;
}

/* Digits, and up to nine behind a point, into *whole and *nano; returns what follows, NULL when
 * there is no number. */
static const char *decimal(const char *p, uint64_t *whole, uint32_t *nano)
{
	*whole = 0;
	*nano = 0;
	if (!isdigit((unsigned char)*p) && *p != '.')
		return NULL;
	for (; isdigit((unsigned char)*p); p++) {
		if (__builtin_mul_overflow(*whole, (uint64_t)10, whole) ||
		    __builtin_add_overflow(*whole, (uint64_t)(*p - '0'), whole))
			return NULL;
	}
	if (*p != '.')
		return p;
	p++;
	if (!isdigit((unsigned char)*p))
		return NULL;
	uint32_t unit = 100000000;
	for (; isdigit((unsigned char)*p); p++, unit /= 10) {
		if (unit == 0)
			return NULL;
		*nano += (uint32_t)(*p - '0') * unit;
	}
	return p;
}

/* (whole + nano / 1e9) * unit, or false when it does not fit. */
static bool scale(uint64_t whole, uint32_t nano, uint64_t unit, uint64_t *ret)
{
	unsigned __int128 v = (unsigned __int128)whole * unit +
			      (unsigned __int128)nano * unit / 1000000000;

	if (v > INT64_MAX)
		return false;
	*ret = (uint64_t)v;
	return true;
}

/* Skips a unit of bytes (k, KB, MiB …) at *p; its size, 1 when there is none. */
static uint64_t size_unit(const char **p)
{
	static const char units[] = "bkmgt";

	const char *u = **p ? strchr(units, tolower((unsigned char)**p)) : NULL;
	if (!u)
		return 1;
	(*p)++;
	if (u > units && tolower((unsigned char)**p) == 'i')
		(*p)++;
	if (u > units && tolower((unsigned char)**p) == 'b')
		(*p)++;
	return UINT64_C(1) << (10 * (u - units));
}

int parse_size(const char *text, const char *what, uint64_t *ret, struct err *err)
{
	uint64_t whole;
	uint32_t nano;

	const char *p = decimal(text, &whole, &nano);
	uint64_t unit = p ? size_unit(&p) : 0;
	if (!p || *p != '\0' || !scale(whole, nano, unit, ret))
		return err_set(err, EINVAL, "%s: '%s' is not a size (512m, 2g, …)", what, text);
	return 0;
}

int parse_nano(const char *text, const char *what, uint64_t *ret, struct err *err)
{
	uint64_t whole;
	uint32_t nano;

	const char *p = decimal(text, &whole, &nano);
	if (!p || *p != '\0' || !scale(whole, nano, 1000000000, ret))
		return err_set(err, EINVAL, "%s: '%s' is not a number (1, 0.5, …)", what, text);
	return 0;
}

static uint64_t duration_unit(const char **p)
{
	static const struct {
		const char *name;
		uint64_t us;
	} units[] = {{"us", 1}, {"ms", 1000}, {"s", 1000000}, {"m", 60000000}, {"h", 3600000000}};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (str_prefix(*p, units[i].name, p))
			return units[i].us;
	}
	return 0;
}

int parse_duration_ms(const char *text, const char *what, uint64_t *ret, struct err *err)
{
	uint64_t total_us = 0;
	const char *p = text;

	do {
		uint64_t whole = 0;
		uint64_t part_us = 0;
		uint64_t unit = 0;
		uint32_t nano = 0;
		bool first = p == text;
		p = decimal(p, &whole, &nano);
		if (p)
			unit = *p || !first ? duration_unit(&p) : 1000000;
		if (unit == 0 || !scale(whole, nano, unit, &part_us) ||
		    __builtin_add_overflow(total_us, part_us, &total_us))
			return err_set(err, EINVAL, "%s: '%s' is not a duration (30s, 1m30s, …)",
				       what, text);
	} while (*p);
	*ret = total_us / 1000;
	return 0;
}

static const char *const signal_names[] = {
	[SIGHUP] = "SIGHUP",       [SIGINT] = "SIGINT",       [SIGQUIT] = "SIGQUIT",
	[SIGILL] = "SIGILL",       [SIGTRAP] = "SIGTRAP",     [SIGABRT] = "SIGABRT",
	[SIGBUS] = "SIGBUS",       [SIGFPE] = "SIGFPE",       [SIGKILL] = "SIGKILL",
	[SIGUSR1] = "SIGUSR1",     [SIGSEGV] = "SIGSEGV",     [SIGUSR2] = "SIGUSR2",
	[SIGPIPE] = "SIGPIPE",     [SIGALRM] = "SIGALRM",     [SIGTERM] = "SIGTERM",
	[SIGSTKFLT] = "SIGSTKFLT", [SIGCHLD] = "SIGCHLD",     [SIGCONT] = "SIGCONT",
	[SIGSTOP] = "SIGSTOP",     [SIGTSTP] = "SIGTSTP",     [SIGTTIN] = "SIGTTIN",
	[SIGTTOU] = "SIGTTOU",     [SIGURG] = "SIGURG",       [SIGXCPU] = "SIGXCPU",
	[SIGXFSZ] = "SIGXFSZ",     [SIGPROF] = "SIGPROF",     [SIGIO] = "SIGIO",
	[SIGPWR] = "SIGPWR",       [SIGVTALRM] = "SIGVTALRM", [SIGSYS] = "SIGSYS",
	[SIGWINCH] = "SIGWINCH",
};

enum { SIGNAL_NAMES = sizeof(signal_names) / sizeof(signal_names[0]), RT_FIRST = 34, RT_LAST = 64 };

const char *signal_name(int sig)
{
	return sig > 0 && sig < SIGNAL_NAMES ? signal_names[sig] : NULL;
}

int parse_signal(const char *text, int *ret, struct err *err)
{
	struct err ignored = ERR_INIT; /* not a number: then it may be a name */
	int64_t n = 0;

	if (parse_int(text, 1, RT_LAST, "signal", &n, &ignored) == 0) {
		*ret = (int)n;
		return 0;
	}
	const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
	for (int i = 1; i < SIGNAL_NAMES; i++) {
		if (signal_names[i] && strcasecmp(signal_names[i] + 3, name) == 0) {
			*ret = i;
			return 0;
		}
	}
	bool from_max = strncasecmp(name, "RTMAX", 5) == 0;
	if (from_max || strncasecmp(name, "RTMIN", 5) == 0) {
		ignored = ERR_INIT;
		int64_t off = 0;
		if ((name[5] == '\0' ||
		     (name[5] == (from_max ? '-' : '+') &&
		      parse_int(name + 6, 0, RT_LAST - RT_FIRST, "signal", &off, &ignored) == 0))) {
			*ret = from_max ? RT_LAST - (int)off : RT_FIRST + (int)off;
			return 0;
		}
	}
	return err_set(err, EINVAL, "'%s' is not a signal", text);
}

bool str_prefix(const char *s, const char *prefix, const char **ret)
{
	size_t n = strlen(prefix);

	if (strncmp(s, prefix, n) != 0)
		return false;
	if (ret)
		*ret = s + n;
	return true;
}

size_t utf8_len(const unsigned char *s, size_t n)
{
	static const struct {
		unsigned char lead_max, second_min, second_max;
		size_t len;
	} forms[] = {{0x7f, 0, 0, 1},       {0xc1, 1, 0, 0},       {0xdf, 0x80, 0xbf, 2},
		     {0xe0, 0xa0, 0xbf, 3}, {0xec, 0x80, 0xbf, 3}, {0xed, 0x80, 0x9f, 3},
		     {0xef, 0x80, 0xbf, 3}, {0xf0, 0x90, 0xbf, 4}, {0xf3, 0x80, 0xbf, 4},
		     {0xf4, 0x80, 0x8f, 4}, {0xff, 1, 0, 0}};
	size_t f = 0;

	while (s[0] > forms[f].lead_max)
		f++;
	if (forms[f].len > n)
		return 0;
	if (forms[f].len > 1 && (s[1] < forms[f].second_min || s[1] > forms[f].second_max))
		return 0;
	for (size_t i = 2; i < forms[f].len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	return forms[f].len;
}

bool str_in(const char *s, const char *const *list)
{
	for (; *list; list++) {
		if (strcmp(s, *list) == 0)
			return true;
	}
	return false;
}

int strv_add(struct strv *list, const char *s, struct err *err)
{
	char **v = reallocarray(list->v, list->n + 2, sizeof(*v));
	if (!v)
		return err_set(err, ENOMEM, "out of memory");
	list->v = v;
	v[list->n] = NULL;
	char *copy = strdup(s);
	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	v[list->n++] = copy;
	v[list->n] = NULL;
	return 0;
}

int strv_set_env(struct strv *list, const char *assignment, struct err *err)
{
	size_t key = strcspn(assignment, "=");

	for (size_t i = 0; i < list->n; i++) {
		if (strncmp(list->v[i], assignment, key) == 0 && list->v[i][key] == '=') {
			char *copy = strdup(assignment);
			if (!copy)
				return err_set(err, ENOMEM, "out of memory");
			free(list->v[i]);
			list->v[i] = copy;
			return 0;
		}
	}
	return strv_add(list, assignment, err);
}

const char *strv_env(const struct strv *list, const char *key)
{
	size_t n = strlen(key);

	for (size_t i = 0; i < list->n; i++) {
		if (strncmp(list->v[i], key, n) == 0 && list->v[i][n] == '=')
			return list->v[i] + n + 1;
	}
	return NULL;
}

int strv_add_all(struct strv *to, const struct strv *from, struct err *err)
{
	for (size_t i = 0; i < from->n; i++) {
		int r = strv_add(to, from->v[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

void strv_done(struct strv *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->v[i]);
	free(list->v);
	*list = (struct strv){0};
}
