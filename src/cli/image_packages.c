/* SPDX-License-Identifier: Apache-2.0 */
/* image from-packages. */
#include <stdio.h>

#include "base/err.h"
#include "cli/commands.h"
#include "engine/engine.h"
#include "image/image.h"

static const struct option options[] = {
	{"cmd", 0, OPTION_STRING, "COMMAND", "what runs: a JSON array, a word, or a shell's line",
	 offsetof(struct image_packages, cmd)},
	{"env", 'e', OPTION_LIST, "KEY=VALUE", "add to the environment",
	 offsetof(struct image_packages, env)},
	{"mirror", 0, OPTION_STRING, "MIRROR",
	 "where packages come from: a URI, a line of sources.list, or a file of them",
	 offsetof(struct image_packages, mirror)},
	{"suite", 0, OPTION_STRING, "SUITE", "of which release (default: bookworm)",
	 offsetof(struct image_packages, suite)},
};

static const struct image_packages defaults = {.suite = "bookworm"};

static int run(struct call *call, struct err *err)
{
	struct image_packages *p = call->options;
	AUTO_FREE char *id = NULL;
	struct engine *e = NULL;

	p->name = call->operands[0];
	p->packages = (struct strv){call->operands + 1, call->n - 1}; /* borrowed */
	int r = call_engine(call, &e, err);
	if (r == 0)
		r = image_from_packages(engine_store(e), p, &id, err);
	if (r == 0)
		printf("sha256:%s\n", id);
	return r;
}

const struct command command_image_from_packages = {
	.names = {"image from-packages"},
	.operands = "NAME [PACKAGE...]",
	.summary = "Make an image of Debian packages",
	.example =
		"hull image from-packages web -- nginx-light\n"
		"hull image from-packages --mirror 'deb [trusted=yes] copy:/srv/debs ./' tool -- busybox",
	.groups = {OPTION_GROUP(options, 0)},
	.size = sizeof(struct image_packages),
	.defaults = &defaults,
	.min = 1,
	.max = OPERANDS_ANY,
	.run = run,
};
