/* SPDX-License-Identifier: Apache-2.0 */
/* Properties by annotation: values in GVariant's text form, as far as systemd's properties need it:
 * texts, truths, whole numbers, and arrays of one of these. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "oci/unit.h"

static const struct number_type {
	const char *word;
	char type;
	int64_t min;
	uint64_t max;
} number_types[] = {
	{"byte", 'y', 0, UINT8_MAX},    {"int16", 'n', INT16_MIN, INT16_MAX},
	{"uint16", 'q', 0, UINT16_MAX}, {"int32", 'i', INT32_MIN, INT32_MAX},
	{"uint32", 'u', 0, UINT32_MAX}, {"int64", 'x', INT64_MIN, INT64_MAX},
	{"uint64", 't', 0, UINT64_MAX}, {"boolean", 'b', 0, 1},
	{"string", 's', 0, 0},          {"objectpath", 'o', 0, 0},
};

struct reader {
	const char *at;
	char type; /* of the elements, once something tells it; 0: nothing yet */
	struct unit_property *to;
};

static int complain(const struct reader *r, const char *what, struct err *err)
{
	return err_set(err, EINVAL, "%s at '%.40s'", what, r->at);
}

static void skip_blanks(struct reader *r)
{
	r->at += strspn(r->at, " \t\n");
}

static int tell_type(struct reader *r, char type, struct err *err)
{
	if (r->type && r->type != type)
		return complain(r, "two types in one value", err);
	r->type = type;
	return 0;
}

/* "uint64 3": the word in front of a value. */
static int read_type_word(struct reader *r, struct err *err)
{
	size_t n = strspn(r->at, "abcdefghijklmnopqrstuvwxyz0123456789");

	for (size_t i = 0; i < sizeof(number_types) / sizeof(number_types[0]); i++) {
		const char *word = number_types[i].word;
		if (strlen(word) != n || strncmp(r->at, word, n) != 0)
			continue;
		int told = tell_type(r, number_types[i].type, err);
		r->at += n;
		skip_blanks(r);
		return told;
	}
	return 0;
}

static int read_text(struct reader *r, struct err *err)
{
	static const char escapes[] = "\\'\"nt";
	static const char meant[] = "\\'\"\n\t";
	AUTO_BUF struct buf text = BUF_INIT;
	char quote = *r->at++;

	if (!r->type)
		r->type = 's';
	if (r->type != 's' && r->type != 'o')
		return complain(r, "a text where a number is wanted", err);
	for (; *r->at && *r->at != quote; r->at++) {
		const char *escape = *r->at == '\\' && r->at[1] ? strchr(escapes, r->at[1]) : NULL;
		if (*r->at == '\\' && !escape)
			return complain(r, "an unknown escape", err);
		buf_add(&text, escape ? &meant[escape - escapes] : r->at, 1);
		r->at += escape != NULL;
	}
	if (*r->at++ != quote)
		return err_set(err, EINVAL, "a text without its end");
	int checked = buf_check(&text, err);
	return checked < 0 ? checked : unit_add_item(r->to, 0, text.data ? text.data : "", err);
}

static int read_truth(struct reader *r, struct err *err)
{
	bool is_true = strncmp(r->at, "true", 4) == 0;
	int told = tell_type(r, 'b', err);

	r->at += is_true ? 4 : 5;
	return told < 0 ? told : unit_add_item(r->to, is_true, NULL, err);
}

static int read_number(struct reader *r, struct err *err)
{
	bool negative = *r->at == '-';
	char *end = NULL;
	const struct number_type *t = NULL;

	if (!r->type)
		r->type = 'i';
	for (size_t i = 0; i < sizeof(number_types) / sizeof(number_types[0]); i++) {
		if (number_types[i].type == r->type && number_types[i].max > 1)
			t = &number_types[i];
	}
	if (!t || !isdigit((unsigned char)r->at[negative]))
		return complain(r, "no value", err);
	errno = 0;
	uint64_t value = strtoull(r->at + negative, &end, 0);
	/* 0 - INT64_MIN is one more than INT64_MAX */
	uint64_t most = negative ? 0 - (uint64_t)t->min : t->max;
	if (errno || value > most)
		return complain(r, "a number out of range", err);
	r->at = end;
	return unit_add_item(r->to, negative ? 0 - value : value, NULL, err);
}

