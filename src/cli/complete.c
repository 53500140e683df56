/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `hull __complete WORD...`: what the last word, begun on the command line, could become; one
 * candidate a line. The shells' scripts (completions/) only ask this, so they never differ from the
 * commands' tables.
 */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "cli/commands.h"
#include "engine/engine.h"
#include "image/image.h"

static void offer(const char *candidate, const char *begun)
{
	if (str_prefix(candidate, begun, NULL))
		(void)printf("%s\n", candidate);
}

/* First words, or with a group its second words. */
static void offer_commands(const char *group, const char *begun)
{
	for (size_t i = 0; commands[i]; i++) {
		for (size_t n = 0;
		     n < COMMAND_NAMES && commands[i]->names[n] && !commands[i]->hidden; n++) {
			const char *name = commands[i]->names[n];
			const char *space = strchr(name, ' ');
			char word[64];
			if (!group) {
				(void)snprintf(word, sizeof(word), "%.*s", (int)strcspn(name, " "),
					       name);
				if (n == 0 || space)
					offer(word, begun);
			} else if (space && strncmp(name, group, (size_t)(space - name)) == 0 &&
				   group[space - name] == '\0') {
				offer(space + 1, begun);
			}
		}
	}
}

static void offer_options(const struct command *command, const char *begun)
{
	char word[64];

	for (size_t g = 0; g < COMMAND_GROUPS && command->groups[g].options; g++) {
		for (size_t i = 0; i < command->groups[g].n; i++) {
			(void)snprintf(word, sizeof(word), "--%s",
				       command->groups[g].options[i].name);
			offer(word, begun);
		}
	}
	offer("--help", begun);
}

static int offer_image(void *ctx, const struct image_row *row, struct err *err)
{
	if (row->name)
		offer(row->name, *(const char **)ctx);
	return 0;
}

/* What a command's operands name: images or workloads, as its line of help calls them. */
static int offer_operands(struct call *call, const struct command *command, const char *begun,
			  struct err *err)
{
	struct workloads all = {0};
	struct engine *e;

	int r = call_engine(call, &e, err);
	if (r < 0)
		return r;
	if (str_prefix(command->operands, "IMAGE", NULL))
		return image_list(engine_store(e), NULL, offer_image, &begun, err);
	if (!strstr(command->operands, "WORKLOAD"))
		return 0;
	r = workload_list(e, &all, err);
	for (size_t i = 0; i < all.n; i++)
		offer(all.v[i]->name, begun);
	workloads_done(&all);
	return r;
}

static int run(struct call *call, struct err *err)
{
	size_t words = 0;
	size_t n = call->n;
	const char *begun = n > 0 ? call->operands[n - 1] : "";

	if (n <= 1) {
		offer_commands(NULL, begun);
		return 0;
	}
	const struct command *command = command_find(call->operands, n - 1, &words);
	if (!command && n == 2 && command_is_group(call->operands[0])) {
		offer_commands(call->operands[0], begun);
		return 0;
	}
	if (!command)
		return 0;
	if (begun[0] == '-') {
		offer_options(command, begun);
		return 0;
	}
	return offer_operands(call, command, begun, err);
}

const struct command command_complete = {
	.names = {"__complete"},
	.operands = "[WORD...]",
	.summary = "Print what a command line could go on with",
	.max = OPERANDS_ANY,
	.operands_end_options = true,
	.hidden = true,
	.run = run,
};
