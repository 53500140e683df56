/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cli/cli.h"

/* Whether one of the command's names is made of the first one or two words. */
static bool has_name(const struct command *c, char **argv, size_t words)
{
	for (const char *const *name = c->names; *name; name++) {
		const char *rest;
		if (str_prefix(*name, argv[0], &rest) &&
		    (words == 1 ? *rest == '\0' : *rest == ' ' && strcmp(rest + 1, argv[1]) == 0))
			return true;
	}
	return false;
}

const struct command *command_find(char **argv, size_t n, size_t *ret_words)
{
	for (size_t words = n < 2 ? n : 2; words > 0; words--) {
		for (size_t c = 0; commands[c]; c++) {
			if (has_name(commands[c], argv, words)) {
				*ret_words = words;
				return commands[c];
			}
		}
	}
	return NULL;
}

bool command_is_group(const char *word)
{
	for (size_t c = 0; commands[c]; c++) {
		for (const char *const *name = commands[c]->names; *name; name++) {
			const char *rest;
			if (str_prefix(*name, word, &rest) && *rest == ' ')
				return true;
		}
	}
	return false;
}

/* An option of the command, by name (n bytes of text) or by letter, and where its value lies. */
static const struct option *find(const struct call *call, const char *name, size_t n, char letter,
				 void **ret_value)
{
	for (const struct option_group *g = call->command->groups;
	     g < call->command->groups + COMMAND_GROUPS && g->options; g++) {
		for (const struct option *o = g->options; o < g->options + g->n; o++) {
			if (letter ? o->letter == letter
				   : strncmp(o->name, name, n) == 0 && o->name[n] == '\0') {
				*ret_value = (char *)call->options + g->offset + o->offset;
				return o;
			}
		}
	}
	return NULL;
}

static int set_flag(const struct option *o, bool *value, const char *text, const char *what,
		    struct err *err)
{
	static const char *const yes[] = {"true", "1", "t", "TRUE", "True", "T", NULL};
	static const char *const no[] = {"false", "0", "f", "FALSE", "False", "F", NULL};

	if (text && !str_in(text, yes) && !str_in(text, no))
		return err_set(err, EINVAL, "%s: '%s' is neither true nor false", what, text);
	*value = (!text || str_in(text, yes)) != o->flag_value;
	return 0;
}

static int set_value(const struct option *o, void *value, const char *text, const char *what,
		     struct err *err)
{
	switch (o->kind) {
	case OPTION_FLAG:
		return set_flag(o, value, text, what, err);
	case OPTION_STRING:
		*(const char **)value = text;
		return 0;
	case OPTION_LIST:
		return strv_add(value, text, err);
	case OPTION_INT:
		return parse_int(text, INT64_MIN, INT64_MAX, what, value, err);
	case OPTION_SIZE:
		return parse_size(text, what, value, err);
	case OPTION_NANO:
		return parse_nano(text, what, value, err);
	case OPTION_DURATION:
		return parse_duration_ms(text, what, value, err);
	case OPTION_SIGNAL:
		return parse_signal(text, value, err) < 0 ? err_wrap(err, "%s", what) : 0;
	}
	return err_set(err, EINVAL, "%s: an option of unknown kind", what);
}

/* "--name", "--name=value", "--name value"; next is the following word or NULL. Answers how many
 * words it took. */
static int long_option(struct call *call, const char *word, const char *next, struct err *err)
{
	char what[64];
	void *value;
	size_t n = strcspn(word + 2, "=");
	const char *text = word[2 + n] == '=' ? word + 3 + n : NULL;

	(void)snprintf(what, sizeof(what), "--%.*s", (int)(n < 60 ? n : 60), word + 2);
	const struct option *o = find(call, word + 2, n, 0, &value);
	if (!o)
		return err_set(err, EINVAL, "%s: no such option (see --help)", what);
	if (text || o->kind == OPTION_FLAG) {
		int r = set_value(o, value, text, what, err);
		return r < 0 ? r : 1;
	}
	if (!next)
		return err_set(err, EINVAL, "%s: %s is missing", what, o->arg);
	int r = set_value(o, value, next, what, err);
	return r < 0 ? r : 2;
}

