/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static void print_option(const struct option *o)
{
	char left[64];

	(void)snprintf(left, sizeof(left), "%c%c%c --%s%s%s", o->letter ? '-' : ' ',
		       o->letter ? o->letter : ' ', o->letter ? ',' : ' ', o->name,
		       o->arg ? " " : "", o->arg ? o->arg : "");
	printf("  %-30s  %s\n", left, o->help);
}

void help_command(const struct command *c)
{
	bool has_options = c->groups[0].options != NULL;

	printf("Usage: hull %s%s%s%s\n\n%s\n", c->names[0], has_options ? " [OPTION...]" : "",
	       c->operands ? " " : "", c->operands ? c->operands : "", c->summary);
	if (c->names[1]) {
		printf("\nAlso:");
		for (const char *const *name = c->names + 1; *name; name++)
			printf("%s hull %s", name == c->names + 1 ? "" : ",", *name);
		printf("\n");
	}
	if (has_options)
		printf("\nOptions:\n");
	for (const struct option_group *g = c->groups; g < c->groups + COMMAND_GROUPS && g->options;
	     g++) {
		for (const struct option *o = g->options; o < g->options + g->n; o++)
			print_option(o);
	}
	printf("\nExample:\n");
	for (const char *p = c->example; *p;) {
		size_t n = strcspn(p, "\n");
		printf("  %.*s\n", (int)n, p);
		p += n + (p[n] == '\n');
	}
}

/* The name under which a command is listed: its one-word name, or within a group the second word;
 * NULL: not there. */
static const char *listed_name(const struct command *c, const char *group)
{
	for (const char *const *name = c->names; *name; name++) {
		const char *rest = *name;
		if (group ? str_prefix(*name, group, &rest) && *rest == ' ' : !strchr(*name, ' '))
			return group ? rest + 1 : rest;
	}
	return NULL;
}

static void list_groups(void)
{
	const char *seen[32];
	size_t n = 0;

	printf("\nGroups:");
	for (size_t c = 0; commands[c]; c++) {
		for (const char *const *name = commands[c]->names; *name; name++) {
			size_t len = strcspn(*name, " ");
			bool known = (*name)[len] == '\0';
			for (size_t i = 0; i < n && !known; i++)
				known = strncmp(seen[i], *name, len) == 0 && seen[i][len] == ' ';
			if (known || n == sizeof(seen) / sizeof(seen[0]))
				continue;
			seen[n++] = *name;
			printf(" %.*s", (int)len, *name);
		}
	}
	printf("\n\n`hull COMMAND --help` tells more about each.\n");
}

void help_group(const char *group)
{
	if (group)
		printf("Usage: hull %s COMMAND\n\n", group);
	else
		printf("Usage: hull [--root DIR] COMMAND\n\n"
		       "Runs programs from images, as containers or in virtual machines.\n\n");
	printf("Commands:\n");
	for (size_t c = 0; commands[c]; c++) {
		const char *name = listed_name(commands[c], group);
		if (name && !commands[c]->hidden)
			printf("  %-12s %s\n", name, commands[c]->summary);
	}
	if (!group)
		list_groups();
}