static int read_one(struct reader *r, struct err *err)
{
	int told = read_type_word(r, err);

	if (told < 0)
		return told;
	if (*r->at == '\'' || *r->at == '"')
		return read_text(r, err);
	if (strncmp(r->at, "true", 4) == 0 || strncmp(r->at, "false", 5) == 0)
		return read_truth(r, err);
	return read_number(r, err);
}

static int read_array(struct reader *r, struct err *err)
{
	r->at++;
	skip_blanks(r);
	while (*r->at != ']') {
		int got = read_one(r, err);
		if (got < 0)
			return got;
		skip_blanks(r);
		if (*r->at == ',')
			r->at++;
		else if (*r->at != ']')
			return complain(r, "an array without its end", err);
		skip_blanks(r);
	}
	r->at++;
	return r->type ? 0 : err_set(err, EINVAL, "an empty array needs its type (@as [])");
}

/* "@as []": a type by D-Bus's letters. */
static int read_signature(struct reader *r, bool *is_array, struct err *err)
{
	const char *at = r->at + 1;

	*is_array = *at == 'a';
	at += *is_array;
	if (!*at || !strchr("sobynqiuxt", *at) || at[1] != ' ')
		return complain(r, "an unknown type", err);
	r->type = *at;
	r->at = at + 1;
	skip_blanks(r);
	return 0;
}

static int read_value(struct unit_property *to, const char *text, struct err *err)
{
	struct reader r = {.at = text, .to = to};
	bool wants_array = false;
	bool has_signature = false;
	char type[3];
	int got = 0;

	skip_blanks(&r);
	if (*r.at == '@') {
		has_signature = true;
		got = read_signature(&r, &wants_array, err);
	}
	bool is_array = *r.at == '[';
	if (got == 0 && has_signature && is_array != wants_array)
		got = complain(&r, "a value of another type", err);
	if (got == 0)
		got = is_array ? read_array(&r, err) : read_one(&r, err);
	if (got < 0)
		return got;
	skip_blanks(&r);
	if (*r.at)
		return complain(&r, "more behind the value", err);
	(void)snprintf(type, sizeof(type), "%s%c", is_array ? "a" : "", r.type);
	free(to->type);
	to->type = strdup(type);
	return to->type ? 0 : err_set(err, ENOMEM, "out of memory");
}

/* "1.5" or "uint64 90" seconds, for a property in microseconds. */
static int put_seconds(struct unit *unit, const char *name, const char *text, struct err *err)
{
	AUTO_FREE char *in_us = NULL;
	uint64_t billionths = 0;
	const char *number = text;

	for (size_t i = 0; i < sizeof(number_types) / sizeof(number_types[0]); i++) {
		const char *rest;
		if (str_prefix(text, number_types[i].word, &rest) && *rest == ' ')
			number = rest + 1;
	}
	int r = parse_nano(number, name, &billionths, err);
	if (r == 0 && asprintf(&in_us, "%.*sUSec", (int)(strlen(name) - 3), name) < 0)
		r = err_set(err, ENOMEM, "out of memory");
	return r < 0 ? r : unit_put_number(unit, in_us, "t", billionths / 1000, err);
}

static int put_annotation(struct unit *unit, const char *name, const char *text, struct err *err)
{
	size_t n = strlen(name);

	if (n < 3 || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != n)
		return err_set(err, EINVAL, "'%.60s' is no property's name", name);
	if (n > 4 && strcmp(name + n - 3, "Sec") == 0 && islower((unsigned char)name[n - 4]))
		return put_seconds(unit, name, text, err);
	struct unit_property *p = unit_add(unit, name, "", err);
	return p ? read_value(p, text, err) : -err->code;
}

int unit_put_annotations(struct unit *unit, const struct strv *annotations, struct err *err)
{
	for (size_t i = 0; i < annotations->n; i++) {
		const char *rest;
		if (!str_prefix(annotations->v[i], "org.systemd.property.", &rest))
			continue;
		const char *equals = strchr(rest, '=');
		AUTO_FREE char *name = strndup(rest, strcspn(rest, "="));
		if (!name)
			return err_set(err, ENOMEM, "out of memory");
		int r = put_annotation(unit, name, equals ? equals + 1 : "", err);
		if (r < 0)
			return err_wrap(err, "annotations: org.systemd.property.%.60s", name);
	}
	return 0;
}