/* The option that p begins with. Answers how many words end with it; 0: the next letter is one. */
static int short_option(struct call *call, const char *p, const char *next, struct err *err)
{
	const char what[3] = {'-', *p, '\0'};
	const char *given = p[1] == '=' ? p + 2 : NULL;
	void *value;

	const struct option *o = find(call, NULL, 0, *p, &value);
	if (!o)
		return err_set(err, EINVAL, "%s: no such option (see --help)", what);
	if (o->kind == OPTION_FLAG) {
		int r = set_flag(o, value, given, what, err);
		return r == 0 && given ? 1 : r;
	}
	if (!given)
		given = p[1] ? p + 1 : next;
	if (!given)
		return err_set(err, EINVAL, "%s: %s is missing", what, o->arg);
	int r = set_value(o, value, given, what, err);
	if (r < 0)
		return r;
	return p[1] ? 1 : 2;
}

/* "-it", "-t=false", "-p80:80", "-p 80:80", "-p=80:80". Answers as long_option() does. */
static int short_options(struct call *call, const char *word, const char *next, struct err *err)
{
	int r = 0;

	for (const char *p = word + 1; *p && r == 0; p++)
		r = short_option(call, p, next, err);
	return r == 0 ? 1 : r;
}

static bool asks_for_help(const struct call *call, const char *word)
{
	void *value;

	return strcmp(word, "--help") == 0 ||
	       (strcmp(word, "-h") == 0 && !find(call, NULL, 0, 'h', &value));
}

static int check_count(const struct call *call, struct err *err)
{
	const struct command *c = call->command;

	if (call->n < c->min)
		return err_set(err, EINVAL, "%s: missing (usage: hull %s [OPTION...] %s)",
			       call->n == 0 ? c->operands : "operand", c->names[0], c->operands);
	if (call->n > c->max)
		return err_set(err, EINVAL, "'%s': one operand too many (usage: hull %s %s)",
			       call->operands[c->max], c->names[0], c->operands);
	return 0;
}

int args_parse(struct call *call, char **words, size_t n, struct err *err)
{
	bool only_operands = false;

	call->options = calloc(1, call->command->size ? call->command->size : 1);
	call->operands = calloc(n + 1, sizeof(*call->operands));
	call->n = 0;
	if (!call->options || !call->operands)
		return err_set(err, ENOMEM, "out of memory");
	if (call->command->defaults)
		memcpy(call->options, call->command->defaults, call->command->size);
	for (size_t i = 0; i < n;) {
		char *word = words[i];
		if (only_operands || word[0] != '-' || word[1] == '\0') {
			call->operands[call->n++] = word;
			only_operands |= call->command->operands_end_options;
			i++;
			continue;
		}
		if (strcmp(word, "--") == 0) {
			only_operands = true;
			i++;
			continue;
		}
		if (asks_for_help(call, word))
			return 1;
		const char *next = i + 1 < n ? words[i + 1] : NULL;
		int r = word[1] == '-' ? long_option(call, word, next, err)
				       : short_options(call, word, next, err);
		if (r < 0)
			return r;
		i += (size_t)r;
	}
	return check_count(call, err);
}

void args_done(struct call *call)
{
	for (const struct option_group *g = call->command->groups;
	     call->options && g < call->command->groups + COMMAND_GROUPS && g->options; g++) {
		for (const struct option *o = g->options; o < g->options + g->n; o++) {
			if (o->kind == OPTION_LIST)
				strv_done((void *)((char *)call->options + g->offset + o->offset));
		}
	}
	free(call->options);
	free(call->operands);
	call->options = NULL;
	call->operands = NULL;
}
