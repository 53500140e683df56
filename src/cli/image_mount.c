/* SPDX-License-Identifier: Apache-2.0 */
/* image mount, image unmount. */
#include <errno.h>
#include <stdio.h>

#include "base/err.h"
#include "cli/commands.h"
#include "engine/engine.h"

static int print_views(struct engine *e, struct err *err)
{
	AUTO_STRV struct strv ids = {0};

	int r = image_view_list(e, &ids, err);
	for (size_t i = 0; r == 0 && i < ids.n; i++) {
		AUTO_FREE char *path = NULL;
		struct err gone = ERR_INIT; /* removed since it was mounted */
		if (image_view_mount(e, ids.v[i], &path, &gone) == 0)
			printf("%.12s %s\n", ids.v[i], path);
		else
			printf("%.12s (its image was removed)\n", ids.v[i]);
	}
	return r;
}

static int mount_command(struct call *call, struct err *err)
{
	struct engine *e = NULL;

	int r = call_engine(call, &e, err);
	if (r == 0 && call->n == 0)
		return print_views(e, err);
	for (size_t i = 0; r == 0 && i < call->n; i++) {
		AUTO_FREE char *path = NULL;
		r = image_view_mount(e, call->operands[i], &path, err);
		if (r == 0)
			puts(path);
	}
	return r;
}

struct unmount_args {
	bool all, force;
};

static const struct option unmount_options[] = {
	{"all", 'a', OPTION_FLAG, NULL, "all that are mounted", offsetof(struct unmount_args, all)},
	{"force", 'f', OPTION_FLAG, NULL, "though somebody is in it",
	 offsetof(struct unmount_args, force)},
};

static int unmount_command(struct call *call, struct err *err)
{
	const struct unmount_args *a = call->options;
	AUTO_STRV struct strv all = {0};
	struct engine *e = NULL;

	if (a->all == (call->n > 0))
		return err_set(err, EINVAL, "name images, or --all");
	int r = call_engine(call, &e, err);
	if (r == 0 && a->all)
		r = image_view_list(e, &all, err);
	char *const *names = a->all ? all.v : call->operands;
	size_t n = a->all ? all.n : call->n;
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = image_view_unmount(e, names[i], a->force, err);
		if (r == 0)
			puts(names[i]);
	}
	return r;
}

const struct command command_image_mount = {
	.names = {"image mount"},
	.operands = "[IMAGE...]",
	.summary = "Mount images read-only for a look into them, or list what is mounted",
	.example = "ls $(hull image mount web)/etc",
	.max = OPERANDS_ANY,
	.run = mount_command,
};

const struct command command_image_unmount = {
	.names = {"image unmount", "image umount"},
	.operands = "[IMAGE...]",
	.summary = "Unmount what image mount has mounted",
	.example = "hull image unmount web",
	.groups = {OPTION_GROUP(unmount_options, 0)},
	.size = sizeof(struct unmount_args),
	.max = OPERANDS_ANY,
	.run = unmount_command,
};
