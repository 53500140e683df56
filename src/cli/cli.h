/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line `hull`. Each command is one file that defines one `const struct command`: its
 * names, its options as a table and the function that carries it out. Parsing, --help, and
 * completions come from these tables; nothing else knows the options.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct engine;
struct err;

/* What an option fills in, at its offset in the command's options struct. */
enum option_kind {
	OPTION_FLAG, /* bool; also --x=false */
	OPTION_STRING, /* const char *, borrowed from argv */
	OPTION_LIST, /* struct strv, one more for each time it is given */
	OPTION_INT, /* int64_t */
	OPTION_SIZE, /* uint64_t, bytes */
	OPTION_NANO, /* uint64_t, billionths of a decimal fraction */
	OPTION_DURATION, /* uint64_t, milliseconds */
	OPTION_SIGNAL, /* int */
};

struct option {
	const char *name; /* without dashes */
	char letter; /* 0: none */
	enum option_kind kind;
	const char *arg; /* how the value is called in the help; NULL for a flag */
	const char *help; /* one line */
	size_t offset;
	bool flag_value; /* a flag sets this negated: for --no-x onto a field x */
};

/* Options that several commands share, and where their struct lies in each one's own. */
struct option_group {
	const struct option *options;
	size_t n;
	size_t offset;
};

/* A command being carried out. */
struct call {
	const struct command *command;
	void *options; /* the command's struct, filled */
	char **operands; /* n strings and a NULL, borrowed from argv */
	size_t n;
	const char *root; /* --root, or NULL */
	struct engine *engine; /* NULL until call_engine() */
};

enum { COMMAND_NAMES = 6, COMMAND_GROUPS = 3, OPERANDS_ANY = 1 << 20 };

/* Exit codes of hull itself, as docker has them. */
enum { EXIT_HULL_FAILED = 125, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

struct command {
	const char *names[COMMAND_NAMES]; /* "ps", "container ls"; the first is the usual one */
	const char *operands; /* "IMAGE [COMMAND [ARG...]]" */
	const char *summary; /* one line */
	const char *example; /* one line or more, without "hull" output */
	struct option_group groups[COMMAND_GROUPS]; /* until options is NULL */
	size_t size; /* of the options struct */
	const void *defaults; /* its first content; NULL: zeroes */
	size_t min, max; /* operands */
	bool operands_end_options; /* everything behind the first operand is an operand */
	bool hidden; /* not listed */

	/* Returns the exit status, or a negative errno with err set (exit status 125). */
	int (*run)(struct call *call, struct err *err);
};

#define OPTION_GROUP(table, at)                                                                    \
	{                                                                                          \
		.options = (table), .n = sizeof(table) / sizeof((table)[0]), .offset = (at)        \
	}

/* Options of what speaks to registries, of a bool that is set to not check and of a string. */
#define OPTION_TLS_VERIFY(at)                                                                      \
	{                                                                                          \
		"tls-verify", 0, OPTION_FLAG, NULL,                                                \
			"check the registry (default; =false: do not)", (at), .flag_value = true   \
	}
#define OPTION_CREDS(at)                                                                           \
	{                                                                                          \
		"creds", 0, OPTION_STRING, "USER:PASSWORD", "instead of what hull login has kept", \
			(at)                                                                       \
	}

/* Every command, NULL-terminated. */
extern const struct command *const commands[];

/*
 * Finds the command that argv begins with ("ps", "image ls") and says by *ret_words how many words
 * it took. NULL when there is none.
 */
const struct command *command_find(char **argv, size_t n, size_t *ret_words);

/* Whether `word` is a group: the first word of a two-word command. */
bool command_is_group(const char *word);

/*
 * Reads options and operands of call->command from n words into call. Release with args_done(),
 * also on failure. Answers 1 when --help was asked for.
 */
int args_parse(struct call *call, char **words, size_t n, struct err *err) HULL_MUST_CHECK;

/* Frees what args_parse() filled. */
void args_done(struct call *call);

/* Prints the help of a command, of a group, of hull (group NULL). */
void help_command(const struct command *command);
void help_group(const char *group);

/* The engine of --root or HULL_ROOT, opened at the first use; owned by call. */
int call_engine(struct call *call, struct engine **ret, struct err *err) HULL_MUST_CHECK;

/* Takes what --creds says for all that is asked of registries from now on: it goes to the program
 * that needs it by the environment. */
int give_creds(const char *creds, struct err *err) HULL_MUST_CHECK;

/* Prints a line "hull: COMMAND: message" on standard error, control characters replaced. */
void complain(const char *command, const char *message);
